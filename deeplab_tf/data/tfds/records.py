"""A split of a prepared data set of tensorflow_datasets, as records are read."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.config import remedies
from deeplab_tf.config.data import TFDS
from deeplab_tf.data import tfrecord
from deeplab_tf.data.decode import Sample
from deeplab_tf.data.records import shuffle
from deeplab_tf.data.tfds.builder import PreparedDataset, silence_logging
from deeplab_tf.errors import InputError, Remedies


@dataclasses.dataclass(frozen=True)
class FileSlice:
    """Consecutive examples of a split, `start` to `stop - 1`, that lie in one file."""

    split: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TfdsRecords:
    """A `records.Records`; can be pickled.

    Attributes:
        data: Of which data set.
        split: As tensorflow_datasets spells it, `train[:80%]`.
        slices: What the split is, in order.
        needs_labels: See `records.Records`.
    """

    data: PreparedDataset
    split: str
    slices: tuple[FileSlice, ...]
    needs_labels: bool = True

    @property
    def table(self) -> np.ndarray | None:
        """See `records.Records`."""
        return self.data.table

    @property
    def checksums(self) -> Mapping[str, str]:
        """None: tensorflow_datasets verifies what it prepares."""
        return {}

    @property
    def remedies(self) -> Remedies:
        """See `records.Records`."""
        return remedies.TFDS

    @property
    def order(self) -> int:
        """1: tensorflow_datasets reads its files from their beginnings."""
        return 1

    def count(self) -> int:
        """See `records.Records`."""
        return sum(map(len, self.slices))

    def epoch(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        """See `records.Records`."""
        stored = self._stored_parts
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(stored)), tf.stack([tf.cast(seed, tf.int64), epoch])
        )
        samples = tf.data.Dataset.from_tensor_slices(order).interleave(
            functools.partial(_chosen, stored), cycle_length=4
        )
        return shuffle(samples, seed, epoch)

    def in_order(self) -> tf.data.Dataset:
        """See `records.Records`."""
        first, *others = self._stored_parts
        return functools.reduce(tf.data.Dataset.concatenate, others, first)

    def where(self, index: int) -> str:
        """See `records.Records`."""
        (part,) = intersect(self.slices, index, index + 1)
        return f"{TFDS}{self.data.name} {part.split}: example {part.start}"

    def read(self, index: int) -> Sample:
        """See `records.Records`."""
        return next(iter(self.select(index, index + 1).in_order()))

    def by_file(self) -> Sequence["TfdsRecords"]:
        """See `records.Records`."""
        return [dataclasses.replace(self, slices=(part,)) for part in self.slices]

    def select(self, start: int, stop: int) -> "TfdsRecords":
        """Its records `start` to `stop - 1`."""
        slices = tuple(intersect(self.slices, start, stop))
        return dataclasses.replace(self, slices=slices)

    @functools.cached_property
    def _stored_parts(self) -> list[tf.data.Dataset]:
        """Parsed samples of each part, outside of whatever graph asks first."""
        builder = self.data.builder
        with silence_logging(), tf.init_scope():
            return [_read(builder, self.data, part) for part in self.slices]


def open_split(
    data: PreparedDataset, split: str, *, needs_labels: bool = True
) -> TfdsRecords:
    """The records of a split, or of slices of some.

    Raises:
        InputError: There is no such split, or it is empty.
    """
    import tensorflow_datasets as tfds

    splits = data.builder.info.splits
    try:
        parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(splits)
    except ValueError as error:
        sizes = [f"{name} ({info.num_examples})" for name, info in splits.items()]
        first = str(error).strip().splitlines()[0]
        raise InputError(
            f"{TFDS}{data.name}: no split {split}; it has {', '.join(sizes)}, and "
            f"slices as train[:80%] ({first})"
        ) from None
    slices: list[FileSlice] = []
    for part in parts:
        whole = _file_slices(part.splitname, splits[part.splitname].shard_lengths)
        stop = splits[part.splitname].num_examples if part.to is None else part.to
        slices += intersect(whole, part.from_ or 0, stop)
    if not slices:
        raise InputError(f"{TFDS}{data.name}: split {split} has no examples")
    return TfdsRecords(
        data=data, split=split, slices=tuple(slices), needs_labels=needs_labels
    )


def _file_slices(split: str, lengths: Sequence[int]) -> list[FileSlice]:
    """The files of a split."""
    edges = np.cumsum([0, *lengths]).tolist()
    return [FileSlice(split, start, stop) for start, stop in itertools.pairwise(edges)]


def intersect(
    slices: Sequence[FileSlice], start: int, stop: int
) -> Iterator[FileSlice]:
    """Yields what slices in a row hold of `start` to `stop - 1`, none of it empty."""
    before = 0
    for part in slices:
        first = max(start - before, 0)
        last = min(stop - before, len(part))
        if first < last:
            yield FileSlice(part.split, part.start + first, part.start + last)
        before += len(part)


def _read(builder: Any, data: PreparedDataset, part: FileSlice) -> tf.data.Dataset:
    import tensorflow_datasets as tfds

    wanted = [name for name in dataclasses.astuple(data.features) if name]
    encoded = {
        name: tfds.decode.SkipDecoding()
        for name in (data.features.image, data.features.label)
    }
    examples = builder.as_dataset(
        split=tfds.core.ReadInstruction(
            part.split, from_=part.start, to=part.stop, unit="abs"
        ),
        decoders=tfds.decode.PartialDecoding(dict.fromkeys(wanted, True), encoded),
        shuffle_files=False,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    return examples.enumerate(part.start).map(
        functools.partial(_sample, data=data, split=part.split)
    )


def _sample(
    number: tf.Tensor, example: Sample, *, data: PreparedDataset, split: str
) -> Sample:
    name = tf.strings.as_string(number, width=6, fill="0")
    if data.features.name:
        name = tfrecord.stem(example[data.features.name])
    else:
        name = tf.strings.join([split, name], "_")
    return {
        "name": name,
        "image": example[data.features.image],
        "label": example[data.features.label],
    }


def _chosen(stored: Sequence[tf.data.Dataset], index: tf.Tensor) -> tf.data.Dataset:
    """`stored[index]`; the index is a tensor."""
    branches = [functools.partial(tf.data.experimental.to_variant, s) for s in stored]
    variant = tf.switch_case(index, branches)
    return tf.data.experimental.from_variant(variant, stored[0].element_spec)
