"""Records that cannot be read: which they are."""

import contextlib
from collections.abc import Iterable, Iterator

import tensorflow as tf

from deeplab_tf.data import tfrecord
from deeplab_tf.data.records import Records
from deeplab_tf.errors import InputError

_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
)
Sample = dict[str, tf.Tensor]


def readable(batches: Iterable[Sample], records: Records) -> Iterator[Sample]:
    """Yields the batches; see `told`."""
    iterator = iter(batches)
    while True:
        with told(records):
            batch = next(iterator, None)
        if batch is None:
            return
        yield batch


@contextlib.contextmanager
def told(records: Records) -> Iterator[None]:
    """Makes an InputError of what TensorFlow raises on a record it cannot read."""
    try:
        yield
    except _ERRORS as error:
        if "IteratorGetNext" not in str(error):
            raise  # Not of a record: of the network.
        index = _first(records)
        if index is None:
            raise  # All can be read by now: the disk, or the network's file system.
        raise InputError(
            f"{records.where(index)} is damaged; copy or build it again"
        ) from None


def _first(records: Records) -> int | None:
    """Number of the first that is damaged."""
    index = 0
    try:
        for _ in records.in_order().map(_size, tf.data.AUTOTUNE):
            index += 1
    except _ERRORS:
        return index
    return None


def _size(sample: Sample) -> tf.Tensor:
    image = tfrecord.decode_image(sample["image"])
    if sample["label"] == b"":
        return tf.size(image)
    return tf.size(image) + tf.size(tfrecord.decode_label(sample["label"]))
