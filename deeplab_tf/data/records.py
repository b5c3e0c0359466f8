"""The records of a split: how many, in which order, and where each lies."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from deeplab_tf.data import tfrecord

_SHUFFLED = 500  # Records that are mixed at a time; smaller splits are wholly.


class Records(Protocol):
    """What a pipeline reads.

    Its data sets yield {"name", "image", "label"} as `tfrecord.parse` gives them: the
    file's stem, a JPEG or PNG, and a grey PNG of ids, empty where there is no label.
    """

    @property
    def table(self) -> np.ndarray | None:
        """Id in the labels -> class id; None where they are class ids already."""

    def count(self) -> int:
        """How many there are.

        Raises:
            InputError: A file ends within a record.
        """

    def epoch(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        """All of them, in an order that follows from `epoch`, an int64, and `seed`."""

    def in_order(self) -> tf.data.Dataset:
        """All of them, as they are stored."""

    def where(self, index: int) -> str:
        """File and number, for an error about the record `index` of `in_order`."""

    def parts(self) -> Sequence["Records"]:
        """What lies in each file, in order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shards:
    """Records in TFRecord files.

    Attributes:
        paths: Of the files.
        table: See `Records`.
    """

    paths: Sequence[str]
    table: np.ndarray | None = None

    def count(self) -> int:
        """See `Records`."""
        return sum(tfrecord.count(path) for path in self.paths)

    def epoch(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        """See `Records`."""
        order = tf.random.experimental.stateless_shuffle(
            tf.constant(self.paths), tf.stack([tf.cast(seed, tf.int64), epoch])
        )
        records = tf.data.Dataset.from_tensor_slices(order).interleave(
            tf.data.TFRecordDataset, cycle_length=4
        )
        return shuffled(records, seed, epoch).map(tfrecord.parse)

    def in_order(self) -> tf.data.Dataset:
        """See `Records`."""
        return tf.data.TFRecordDataset(list(self.paths)).map(tfrecord.parse)

    def where(self, index: int) -> str:
        """See `Records`."""
        for path in self.paths:
            count = tfrecord.count(path)
            if index < count:
                return f"{path}: record {index}"
            index -= count
        raise IndexError(index)

    def parts(self) -> Sequence["Shards"]:
        """See `Records`."""
        return [dataclasses.replace(self, paths=[path]) for path in self.paths]


def shuffled(records: tf.data.Dataset, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
    """`records.shuffle`, whose seed may not be a tensor."""
    specs = tf.nest.flatten(records.element_spec)
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(records),
        buffer_size=_SHUFFLED,
        seed=seed,
        seed2=epoch + 1,  # Two zeros would mean chance without a seed.
        output_types=[spec.dtype for spec in specs],
        output_shapes=[spec.shape for spec in specs],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, records.element_spec)
