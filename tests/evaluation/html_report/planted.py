"""Scenes of the embedded data set, some with an object that is labeled as another."""

import cv2
import numpy as np

from deeplab_tf import dataset_builders, flags
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import image_files
from deeplab_tf.data.specs import shapes
from deeplab_tf.dataset_builders import FileSource, Pair
from deeplab_tf.datasets.build_shapes_data import draw_scene

_VISIBLE = 150  # Pixels: of what is left to be seen of an object, over a hundredth.


def relabel(label, rng):
    """The label with one object, chosen at random, as another class."""
    objects = []
    for kind in range(1, 6):
        count, parts = cv2.connectedComponents((label == kind).astype(np.uint8))
        masks = (parts == part for part in range(1, count))
        objects += [(kind, mask) for mask in masks if mask.sum() >= _VISIBLE]
    if not objects:
        return None
    kind, mask = objects[rng.integers(len(objects))]
    others = [other for other in range(1, 6) if other != kind]
    return np.where(mask, rng.choice(others), label).astype(np.uint8)


def build(folder, *, size, planted, seed=3):
    """Records of `size` scenes, `train`; returns the names of those planted."""
    rng = np.random.default_rng(seed)
    scenes = [draw_scene(np.random.default_rng([seed, i])) for i in range(size)]
    others = {}
    for i in rng.permutation(size):
        label = relabel(scenes[i][1], rng)
        if label is not None and len(others) < planted:
            others[i] = label
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    pairs = []
    for i, (image, label) in enumerate(scenes):
        name = f"scene_{i:03d}"
        paths = [folder / kind / f"{name}.png" for kind in ("images", "labels")]
        paths[0].write_bytes(image_files.png(image))
        mask = image_files.png(others.get(i, label), shapes.SPEC.palette)
        paths[1].write_bytes(mask)
        pairs.append(Pair(name=name, image=paths[0], label=paths[1]))
    splits = {"train": FileSource(pairs=pairs)}
    dataset_builders.build(
        splits,
        shapes.SPEC,
        str(folder / "records"),
        shards=2,
        parallel=dataset_builders.ParallelConfig(processes=1),
    )
    return {f"scene_{i:03d}" for i in others}


def train(records, folder, *, steps=500):
    """A short training by the recipe of the embedded data set."""
    from deeplab_tf.training import run  # Heavy, and for this alone.

    words = [
        "--recipe=shapes",
        f"--training_number_of_steps={steps}",
        f"--dataset_dir={records}",
        f"--train_logdir={folder}",
    ]
    run.train(flags.parse(TrainConfig, ["train", *words]))
