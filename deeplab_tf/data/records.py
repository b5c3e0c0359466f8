"""Records of a split: shuffle order of each epoch, counts, and where each lies."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from deeplab_tf.config import remedies
from deeplab_tf.data import tfrecord
from deeplab_tf.errors import Remedies

_SHUFFLED = 500  # Records that are mixed at a time; smaller splits are wholly.


class Records(Protocol):
    """Records of a split, as the input pipeline reads them.

    Its data sets yield {"name", "image", "label"} as `tfrecord.parse_example` gives
    them: the file's stem, a JPEG or PNG, and a gray PNG of ids, empty where there is no
    label.
    """

    @property
    def table(self) -> np.ndarray | None:
        """Id in the labels -> class id; None where they are class ids already."""

    @property
    def needs_labels(self) -> bool:
        """Whether a record without a label is a mistake."""

    @property
    def checksums(self) -> Mapping[str, str]:
        """SHA-256 of each file, by its path, as far as they are recorded."""

    @property
    def remedies(self) -> Remedies:
        """What to do about labels that break the contract, by kind."""

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

    def read(self, index: int) -> dict[str, tf.Tensor]:
        """The record `index` of `in_order`; TensorFlow's error where it is damaged."""

    def by_file(self) -> Sequence["Records"]:
        """What lies in each file, in order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shards:
    """Records in TFRecord files.

    Attributes:
        paths: Of the files.
        table: See `Records`.
        needs_labels: See `Records`.
        checksums: See `Records`.
        skipped: Numbers of records, by their file, that are as if they were not there.
    """

    paths: Sequence[str]
    table: np.ndarray | None = None
    needs_labels: bool = True
    checksums: Mapping[str, str] = dataclasses.field(default_factory=dict)
    skipped: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)

    @property
    def remedies(self) -> Remedies:
        """See `Records`."""
        return remedies.FOLDER

    def count(self) -> int:
        """See `Records`."""
        return sum(map(len, self._numbers.values()))

    def epoch(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        """See `Records`."""
        order = tf.random.experimental.stateless_shuffle(
            tf.constant(self.paths), tf.stack([tf.cast(seed, tf.int64), epoch])
        )
        records = tf.data.Dataset.from_tensor_slices(order).interleave(
            self._read, cycle_length=4
        )
        return shuffle(records, seed, epoch).map(tfrecord.parse_example)

    def in_order(self) -> tf.data.Dataset:
        """See `Records`."""
        paths = tf.data.Dataset.from_tensor_slices(list(self.paths))
        return paths.flat_map(self._read).map(tfrecord.parse_example)

    def each(self) -> tf.data.Dataset:
        """As `in_order`, each read by itself: after an error, the next one comes."""
        places = [
            (path, offset)
            for path in self.paths
            for number, offset in enumerate(tfrecord.offsets(path))
            if number not in self.skipped.get(path, ())
        ]
        paths, offsets = (list(column) for column in zip(*places, strict=True))
        stored = tf.data.Dataset.from_tensor_slices(
            (paths, tf.constant(offsets, tf.int64))
        )
        return stored.map(tfrecord.read_record_at, tf.data.AUTOTUNE).map(
            tfrecord.parse_example
        )

    def without(self, indexes: Iterable[int]) -> "Shards":
        """These but for some, given by their number in `in_order`."""
        skipped = {path: list(numbers) for path, numbers in self.skipped.items()}
        for path, number in map(self._place, indexes):
            skipped.setdefault(path, []).append(number)
        checksums = {
            path: sha256
            for path, sha256 in self.checksums.items()
            if path not in skipped  # Those are known to have changed.
        }
        return dataclasses.replace(self, skipped=skipped, checksums=checksums)

    def where(self, index: int) -> str:
        """See `Records`."""
        path, number = self._place(index)
        return f"{path}: record {number}"

    def read(self, index: int) -> dict[str, tf.Tensor]:
        """See `Records`."""
        path, number = self._place(index)
        offset = tfrecord.offsets(path)[number]
        stored = tfrecord.read_record_at(
            tf.constant(path), tf.constant(offset, tf.int64)
        )
        return tfrecord.parse_example(stored)

    def by_file(self) -> Sequence["Shards"]:
        """See `Records`."""
        return [dataclasses.replace(self, paths=[path]) for path in self.paths]

    @functools.cached_property
    def _numbers(self) -> dict[str, Sequence[int]]:
        """File -> numbers of its records that are read; each of them is asked for."""
        numbers_of: dict[str, Sequence[int]] = {}
        for path in self.paths:
            skipped, count = set(self.skipped.get(path, ())), tfrecord.count(path)
            numbers_of[path] = range(count)
            if skipped:
                numbers_of[path] = [i for i in numbers_of[path] if i not in skipped]
        return numbers_of

    def _place(self, index: int) -> tuple[str, int]:
        """Looks up the file of a record, and its number there."""
        for path, numbers in self._numbers.items():
            if index < len(numbers):
                return path, numbers[index]
            index -= len(numbers)
        return self.paths[-1], index  # Of a split without records.

    def _read(self, path: tf.Tensor) -> tf.data.Dataset:
        """Serialized records of a file."""
        if not self.skipped:
            return tf.data.TFRecordDataset(path)
        paths, offsets, counts = zip(*self._runs(), strict=True)
        of_path = tf.equal(paths, path)
        runs = tuple(
            tf.boolean_mask(tf.constant(column, tf.int64), of_path)
            for column in (offsets, counts)
        )
        return tf.data.Dataset.from_tensor_slices(runs).flat_map(
            functools.partial(tfrecord.read_run, path)
        )

    def _runs(self) -> Iterator[tuple[str, int, int]]:
        """Yields what lies between records that are left out: file, offset, count."""
        for path in self.paths:
            offsets = [*tfrecord.offsets(path), 0]  # 0: nothing may follow the last.
            edges = [-1, *sorted(self.skipped.get(path, ())), len(offsets) - 1]
            for before, after in itertools.pairwise(edges):
                yield path, offsets[before + 1], after - before - 1


def require_label(
    sample: dict[str, tf.Tensor], records: Records
) -> dict[str, tf.Tensor]:
    """The sample; TensorFlow's error where it lacks a label that is needed."""
    if not records.needs_labels:
        return sample
    label = sample["label"]
    label = tfrecord.require(label != b"", label, "a record without a label")
    return sample | {"label": label}


def shuffle(records: tf.data.Dataset, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
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
