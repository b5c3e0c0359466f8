"""Large images: cut into tiles, or told to be too large, with the flag that helps."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import logging

from deeplab_tf import runtime
from deeplab_tf.errors import InputError, OutOfMemory, is_out_of_memory
from deeplab_tf.prediction.predictions import Output
from deeplab_tf.runtime import Size, Tiles

_MEMORY = Path("/proc/meminfo")
# Arrays of the size of the logits that are there at a time: these, and what a CRF makes
# of them, which was 8.5 with numba and 14 with TensorFlow at 1000x750, 21 classes.
_OF_A_CRF = 10


@contextlib.contextmanager
def explain_shortage(
    size: Size, crop_size: Size, tiles: Tiles | None
) -> Iterator[None]:
    """Where memory is short, names tiles that need less of it, if there are any.

    Args:
        size: Height, width of what the network sees of the image.
        crop_size: To which smaller images, and tiles, are padded.
        tiles: Into which the image is cut, if it is.

    Raises:
        OutOfMemory: Memory was short, and such tiles would do.
    """
    try:
        yield
    except Exception as error:
        seen, tile = size, crop_size
        if tiles is not None:
            seen = tiles.size
            tile = max(seen[0] // 2, crop_size[0]), max(seen[1] // 2, crop_size[1])
        if not (is_out_of_memory(error) and Tiles(tile).cut(seen)):
            raise
        text = str(tile[0]) if tile[0] == tile[1] else f"{tile[0]},{tile[1]}"
        what = "tiles of" if tiles else "an image of"
        height, width = seen
        raise OutOfMemory(
            f"out of memory: {what} {width}x{height} pixels (width x height); "
            f"--tile={text} needs less"
        ) from error


@functools.cache
def warn_of_padding(tile: Size, crop_size: Size) -> None:
    """Warns, once, of tiles that are padded, and so cost more than they show."""
    if tile[0] < crop_size[0] or tile[1] < crop_size[1]:
        logging.warning(
            "tiles of %d,%d (height,width) are padded to the crop size, %d,%d: larger "
            "ones need no more memory",
            *(*tile, *crop_size),
        )


def predict_tiles(
    pixels: np.ndarray, tiles: Tiles, compute: runtime.Tile, output: Output
) -> list[np.ndarray]:
    """Classes and, unless these are all, values of an image that is cut.

    Args:
        pixels: RGB in 0...255, `[H, W, 3]`.
        tiles: Their size and overlap.
        compute: Tile -> its classes, and what is blended.
        output: What to give beside the classes. Blended probabilities give their
            logarithm as logits, as the mean of several views does.
    """

    def keep(values: np.ndarray) -> np.ndarray:
        if output == "logits":
            is_log = tiles.blend == "logits"
            return values if is_log else runtime.log_probabilities(values)
        if tiles.blend == "logits":
            values = runtime.softmax(values)
        return values.max(axis=-1) if output == "confidence" else values

    classes, values = runtime.predict_tiles(
        pixels, tiles, compute, keep=None if output == "classes" else keep
    )
    return [classes] if values is None else [classes, values]


def check_memory_of_crf(size: Size, num_classes: int) -> None:
    """Raises where what a CRF needs of a large image is not free; Linux alone tells.

    Args:
        size: Height, width of the image.
        num_classes: Of the network.

    Raises:
        InputError: The memory would not do.
    """
    free = _free_memory()
    needed = 4 * size[0] * size[1] * num_classes * _OF_A_CRF
    if free is not None and needed > free:
        raise InputError(
            f"an image of {size[1]}x{size[0]} pixels (width x height): a CRF needs "
            f"all of it, some {needed / 1e9:.1f} GB for {num_classes} classes, and "
            f"{free / 1e9:.1f} GB are free; leave the CRF out, or bring images into a "
            "range of sizes (--min_resize_value, --max_resize_value)"
        )


def _free_memory() -> int | None:
    """Bytes that a process can get; None where the system does not tell."""
    try:
        lines = _MEMORY.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            return 1024 * int(amount.split()[0])
    return None


def warn_of_size(size: Size, trained_size: Size) -> None:
    """Warns of an image much larger than those of the training.

    Args:
        size: Height, width of what the network sees.
        trained_size: Of the largest that it learned from.
    """
    (height, width), (least, longest) = size, sorted(trained_size)
    logging.warning(
        "an image of %dx%d (width x height), more than twice the largest of the "
        "training, %dx%d: things look larger there than the network knows them, "
        "and it takes long. --min_resize_value=%d --max_resize_value=%d bring "
        "images to the size of the training; build_folder_data.py --max_side=%d "
        "makes records of it",
        width,
        height,
        *reversed(trained_size),
        least,
        longest,
        longest,
    )
