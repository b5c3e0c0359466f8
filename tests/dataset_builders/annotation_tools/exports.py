"""Small exports of annotation tools, and the masks read from them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_tf.dataset_builders import AnnotationsConfig, annotation_tools, coco

HEIGHT, WIDTH = 40, 48
SIZE = (HEIGHT, WIDTH)
# Centers of all pixels.
Y, X = np.mgrid[:HEIGHT, :WIDTH] + 0.5


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **options)


def photo(path, size=SIZE):
    noise = np.random.default_rng(len(str(path.name))).integers(0, 255, (*size, 3))
    save(path, noise)


def write(path, facts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(facts if isinstance(facts, str) else json.dumps(facts))


def box(*classes):
    """Ids of a mask: a box on the background, and another in its corner."""
    ids = np.zeros(SIZE, np.uint8)
    ids[5:20, 5:25] = classes[0] if classes else 1
    ids[30:, 30:] = classes[1] if len(classes) > 1 else 0
    return ids


def read(folder, tool="auto", photos=None, **options):
    """What is built of an export, before it is divided."""
    coco.read_annotations.cache_clear()
    return annotation_tools.read_export(
        Path(folder), photos and Path(photos), tool, options
    )


def folder_config(module, **given):
    """The builder's settings, those of exports among the others."""
    names = {field.name for field in dataclasses.fields(AnnotationsConfig)}
    annotations = AnnotationsConfig(**{k: v for k, v in given.items() if k in names})
    others = {k: v for k, v in given.items() if k not in names}
    return module.FolderConfig(annotations=annotations, **others)


def masks(export, split=""):
    """Name -> ids of each sample."""
    source = export.splits[split]
    return {one.name: one.label for one in source.samples(0, len(source))}


def shape(label, points, kind="polygon", **more):
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "shape_type": kind,
        "flags": {},
        **more,
    }


def labelme(path, shapes, image=None, **changes):
    """A file of labelme, and its photograph beside it unless that is elsewhere."""
    facts = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image or f"{path.stem}.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }
    write(path, facts | changes)
    if image is None:
        photo(path.with_suffix(".jpg"))
