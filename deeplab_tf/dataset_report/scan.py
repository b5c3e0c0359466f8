"""Shard scan: a range of records, inspected one by one; work for a process."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from deeplab_tf.data import tfrecord
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.dataset_report.record import InspectedRecord, inspect_record
from deeplab_tf.files import file_digest
from deeplab_tf.visualizing import thumbnails

_RECORDS = 100  # Of a range: some seconds of work.
_PICTURES = 60  # Of a range.


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordRange:
    """Some records of a shard, and what to keep of them.

    Attributes:
        split: "train".
        path: Of the shard.
        first: Number in the shard of the first record.
        offsets: Where each begins, in bytes.
        shown: Numbers in the shard of records to draw.
        spec: What the ids mean.
    """

    split: str
    path: str
    first: int
    offsets: tuple[int, ...]
    shown: frozenset[int]
    spec: DatasetSpec

    def __len__(self) -> int:
        return len(self.offsets)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordEntry:
    """What is kept of a record.

    Attributes:
        split: "train".
        shard: Name of its file.
        index: Number in it.
        name: Of its image.
        digest: Of its image's pixels; empty where there are none.
        has_label: Whether there is a mask.
    """

    split: str
    shard: str
    index: int
    name: str
    digest: bytes
    has_label: bool

    @property
    def where(self) -> str:
        """As faults name it."""
        name = f" ({self.name})" if self.name else ""
        return f"{self.split}, {self.shard}, record {self.index}{name}"


@dataclasses.dataclass(kw_only=True)
class RangeScan:
    """What is in a range of records.

    Attributes:
        entries: Of each record that could be read.
        faults: Record and what is wrong with it.
        doubts: Record and what may be wrong with it.
        pictures: Of suspicious records, by number: image and mask, JPEG files.
        overlays: Of those to be shown, by number: the image tinted by its mask.
        tally: What the masks hold.
        sizes: (height, width) -> images.
        sha256: Of the shard; empty but for its first range.
    """

    entries: list[RecordEntry] = dataclasses.field(default_factory=list)
    faults: list[tuple[RecordEntry, str]] = dataclasses.field(default_factory=list)
    doubts: list[tuple[RecordEntry, str]] = dataclasses.field(default_factory=list)
    pictures: dict[int, bytes] = dataclasses.field(default_factory=dict)
    overlays: dict[int, bytes] = dataclasses.field(default_factory=dict)
    tally: LabelStatistics = dataclasses.field(default_factory=LabelStatistics)
    sizes: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    sha256: str = ""


def split_shard(
    split: str, path: str, offsets: list[int], shown: set[int], spec: DatasetSpec
) -> Iterator[RecordRange]:
    """Yields the ranges of a shard; an empty shard, too, is one."""
    for first in range(0, len(offsets) or 1, _RECORDS):
        yield RecordRange(
            split=split,
            path=path,
            first=first,
            offsets=tuple(offsets[first : first + _RECORDS]),
            shown=frozenset(shown),
            spec=spec,
        )


def scan_range(records: RecordRange) -> RangeScan:
    """Inspects each record of a range."""
    scanned = RangeScan()
    if not records.first:
        scanned.sha256 = file_digest(Path(records.path))
    for index, serialized in enumerate(_read_serialized(records), records.first):
        if serialized is None:
            entry = _entry(records, index, InspectedRecord())
            scanned.faults.append(
                (entry, "its checksum is wrong; copy or build it again")
            )
        else:
            _add(scanned, records, index, inspect_record(serialized, records.spec))
    return scanned


def _add(
    scanned: RangeScan, records: RecordRange, index: int, record: InspectedRecord
) -> None:
    entry = _entry(records, index, record)
    scanned.entries.append(entry)
    scanned.faults += [(entry, fault) for fault in record.faults]
    scanned.doubts += [(entry, doubt) for doubt in record.doubts]
    if record.image is not None:
        scanned.sizes[record.image.shape[0], record.image.shape[1]] += 1
    scanned.tally.add(record.tally)
    if record.faults or record.doubts:
        if len(scanned.pictures) < _PICTURES:
            scanned.pictures[index] = thumbnails.side_by_side(
                record.image, record.ids, records.spec
            )
    elif index in records.shown and record.image is not None:
        scanned.overlays[index] = _overlay(record, records.spec)


def draw_record(records: RecordRange, index: int) -> bytes:
    """Image and mask of the record of this number in the shard, read once more."""
    at = records.offsets[index - records.first]
    serialized = tfrecord.read_record_at(
        tf.constant(records.path), tf.constant(at, tf.int64)
    )
    record = inspect_record(serialized.numpy(), records.spec)
    return thumbnails.side_by_side(record.image, record.ids, records.spec)


def _overlay(record: InspectedRecord, spec: DatasetSpec) -> bytes:
    assert record.image is not None
    if record.ids is None:  # Of a test split.
        return thumbnails.side_by_side(record.image, None, spec)
    return thumbnails.overlay(record.image, record.ids, spec)


def _entry(records: RecordRange, index: int, record: InspectedRecord) -> RecordEntry:
    return RecordEntry(
        split=records.split,
        shard=Path(records.path).name,
        index=index,
        name=record.name,
        digest=record.digest(),
        has_label=record.has_label,
    )


def _read_serialized(records: RecordRange) -> Iterator[bytes | None]:
    """Yields each record; None for one whose checksum is wrong."""
    offsets = tf.data.Dataset.from_tensor_slices(tf.constant(records.offsets, tf.int64))
    serialized = iter(offsets.map(lambda at: tfrecord.read_record_at(records.path, at)))
    for _ in records.offsets:
        try:
            yield next(serialized).numpy()
        except tf.errors.DataLossError:
            yield None
