"""Records of a split: shuffle order of each epoch, counts, and where each lies.

The order has a version, which a run keeps. In 2, indices are shuffled, all of an epoch
at once, and each record is read where it lies; so any number of machines read their own
records alone, and to go on from the middle takes no reading. In 1, which is that of
runs begun before, whole files are read in a shuffled order through a buffer.
"""

import concurrent.futures
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from deeplab_tf import storage
from deeplab_tf.config import remedies
from deeplab_tf.data import tfrecord
from deeplab_tf.errors import InputError, Remedies

ORDER = 2  # The newest version.
_AT_A_TIME = 16  # Remote files whose headers are read.
_SHUFFLED = 500  # In order 1, records that are mixed at a time.


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

    @property
    def order(self) -> int:
        """Newest version of the order in which they can be read; 2 needs `read`."""

    def count(self) -> int:
        """How many there are.

        Raises:
            InputError: A file ends within a record.
        """

    def epoch(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        """All of them, in order 1, which follows from `epoch`, an int64, and `seed`."""

    def in_order(self) -> tf.data.Dataset:
        """All of them, as they are stored."""

    def where(self, index: int) -> str:
        """File and number, for an error about the record `index` of `in_order`."""

    def read(self, index: int | tf.Tensor) -> dict[str, tf.Tensor]:
        """The record `index` of `in_order`; TensorFlow's error where it is damaged.

        In order 2 the index may be a tensor of a graph.
        """

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

    @property
    def order(self) -> int:
        """See `Records`."""
        return ORDER

    def count(self) -> int:
        """See `Records`."""
        return sum(map(len, self._numbers.values()))

    def epoch(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        """See `Records`."""
        if self._is_remote:
            raise InputError(
                f"{self.paths[0]}: a run that an older deeplab_tf began reads whole "
                "files; copy the records to a disk, and give that --dataset_dir"
            )
        order = tf.random.experimental.stateless_shuffle(
            tf.constant(self.paths), tf.stack([tf.cast(seed, tf.int64), epoch])
        )
        records = tf.data.Dataset.from_tensor_slices(order).interleave(
            self._read, cycle_length=4
        )
        return shuffle(records, seed, epoch).map(tfrecord.parse_example)

    def in_order(self) -> tf.data.Dataset:
        """See `Records`."""
        if self._is_remote:
            return self.each()
        paths = tf.data.Dataset.from_tensor_slices(list(self.paths))
        return paths.flat_map(self._read).map(tfrecord.parse_example)

    def each(self) -> tf.data.Dataset:
        """As `in_order`, each read by itself: after an error, the next one comes."""
        indices = tf.data.Dataset.range(self.count())
        return indices.map(self.read, tf.data.AUTOTUNE, deterministic=True)

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

    def read(self, index: int | tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Records`."""
        with tf.init_scope():  # No graph holds a place for each record.
            paths, *places = (tf.constant(x) for x in (self.paths, *self._places))
        shard, offset, length = (tf.gather(column, index) for column in places)
        place = (tf.gather(paths, shard), offset, length)
        if self._is_remote:
            stored = _read_remote(place)
        else:
            stored = tfrecord.read_record_at(*place)
        return tfrecord.parse_example(stored)

    def by_file(self) -> Sequence["Shards"]:
        """See `Records`."""
        return [dataclasses.replace(self, paths=[path]) for path in self.paths]

    @property
    def _is_remote(self) -> bool:
        """Whether TensorFlow cannot read them, but fsspec."""
        return any(map(storage.is_remote, self.paths))

    @functools.cached_property
    def _edges(self) -> dict[str, list[int]]:
        """File -> where its records begin, and where the last one ends."""
        if not self._is_remote:
            return {path: tfrecord.edges(path) for path in self.paths}
        with concurrent.futures.ThreadPoolExecutor(_AT_A_TIME) as pool:
            return dict(
                zip(self.paths, pool.map(tfrecord.edges, self.paths), strict=True)
            )

    @functools.cached_property
    def _numbers(self) -> dict[str, Sequence[int]]:
        """File -> numbers of its records that are read; each of them is asked for."""
        numbers_of: dict[str, Sequence[int]] = {}
        for path, edges in self._edges.items():
            skipped = set(self.skipped.get(path, ()))
            numbers_of[path] = range(len(edges) - 1)
            if skipped:
                numbers_of[path] = [i for i in numbers_of[path] if i not in skipped]
        return numbers_of

    @functools.cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each record of `in_order`: number of its file, first byte, bytes."""
        columns: tuple[list, list, list] = ([], [], [])
        for shard, path in enumerate(self.paths):
            edges = np.array(self._edges[path], np.int64)
            numbers = np.array(self._numbers[path], np.int64)
            columns[0].append(np.full(len(numbers), shard, np.int32))
            columns[1].append(edges[numbers])
            columns[2].append(np.diff(edges)[numbers])
        shards, starts, lengths = map(np.concatenate, columns)
        return shards, starts, lengths

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
            lambda offset, count: tfrecord.read_run(
                path, offset, count, tfrecord.BUFFER
            )
        )

    def _runs(self) -> Iterator[tuple[str, int, int]]:
        """Yields what lies between records that are left out: file, offset, count."""
        for path in self.paths:
            edges = self._edges[path]
            apart = [-1, *sorted(self.skipped.get(path, ())), len(edges) - 1]
            for before, after in itertools.pairwise(apart):
                yield path, edges[before + 1], after - before - 1


def _read_remote(place: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """As `tfrecord.read_record_at`, by Python."""
    try:
        stored = tf.numpy_function(tfrecord.read_remote_record, place, tf.string)
    except ValueError as error:  # Outside of graphs it is not TensorFlow's.
        raise tf.errors.DataLossError(None, None, str(error)) from None
    return tf.ensure_shape(stored, ())


def require_label(
    sample: dict[str, tf.Tensor], records: Records
) -> dict[str, tf.Tensor]:
    """The sample; TensorFlow's error where it lacks a label that is needed."""
    if not records.needs_labels:
        return sample
    label = sample["label"]
    given = tf.strings.length(label) > 0  # Not `!= b""`, which copies it.
    label = tfrecord.require(given, label, "a record without a label")
    return sample | {"label": label}


def shuffle_indices(count: int, seed: int, start: int) -> tf.data.Dataset:
    """Order 2: endless pairs of an image's number and the index of its record, int64.

    Args:
        count: Records of an epoch.
        seed: From which, with the epoch, the order follows.
        start: The first number; those before it are not passed through.
    """
    first, skipped = divmod(start, count)

    def epoch_indices(epoch: tf.Tensor) -> tf.data.Dataset:
        numbers = tf.range(count, dtype=tf.int64)
        indices = tf.random.experimental.stateless_shuffle(
            numbers, tf.stack([tf.cast(seed, tf.int64), epoch])
        )
        begin = tf.where(epoch == first, skipped, 0)
        pairs = (epoch * count + numbers, indices)
        return tf.data.Dataset.from_tensor_slices(tuple(x[begin:] for x in pairs))

    return tf.data.Dataset.counter(first).flat_map(epoch_indices)


def shuffle(records: tf.data.Dataset, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
    """Order 1: `records.shuffle`, whose seed may not be a tensor."""
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
