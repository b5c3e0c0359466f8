"""Masks as files: indexed PNGs, TFRecord shards, lines of COCO's JSON."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from PIL import Image

from deeplab_tf import runtime, storage
from deeplab_tf.batch_inference.networks import Classes
from deeplab_tf.data import tfrecord_writer
from deeplab_tf.data.tfrecord_writer import PNG, Record

SPLIT = "predictions"


class Writer(Protocol):
    """Writes the masks of a shard."""

    def __call__(self, name: str, encoded: bytes, ids: np.ndarray) -> None:
        """Writes a mask.

        Args:
            name: Of the mask, without suffix.
            encoded: The photograph's file.
            ids: Class ids, `[H, W]`.
        """


@contextlib.contextmanager
def write_pngs(
    output: str, number: str, classes: Classes, scratch: Path | None
) -> Iterator[Writer]:
    """Indexed PNGs of the classes' colors, a file each."""
    del number

    def write(name: str, encoded: bytes, ids: np.ndarray) -> None:
        del encoded
        path = storage.join(output, f"{name}.png")
        with storage.write_whole(path, scratch) as file:
            runtime.color_mask(ids, classes.colors).save(file, "PNG")

    yield write


@contextlib.contextmanager
def write_records(
    output: str, number: str, classes: Classes, scratch: Path | None
) -> Iterator[Writer]:
    """A TFRecord file of photographs, whose labels are the predictions."""
    del classes
    path = storage.join(output, f"{SPLIT}-{number}.tfrecord")
    with storage.write_whole(path, scratch) as file:

        def write(name: str, encoded: bytes, ids: np.ndarray) -> None:
            image, kind = _plain_image(encoded)
            label = io.BytesIO()
            Image.fromarray(ids.astype(np.uint8)).save(label, "PNG")
            record = Record(
                name=name,
                image=image,
                image_format=kind,
                size=(ids.shape[0], ids.shape[1]),
                label=label.getvalue(),
            )
            file.write(tfrecord_writer.frame(record.serialize()))

        yield write


@contextlib.contextmanager
def write_coco(
    output: str, number: str, classes: Classes, scratch: Path | None
) -> Iterator[Writer]:
    """Lines of JSON: of each class in a picture, its pixels as COCO has them."""
    path = storage.join(output, f"{SPLIT}-{number}.jsonl")
    with storage.write_whole(path, scratch) as file:

        def write(name: str, encoded: bytes, ids: np.ndarray) -> None:
            del encoded
            write_lines(file, name, ids, classes.labels)

        yield write


def write_lines(
    file: IO[bytes], name: str, ids: np.ndarray, labels: tuple[str, ...]
) -> None:
    """Writes a line for each class of a picture."""
    for label in np.unique(ids).tolist():
        line = {
            "image": name,
            "category_id": label,
            "category": labels[label] if label < len(labels) else f"class_{label}",
            "area": int(np.sum(ids == label)),
            "segmentation": {
                "size": [*ids.shape],
                "counts": encode_runs(ids == label),
            },
        }
        file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def encode_runs(mask: np.ndarray) -> str:
    """COCO's compressed run lengths of a mask, bool `[H, W]`, column by column.

    The first run is of pixels that do not belong to it. From the fourth on, a length is
    the difference to the one before the last; numbers are written in groups of five
    bits, the lowest first, a bit that tells whether more follow, and 48 added.
    """
    edges = np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=False))
    lengths = np.diff(edges, prepend=0, append=mask.size)
    numbers = lengths.copy()
    numbers[3:] -= lengths[1:-2]
    return "".join(map(_encode_number, numbers.tolist()))


def _encode_number(number: int) -> str:
    text = ""
    while True:
        bits, number = number & 31, number >> 5
        more = number != (-1 if bits & 16 else 0)
        text += chr((bits | 32 * more) + 48)
        if not more:
            return text


def _plain_image(encoded: bytes) -> tuple[bytes, str]:
    """A photograph as a record holds it: a JPEG or PNG that is read as it is seen."""
    image = Image.open(io.BytesIO(encoded))
    kind = str(image.format).lower()
    is_plain = image.mode in ("RGB", "L") and "transparency" not in image.info
    is_deep = encoded.startswith(PNG) and encoded[24] != 8
    if (
        kind in ("jpeg", "png")
        and is_plain
        and not is_deep
        and not runtime.is_turned(image)
    ):
        return encoded, kind
    stream = io.BytesIO()
    pixels = runtime.decode_image(io.BytesIO(encoded), "image")
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue(), "png"
