"""TFRecord reader without TensorFlow: records of a file, and what an Example holds."""

import struct
from collections.abc import Iterator
from typing import IO

from deeplab_tf.data.tfrecord_writer import masked_crc

HEADER, FOOTER = 12, 4  # Bytes around a record: length, checksum; checksum.


class Truncated(ValueError):
    """A file that ends within a record, or whose next record cannot be found."""


def read_records(file: IO[bytes]) -> Iterator[bytes | None]:
    """Yields the records of a file; None for one whose checksum is wrong.

    Raises:
        Truncated: What follows cannot be read.
    """
    while header := file.read(HEADER):
        length, length_crc = header[:8], header[8:]
        if masked_crc(length) != length_crc:
            raise Truncated("no TFRecord file, or damaged from here on")
        size = struct.unpack("<Q", length)[0]
        data, footer = file.read(size), file.read(FOOTER)
        if len(data) < size or len(footer) < FOOTER:
            raise Truncated("cut off within this record")
        yield data if masked_crc(data) == footer else None


def parse_example(record: bytes) -> dict[str, bytes]:
    """The first text of each feature of a `tf.train.Example` that holds texts.

    Raises:
        ValueError: It is none.
    """
    texts: dict[str, bytes] = {}
    for features in _of(record, 1):
        for entry in _of(features, 1):
            (key,), (feature,) = _of(entry, 1), _of(entry, 2) or [b""]
            for texts_list in _of(feature, 1):
                texts |= {key.decode(): text for text in _of(texts_list, 1)[:1]}
    return texts


def _of(message: bytes, number: int) -> list[bytes]:
    """Contents of a field of a message, in the wire format of protocol buffers."""
    contents, place = [], 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == 2:
            size, place = _varint(message, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        elif kind == 0:
            size = _varint(message, place)[1] - place
        else:
            raise ValueError("not an Example")
        if place + size > len(message):
            raise ValueError("not an Example: it is cut off")
        if tag >> 3 == number and kind == 2:
            contents.append(message[place : place + size])
        place += size
    return contents


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("not an Example: it is cut off")
