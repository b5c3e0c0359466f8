"""TFRecord files: the official Example schema and shard names, both ways."""

import io
import itertools
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_tf import storage
from deeplab_tf.data import image_folders
from deeplab_tf.data.tfrecord_reader import FOOTER, HEADER, read_records
from deeplab_tf.data.tfrecord_writer import (
    LABEL_MODE,
    PNG,
    UNFINISHED,
    Record,
    shard_name,
    write_shards,
)
from deeplab_tf.errors import InputError, printable

__all__ = [
    "Record",
    "decode_image",
    "decode_label",
    "decode_name",
    "find_shards",
    "parse_example",
    "read",
    "require",
    "shard_name",
    "write_shards",
]

_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/filename": tf.io.FixedLenFeature((), tf.string, ""),
    "image/segmentation/class/encoded": tf.io.FixedLenFeature((), tf.string, ""),
}
DCT = "INTEGER_ACCURATE"  # Of JPEGs; see `decode_image`.
BUFFER = 256 * 1024  # Bytes that are read at a time, where nobody knows how many.
_NUMBER = re.compile(r"-(\d+)-of-(\d+)")


def parse_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """A serialized record -> {"name", "image", "label"}, the latter two still encoded.

    The name is the file's stem, whichever part of its path a builder stored.
    """
    features = tf.io.parse_single_example(serialized, _FEATURES)
    return {
        "name": stem(features["image/filename"]),
        "image": features["image/encoded"],
        "label": features["image/segmentation/class/encoded"],
    }


def stem(name: tf.Tensor) -> tf.Tensor:
    """A path without its folders and suffix."""
    without_folders = tf.strings.regex_replace(name, r"^\C*/", "")  # \C: any byte.
    return tf.strings.regex_replace(without_folders, r"\.(?i:jpe?g|png)$", "")


def decode_name(name: tf.Tensor) -> str:
    """A record's name, as a line can show it: what is no text in it is escaped."""
    return printable(name.numpy().decode("utf-8", "surrogateescape"))


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """JPEG or PNG bytes -> uint8 `[H, W, 3]`, by content, not by name.

    The accurate DCT alone gives the pixels that Pillow and OpenCV give; TensorFlow's
    default moves a trained network's mIoU by up to 0.0025.
    """
    image = tf.cond(
        is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, 3, dct_method=DCT),
        lambda: tf.io.decode_png(encoded, 3),
    )
    return tf.ensure_shape(image, (None, None, 3))


def is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Whether it is a JPEG, by content."""
    return tf.strings.substr(encoded, 0, 3) == b"\xff\xd8\xff"


def decode_label(encoded: tf.Tensor) -> tf.Tensor:
    """Gray PNG of 8 bits -> class ids, uint8 `[H, W, 1]`; anything else fails.

    TensorFlow would read other values than the file has of fewer or more bits, of a
    palette, of colors and of a JPEG. `labels.contract.check_label_png` tells which.
    """
    header = tf.strings.substr(encoded, 0, 26) + b"\0" * 26
    begins = tf.strings.substr(header, 0, len(PNG)) == PNG
    is_plain = begins & (tf.strings.substr(header, 24, 2) == LABEL_MODE)
    checked = require(is_plain, encoded, "a label that is no gray PNG of 8 bits")
    return tf.ensure_shape(tf.io.decode_png(checked, 1), (None, None, 1))


def require(condition: tf.Tensor, value: tf.Tensor, what: str) -> tf.Tensor:
    """The value, where a condition holds; else a TensorFlow error, in a graph, too.

    The error quotes no bytes of a record, which Python could not read as text.
    """
    with tf.control_dependencies([tf.debugging.Assert(condition, [what])]):
        return tf.identity(value)


def splits(folder: str) -> list[str]:
    """Names of the splits of which a folder has shards, sorted."""
    names = storage.list_names(folder)
    return sorted({split_prefix(name) for name in names if "-of-" in name})


def find_shards(folder: str, split: str) -> list[str]:
    """Paths of a split's shards, in order.

    Raises:
        InputError: There are none, some are missing, or two sets are mixed.
    """
    names = [
        name for name in storage.list_names(folder) if name.startswith(f"{split}-")
    ]
    # Official readers take `train-*`, whatever follows; but `train-x-00000-of-00004` is
    # of another split.
    names = [name for name in names if split_prefix(name) in (split, name)]
    if not storage.is_remote(folder):
        names = [name for name in names if Path(folder, name).is_file()]
    if not names:
        others = splits(folder)
        has = f"it has {', '.join(others)}" if others else "it has no shards"
        raise InputError(f"{folder}: no shards {split}-*; {has}{_hint(folder)}")
    matches = [match for name in names if (match := _NUMBER.search(name))]
    counts = {match[2] for match in matches}
    if len(counts) > 1:
        raise InputError(
            f"{folder}: shards {split}-* of two sets, {' and '.join(sorted(counts))} "
            "files; remove the older ones"
        )
    if counts and len(names) != int(*counts):
        raise InputError(
            f"{folder}: {len(names)} shards {split}-*, of {int(*counts)} by their "
            f"names{_hint(folder) or _missing(matches, int(*counts))}"
        )
    if storage.is_remote(folder):
        return [storage.join(folder, name) for name in names]
    return [str(Path(folder, name)) for name in names]


def split_prefix(name: str) -> str:
    """The split that a shard's name tells, whoever wrote it and whatever its suffix."""
    return _NUMBER.split(name)[0]


