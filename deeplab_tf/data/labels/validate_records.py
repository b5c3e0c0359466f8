"""Validates the labels of records before work starts; names the first that is wrong."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf.data import tfrecord
from deeplab_tf.data.decode import Sample
from deeplab_tf.data.labels import contract
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError, LabelError, tell_remedies

_SAMPLE = 200


def check_records(records: Records, spec: DatasetSpec, how: str) -> LabelStatistics:
    """Checks labels of a split against the classes.

    Args:
        records: Of the split.
        spec: What the ids mean.
        how: "off", "sample" (200 records, spread over the files) or "full".

    Returns:
        What the masks that were read hold.

    Raises:
        InputError: A file is damaged, or a record breaks the label contract; says what
            would do.
    """
    check_not_empty(records)
    if how == "off":
        return LabelStatistics()
    with tell_remedies(records.remedies):
        statistics = _read_labels(records, spec, how)
        contract.check_statistics(statistics, spec, complete=how == "full")
    if spec.ignore_label < spec.num_classes:
        logging.info(
            'Class %d "%s" is the ignore label, and counts neither in loss nor scores',
            spec.ignore_label,
            spec.classes[spec.ignore_label],
        )
    return statistics


def check_not_empty(records: Records) -> None:
    """Raises an InputError where a split has no records."""
    if not records.count():
        path = records.where(0).rpartition(":")[0]
        raise InputError(f"{path}: no records in this shard, nor in the others")


def find_mistake(records: Records, index: int) -> str | None:
    """How the label of the record `index` of `in_order` breaks the label contract.

    A line with the record, its name, and what would do; None where record, image or
    label are damaged instead.
    """
    try:
        sample = records.read(index)
        if sample["label"].numpy() or records.needs_labels:
            _read_label(records.where(index), sample, records.table)
    except LabelError as error:
        return error.with_remedy(records.remedies)
    except (tf.errors.OpError, InputError):
        pass
    return None


def _read_labels(records: Records, spec: DatasetSpec, how: str) -> LabelStatistics:
    statistics, parts = LabelStatistics(), records.by_file()
    limit = max(1, _SAMPLE // len(parts)) if how == "sample" else -1
    for part in parts:
        for where, sample in _samples(part, limit):
            origin, ids = _read_label(where, sample, records.table)
            statistics.add(LabelStatistics.of_mask(origin, ids, spec))
    return statistics


def _samples(part: Records, limit: int) -> Iterator[tuple[str, Sample]]:
    """Yields what is in a file, each with where it is."""
    index = 0
    try:
        for sample in part.in_order().take(limit):
            yield part.where(index), sample
            index += 1
    except tf.errors.InvalidArgumentError:
        raise InputError(
            f"{part.where(index)}: no image with its mask; build it with "
            "datasets/build_*.py"
        ) from None
    except (tf.errors.DataLossError, tf.errors.NotFoundError):
        raise InputError(
            f"{part.where(index)} is damaged; copy or build it again"
        ) from None


def _read_label(
    where: str, sample: Sample, table: np.ndarray | None
) -> tuple[str, np.ndarray]:
    """Name of a record, for errors, and its class ids `[H, W]`."""
    where += f" ({tfrecord.decode_name(sample['name'])})"
    png = sample["label"].numpy()
    if not png:
        raise LabelError(
            f"{where}: it has no label; only vis.py can use this split",
            kind="no_label",
            file=where,
        )
    contract.check_label_png(where, png)
    try:
        size = tfrecord.decode_image(sample["image"]).shape[:2]
        ids = tfrecord.decode_label(sample["label"]).numpy()[..., 0]
    except tf.errors.InvalidArgumentError:
        raise InputError(f"{where}: its image or label is damaged") from None
    contract.check_size(Path(where), ids, tuple(size))
    return where, ids if table is None else table[ids]
