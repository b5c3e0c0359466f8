"""Corrupt records: names the one that cannot be read, or skips such ones."""

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator

import tensorflow as tf
from absl import logging

from deeplab_tf.data import decode
from deeplab_tf.data.decode import Sample
from deeplab_tf.data.labels import validate_records
from deeplab_tf.data.records import Records, Shards, require_label
from deeplab_tf.errors import FlagError, InputError

_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
)


def read_batches(batches: Iterable[Sample], records: Records) -> Iterator[Sample]:
    """Yields the batches; see `translate_read_errors`."""
    iterator = iter(batches)
    while True:
        with translate_read_errors(records):
            batch = next(iterator, None)
        if batch is None:
            return
        yield batch


@contextlib.contextmanager
def translate_read_errors(records: Records) -> Iterator[None]:
    """Makes of TensorFlow's error on a record an InputError that names the record."""
    try:
        yield
    except _ERRORS as error:
        if "IteratorGetNext" not in str(error):
            raise  # Not of a record: of the network.
        index = next(_find_corrupt(records.in_order(), records), None)
        if index is None:
            raise InputError(
                f"{records.where(0)}, or another, could not be read, though all can by "
                f"now: a disk or memory that fails? ({error.message.splitlines()[0]})"
            ) from None
        raise InputError(
            validate_records.find_mistake(records, index)
            or f"{records.where(index)} is damaged; copy or build it again"
        ) from None


def skip_corrupt(records: Records, most: int) -> Records:
    """The records without those that are damaged, all of which are read for it.

    What is left out follows from the files alone: a run that goes on, and each of
    several workers, sees the same records.

    Args:
        records: Of the split.
        most: How many may be damaged; at 0, nothing is read.

    Raises:
        InputError: More are, or all.
        FlagError: They are not in files that can be read record by record.
    """
    if not (most and records.count()):
        return records
    if not isinstance(records, Shards):
        raise FlagError(
            f"--max_bad_records={most}: of TFRecord shards alone, not of "
            f"{records.where(0)}; leave it at 0"
        )
    logging.info("--max_bad_records=%d: reading all records once", most)
    bad: list[int] = []
    for index in _find_corrupt(records.each(), records):
        what = validate_records.find_mistake(records, index)
        what = what or f"{records.where(index)} is damaged"
        if len(bad) == most:
            raise InputError(
                f"{what}, and {most} before it; --max_bad_records={most} allows no "
                "more: copy or build them again"
            )
        logging.warning("%s, and left out", what)
        bad.append(index)
    if len(bad) == records.count():
        raise InputError(
            f"{records.paths[0]}: all {len(bad)} records of the split are damaged; "
            "copy or build them again"
        )
    logging.info("%d of %d records are left out", len(bad), records.count())
    return records.without(bad)


def _find_corrupt(samples: tf.data.Dataset, records: Records) -> Iterator[int]:
    """Yields the number of each that cannot be decoded."""
    sizes = samples.map(
        functools.partial(_size, records=records), tf.data.AUTOTUNE, deterministic=True
    )
    iterator = iter(sizes)
    for index in itertools.count():
        try:
            next(iterator)
        except StopIteration:
            return
        except _ERRORS:
            yield index


def _size(sample: Sample, *, records: Records) -> tf.Tensor:
    pair = decode.decode_record(require_label(sample, records))
    return tf.add_n([tf.size(each) for each in pair])
