"""COCO's objects, as most tools export them: with photographs in whatever folder.

A folder `train`, `valid` or `test`, or such a word in a file's name, is the split.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from deeplab_tf.dataset_builders import coco
from deeplab_tf.dataset_builders.annotation_tools.class_ids import (
    BACKGROUND,
    BACKGROUNDS,
)
from deeplab_tf.dataset_builders.annotation_tools.export import (
    UNDIVIDED,
    Export,
    ExportFolder,
    Options,
    Photographs,
    is_object,
    read_json,
)
from deeplab_tf.dataset_builders.sources import Pair
from deeplab_tf.dataset_builders.splits import split_name
from deeplab_tf.errors import InputError

_KEYS = ("images", "annotations", "categories")


def is_export(folder: ExportFolder) -> bool:
    """Whether there is a file of images, annotations and categories."""
    return folder.has_json(lambda facts: is_object(facts, _KEYS))


def read(folder: ExportFolder, options: Options) -> Export:
    """Reads all files of objects.

    Raises:
        InputError: A file cannot be read, a photograph is missing, or two files are
            of one split or have other categories.
    """
    files = _find_files(folder)
    annotations = {file: coco.read_annotations(file) for file in files.values()}
    names = options.class_names or _names(annotations)
    pairs = _find_photographs(folder, annotations)
    return Export(
        classes=names,
        splits={
            split: coco.CocoSource(
                file=file,
                pairs=pairs[file],
                classes=coco.choose_classes(annotations[file], names, file),
                ignore_label=options.ignore_label,
            )
            for split, file in files.items()
        },
    )


def _find_files(folder: ExportFolder) -> dict[str, Path]:
    """The file of each split."""
    files: dict[str, Path] = {}
    for path in folder.ending(".json"):
        if not is_object(read_json(path), _KEYS):
            continue
        split = _split_of(path)
        if split in files:
            raise InputError(
                f"{files[split]} and {path}: both are of {split or 'no split'}; give "
                "those to train and to test on by --coco_annotations, with --image_dir"
            )
        files[split] = path
    return files


def _split_of(path: Path) -> str:
    """By a word of the file's name, or its folder."""
    words = [*re.split(r"[^a-z]+", path.stem.lower()), path.parent.name]
    splits = [split_name(word) for word in words]
    known = [split for split in splits if split in ("train", "val", "test")]
    return known[0] if known else UNDIVIDED


def _names(annotations: Mapping[Path, coco.Annotations]) -> tuple[str, ...]:
    """Of the classes, without what is above all others and has no objects itself.

    Such a category Roboflow adds, called as the project.
    """
    used, names = set(), {}
    for file, some in annotations.items():
        names[file] = sorted(some.categories.values())
        if names[file] != names[first := next(iter(names))]:
            raise InputError(f"{first} and {file}: their categories differ")
        objects = [one for each in some.objects.values() for one in each]
        used |= {some.categories[one["category_id"]] for one in objects}
    categories = read_json(first)["categories"]
    above = {
        one.get("supercategory")
        for one in categories
        if one["name"] != one.get("supercategory")
    }
    named = annotations[first].categories.values()
    return (
        BACKGROUND,
        *(
            name
            for name in named
            if name not in BACKGROUNDS and (name in used or name not in above)
        ),
    )


def _find_photographs(
    folder: ExportFolder, annotations: Mapping[Path, coco.Annotations]
) -> dict[Path, list[Pair]]:
    """The photographs of each file, called as there."""
    named = {
        file / str(facts["id"]): facts["file_name"]
        for file, some in annotations.items()
        for facts in some.images.values()
    }
    pairs = Photographs(folder, folder.images).pair(named, "annotations")
    return {
        file: [
            Pair(name=name, image=pairs[file / str(facts["id"])].image, label=None)
            for name, facts in some.images.items()
        ]
        for file, some in annotations.items()
    }
