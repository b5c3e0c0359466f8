"""TFRecord writer without TensorFlow, which a builder's processes do not need.

It would cost each of them three seconds of its start and 450 MB. The bytes are those
that TensorFlow writes, in its framing and the official schema.
"""

import dataclasses
import hashlib
import itertools
import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path

import google_crc32c

UNFINISHED = ".building"  # Folder beside shards, of a build that is not done.
PNG = b"\x89PNG\r\n\x1a\n"  # Begins the label of a record, whose bytes 24 and 25
LABEL_MODE = b"\x08\x00"  # are bit depth and color type: 8 bits, gray.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """An image and its mask, encoded.

    Attributes:
        name: Stem of the file, "2007_000032"; bytes that are not UTF-8 as Python has
            those of file names.
        image: JPEG or PNG.
        image_format: "jpeg" or "png".
        size: Height, width.
        label: PNG of 8 bits, gray: the class ids. Empty where there is none.
    """

    name: str
    image: bytes
    image_format: str
    size: tuple[int, int]
    label: bytes = b""

    @property
    def encoded_name(self) -> bytes:
        """The name as the record has it: the bytes that the file's name has."""
        return self.name.encode("utf-8", "surrogateescape")

    def serialize(self) -> bytes:
        """The record as a `tf.train.Example`, keys as in research/deeplab, sorted."""
        height, width = self.size
        features = {
            "image/encoded": _bytes(self.image),
            "image/filename": _bytes(self.encoded_name),
            "image/format": _bytes(self.image_format.encode()),
            "image/height": _int(height),
            "image/width": _int(width),
            "image/channels": _int(3),
            "image/segmentation/class/encoded": _bytes(self.label),
            "image/segmentation/class/format": _bytes(b"png"),
        }
        entries = (
            proto_field(1, key.encode()) + proto_field(2, features[key])
            for key in sorted(features)
        )
        return proto_field(1, b"".join(proto_field(1, entry) for entry in entries))


def shard_name(split: str, index: int, count: int) -> str:
    """`train-00000-of-00004.tfrecord`."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def shard_split(name: str) -> str | None:
    """The split that the name of such a file tells; None where it is another."""
    match = re.fullmatch(r"(.+)-\d{5}-of-\d{5}\.tfrecord", name)
    return match and match[1]


def write_shards(
    records: Iterable[Record], folder: Path, split: str, *, per_shard: list[int]
) -> None:
    """Writes a split's shards.

    Args:
        records: In order.
        folder: Where to.
        split: "train".
        per_shard: Records of each shard.
    """
    rest = iter(records)
    for index, size in enumerate(per_shard):
        path = folder / shard_name(split, index, len(per_shard))
        write_shard(itertools.islice(rest, size), path)


def write_shard(records: Iterable[Record], path: Path) -> str:
    """Writes one shard, onto the disk; returns its SHA-256.

    Raises:
        OSError: The disk is full, or the file cannot be written for another reason.
    """
    sha256 = hashlib.sha256()
    try:
        with path.open("wb") as file:
            for record in records:
                framed = frame(record.serialize())
                sha256.update(framed)
                file.write(framed)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.filename:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
    return sha256.hexdigest()


def frame(data: bytes) -> bytes:
    """A record of a TFRecord file: length and content, each with its checksum."""
    length = struct.pack("<Q", len(data))
    return length + masked_crc(length) + data + masked_crc(data)


def masked_crc(data: bytes) -> bytes:
    """The checksum of bytes, as TFRecord files have it."""
    crc = google_crc32c.value(data)
    rotated = (crc >> 15 | crc << 17) + 0xA282EAD8
    return struct.pack("<I", rotated & 0xFFFFFFFF)


# Protocol buffers' wire format, of `tf.train.Feature` and what is around it.


def _bytes(value: bytes) -> bytes:
    return proto_field(1, proto_field(1, value))


def _int(value: int) -> bytes:
    return proto_field(3, proto_field(1, _varint(value)))


def proto_field(number: int, content: bytes) -> bytes:
    """A field of bytes, text or another message."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
