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
from deeplab_tf.data.open_image import MAX_PIXELS, any_size
from deeplab_tf.errors import printable

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
    for source, name in shard.pictures:
        path = storage.join(shard.root, source)
        if shard.is_of_records:
            yield from _read_records(path, source, name)
            continue
        try:
            encoded = storage.read(path)
        except OSError as error:
            if error.errno not in _LASTING:
                raise
            yield Damaged(source, _LASTING[error.errno])
            continue
        yield _decode(source, name, encoded)


def _read_records(
    path: str, source: str, folder: str
) -> Iterator[Photograph | Damaged]:
    """Of a TFRecord file, whose masks lie in a folder of its name."""
    names, number = MaskNames(), -1
    with storage.open_file(path) as file:
        try:
            for number, record in enumerate(tfrecord_reader.read_records(file)):
                yield _parse(record, f"{source} record {number}", folder, names)
        except tfrecord_reader.Truncated as error:
            place = f"{source} record {number + 1}"
            yield Damaged(place, f"{error}; what follows it is not read")


def _parse(
    record: bytes | None, place: str, folder: str, names: MaskNames
) -> Photograph | Damaged:
    if record is None:
        return Damaged(place, "a wrong checksum")
    try:
        features = tfrecord_reader.parse_example(record)
        encoded = features["image/encoded"]
    except KeyError:
        return Damaged(place, "no image/encoded")
    except ValueError as error:
        return Damaged(place, str(error))
    text = features.get("image/filename", b"").decode("utf-8", "replace")
    name = text.rpartition("/")[2] or place.rpartition(" ")[2]
    chosen = f"{folder}/{names.choose(name)}"
    return _decode(f"{place} ({printable(name)})", chosen, _unturned(encoded))


def _unturned(encoded: bytes) -> bytes:
    """A record's image without EXIF orientation: its label lies as its pixels do."""
    try:
        with any_size():
            image = Image.open(io.BytesIO(encoded))
        if not runtime.is_turned(image):
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
        with any_size(), Image.open(io.BytesIO(encoded)) as image:
            width, height = image.size
    except (OSError, SyntaxError, ValueError):
        width = height = 0  # What it is instead is told below.
    if width * height > MAX_PIXELS:
        return Damaged(source, f"{width}x{height} pixels: more than {MAX_PIXELS}")
    try:
        pixels = runtime.decode_image(io.BytesIO(encoded), "")
    except runtime.ImageError as error:
        return Damaged(source, str(error).removeprefix(": "))
    return Photograph(source, name, encoded, pixels)
