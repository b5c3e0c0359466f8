"""Records of a piece of a shard, looked at one by one: work for a process."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from deeplab_tf.data import tfrecord
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.dataset_builders.shard import sha256
from deeplab_tf.dataset_report import record, thumbnails

_RECORDS = 100  # Of a piece: some seconds of work.
_PICTURES = 60  # Of a piece.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
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
class Entry:
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
class Found:
    """What is in a piece.

    Attributes:
        entries: Of each record that could be read.
        faults: Record and what is wrong with it.
        doubts: Record and what may be wrong with it.
        pictures: Of suspicious records, by number: image and mask, JPEG files.
        overlays: Of those to be shown, by number: the image tinted by its mask.
        tally: What the masks hold.
        sizes: (height, width) -> images.
        sha256: Of the shard; empty but in its first piece.
    """

    entries: list[Entry] = dataclasses.field(default_factory=list)
    faults: list[tuple[Entry, str]] = dataclasses.field(default_factory=list)
    doubts: list[tuple[Entry, str]] = dataclasses.field(default_factory=list)
    pictures: dict[int, bytes] = dataclasses.field(default_factory=dict)
    overlays: dict[int, bytes] = dataclasses.field(default_factory=dict)
    tally: LabelStatistics = dataclasses.field(default_factory=LabelStatistics)
    sizes: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    sha256: str = ""


def pieces(
    split: str, path: str, offsets: list[int], shown: set[int], spec: DatasetSpec
) -> Iterator[Piece]:
    """Yields a shard in pieces; an empty one, too, is one."""
    for first in range(0, len(offsets) or 1, _RECORDS):
        yield Piece(
            split=split,
            path=path,
            first=first,
            offsets=tuple(offsets[first : first + _RECORDS]),
            shown=frozenset(shown),
            spec=spec,
        )


def read(piece: Piece) -> Found:
    """Looks at each record of a piece."""
    found = Found()
    if not piece.first:
        found.sha256 = sha256(Path(piece.path))
    for index, serialized in enumerate(_serialized(piece), piece.first):
        if serialized is None:
            entry = _entry(piece, index, record.Content())
            found.faults.append(
                (entry, "its checksum is wrong; copy or build it again")
            )
        else:
            _add(found, piece, index, record.look(serialized, piece.spec))
    return found


def _add(found: Found, piece: Piece, index: int, looked: record.Content) -> None:
    entry = _entry(piece, index, looked)
    found.entries.append(entry)
    found.faults += [(entry, fault) for fault in looked.faults]
    found.doubts += [(entry, doubt) for doubt in looked.doubts]
    if looked.image is not None:
        found.sizes[looked.image.shape[0], looked.image.shape[1]] += 1
    found.tally.add(looked.tally)
    if looked.faults or looked.doubts:
        if len(found.pictures) < _PICTURES:
            found.pictures[index] = thumbnails.beside(
                looked.image, looked.ids, piece.spec
            )
    elif index in piece.shown and looked.image is not None:
        found.overlays[index] = _drawn(looked, piece.spec)


def picture(piece: Piece, index: int) -> bytes:
    """Image and mask of the record of this number in the shard, read once more."""
    at = piece.offsets[index - piece.first]
    serialized = tfrecord.read_record_at(
        tf.constant(piece.path), tf.constant(at, tf.int64)
    )
    looked = record.look(serialized.numpy(), piece.spec)
    return thumbnails.beside(looked.image, looked.ids, piece.spec)


def _drawn(looked: record.Content, spec: DatasetSpec) -> bytes:
    assert looked.image is not None
    if looked.ids is None:  # Of a test split.
        return thumbnails.beside(looked.image, None, spec)
    return thumbnails.overlay(looked.image, looked.ids, spec)


def _entry(piece: Piece, index: int, looked: record.Content) -> Entry:
    return Entry(
        split=piece.split,
        shard=Path(piece.path).name,
        index=index,
        name=looked.name,
        digest=looked.digest(),
        has_label=looked.has_label,
    )


def _serialized(piece: Piece) -> Iterator[bytes | None]:
    """Yields each record; None for one whose checksum is wrong."""
    offsets = tf.data.Dataset.from_tensor_slices(tf.constant(piece.offsets, tf.int64))
    records = iter(offsets.map(lambda at: tfrecord.read_record_at(piece.path, at)))
    for _ in piece.offsets:
        try:
            yield next(records).numpy()
        except tf.errors.DataLossError:
            yield None
