"""Reads the labels of records before work starts, and names the first that is wrong."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf.data import labels, tfrecord
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.tally import Tally
from deeplab_tf.errors import InputError

_SAMPLE = 200


def check_records(shards: list[str], spec: DatasetSpec, how: str) -> None:
    """Checks labels of a split against the classes.

    Args:
        shards: Paths.
        spec: What the ids mean.
        how: "off", "sample" (200 records, spread over the shards) or "full".

    Raises:
        InputError: A shard is damaged, or a record breaks the label contract.
    """
    counts = {path: tfrecord.count(path) for path in shards}
    if not sum(counts.values()):
        raise InputError(f"{shards[0]}: no records in this shard, nor in the others")
    if how == "off":
        return
    limit = max(1, _SAMPLE // len(shards)) if how == "sample" else None
    tally = Tally()
    for path in shards:
        for index, serialized in enumerate(tfrecord.read(path)):
            if index == limit:
                break
            where, ids = _read(path, index, serialized)
            tally.add(Tally.of(where, ids, spec))
    labels.check(tally, spec, complete=how == "full")
    if spec.ignore_label < spec.num_classes:
        logging.info(
            'Class %d "%s" is the ignore label, and counts neither in loss nor scores',
            spec.ignore_label,
            spec.classes[spec.ignore_label],
        )


def _read(path: str, index: int, serialized: bytes) -> tuple[str, np.ndarray]:
    where = f"{Path(path).name} record {index}"
    try:
        sample = tfrecord.parse(serialized)
    except tf.errors.InvalidArgumentError:
        raise InputError(
            f"{where}: no image with its mask; build it with datasets/build_*.py"
        ) from None
    where += f" ({sample['name'].numpy().decode()})"
    png = sample["label"].numpy()
    if not png:
        raise InputError(f"{where}: it has no label; only vis.py can use this split")
    labels.check_file(where, png)
    try:
        size = tfrecord.decode_image(sample["image"]).shape[:2]
        ids = tfrecord.decode_label(sample["label"]).numpy()[..., 0]
    except tf.errors.InvalidArgumentError:
        raise InputError(f"{where}: its image or label is damaged") from None
    labels.check_size(Path(where), ids, tuple(size))
    return where, ids
