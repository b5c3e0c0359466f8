"""Pictures of a shard, read one by one; what cannot be read is told, not lost."""

import errno
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from deeplab_tf import runtime, storage
from deeplab_tf.batch_inference.mask_names import MaskNames
from deeplab_tf.batch_inference.shards import Shard
from deeplab_tf.data import tfrecord_reader
from deeplab_tf.errors import printable

_ORIENTATION = 0x0112  # Of EXIF data.
# What another try would not change, unlike a network that is down.
_LASTING = {
    errno.EACCES: "it may not be read",
    errno.EISDIR: "a folder",
    errno.ELOOP: "a link to itself",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.EPERM: "it may not be read",
}


class Photograph(NamedTuple):
    """A photograph: see `shards.Picture`; its file, and RGB, uint8 `[H, W, 3]`."""

    source: str
    name: str
    encoded: bytes
    pixels: np.ndarray


class Damaged(NamedTuple):
    """What cannot be read, and why."""

    source: str
    reason: str


def read(shard: Shard) -> Iterator[Photograph | Damaged]:
    """Yields the pictures of a shard, in order.

    Raises:
        OSError: A disk or a network fails; another try may succeed.
    """
    if shard.records:
        yield from _read_records(shard.records.path, shard.records.name)
        return
    for path, source, name in shard.pictures:
        try:
            encoded = storage.read(path)
        except OSError as error:
            if error.errno not in _LASTING:
                raise
            yield Damaged(source, _LASTING[error.errno])
            continue
        yield _decode(source, name, encoded)


def _read_records(path: str, folder: str) -> Iterator[Photograph | Damaged]:
    """Of a TFRecord file: masks lie in a folder of its name."""
    names, number = MaskNames(), -1
    file_name = path.rpartition("/")[2]
    with storage.open_file(path) as file:
        records = tfrecord_reader.read_records(file)
        while True:
            number += 1
            place = f"{file_name} record {number}"
            try:
                record = next(records, b"")
                if record == b"":
                    return
                if record is None:
                    raise ValueError("a wrong checksum")
                features = tfrecord_reader.parse_example(record)
                encoded = features["image/encoded"]
            except tfrecord_reader.Truncated as error:
                yield Damaged(place, f"{error}; what follows it is not read")
                return
            except KeyError:
                yield Damaged(place, "no image/encoded")
                continue
            except ValueError as error:
                yield Damaged(place, str(error))
                continue
            text = features.get("image/filename", b"").decode("utf-8", "replace")
            name = text.rpartition("/")[2] or f"{number:06d}"
            source = f"{place} ({printable(name)})"
            yield _decode(source, f"{folder}/{names.choose(name)}", _unturned(encoded))


def _unturned(encoded: bytes) -> bytes:
    """A record's image without EXIF orientation: its label lies as its pixels do."""
    try:
        image = Image.open(io.BytesIO(encoded))
        if image.getexif().get(_ORIENTATION) not in range(2, 9):
            return encoded
        stream = io.BytesIO()
        Image.fromarray(np.asarray(image.convert("RGB"))).save(stream, "PNG")
        return stream.getvalue()
    except (OSError, SyntaxError, ValueError):  # Damaged, which is told later.
        return encoded


def _decode(source: str, name: str, encoded: bytes) -> Photograph | Damaged:
    if not encoded:
        return Damaged(source, "an empty file")
    try:
        pixels = runtime.decode_image(io.BytesIO(encoded), "")
    except runtime.ImageError as error:
        return Damaged(source, str(error).removeprefix(": "))
    return Photograph(source, name, encoded, pixels)