def _missing(matches: list[re.Match[str]], count: int) -> str:
    """What to do about shards that are not there, or there twice."""
    numbers = {int(match[1]) for match in matches}
    missing = [str(number) for number in range(count) if number not in numbers]
    if not missing:
        return "; remove those that are there twice"
    named = ", ".join(missing[:5]) + (", ..." if missing[5:] else "")
    return f"; copy the missing ones there (number {named}), or build them again"


def _hint(folder: str) -> str:
    if storage.is_remote(folder):
        return ""
    if (Path(folder) / UNFINISHED).is_dir():
        return "; a build was cut short there: run its command again"
    files = itertools.chain(Path(folder).glob("*"), Path(folder).glob("*/*"))
    if not any(map(image_folders.is_image, files)):
        return ""
    return (
        ", but images: build_folder_data.py makes records of them (--image_dir, "
        "--label_dir), and --dataset_dir is its --output_dir"
    )


def offsets(path: str) -> list[int]:
    """Byte offsets of the records of a shard; see `edges`."""
    return edges(path)[:-1]


def edges(path: str) -> list[int]:
    """Byte offsets of the records of a shard, and its end, from their headers alone.

    Raises:
        InputError: The file ends within a record.
    """
    size, position = storage.size(path), 0
    places = [0]
    with storage.open_file(path) as file:
        while position < size:
            file.seek(position)
            header = file.read(HEADER)
            length = (
                struct.unpack("<Q", header[:8])[0] if len(header) == HEADER else size
            )
            position += HEADER + length + FOOTER
            if position > size:
                raise InputError(
                    f"{path}: cut off within record {len(places) - 1}; copy or build "
                    "it again"
                )
            places.append(position)
    return places


def read_run(
    path: tf.Tensor, offset: tf.Tensor, count: tf.Tensor, buffer: tf.Tensor | int
) -> tf.data.Dataset:
    """So many serialized records of a shard, from the one that begins at a byte.

    Args:
        path: Of the shard.
        offset: The byte.
        count: Records.
        buffer: Bytes that are read at a time.
    """
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=tf.reshape(path, (1,)),
        compression_type="",
        buffer_size=tf.cast(buffer, tf.int64),
        byte_offsets=tf.reshape(offset, (1,)),
    )
    records = tf.data.experimental.from_variant(variant, tf.TensorSpec((), tf.string))
    return records.take(count)


def read_record_at(
    path: tf.Tensor, offset: tf.Tensor, length: tf.Tensor | int = BUFFER
) -> tf.Tensor:
    """The serialized record of a shard that begins at a byte, and takes so many."""
    return read_run(path, offset, 1, length).get_single_element()


def read_remote_record(path: np.ndarray, offset: int, length: int) -> bytes:
    """As `read_record_at`, by Python, of a file that fsspec opens.

    Raises:
        ValueError: The record is damaged, or cannot be read by now.
    """
    place = np.asarray(path).item().decode()
    try:
        content = storage.read_range(place, int(offset), int(length))
        (record,) = read_records(io.BytesIO(content))
    except (OSError, InputError) as error:
        raise ValueError(f"{place}: {error}") from None
    if record is None:
        raise ValueError(f"{place}: a wrong checksum at byte {offset}")
    return record


def read(path: str) -> Iterator[bytes]:
    """Yields the serialized records of a shard.

    Raises:
        InputError: A record's checksum is wrong.
    """
    read = 0
    try:
        for record in tf.data.TFRecordDataset(path):
            read += 1
            yield record.numpy()
    except tf.errors.DataLossError:
        raise InputError(
            f"{path}: record {read} is damaged; copy or build it again"
        ) from None
