"""Outlines of objects as COCO has them, polygons or run lengths -> pixels."""

from typing import Any

import numpy as np

from deeplab_tf.errors import InputError

Size = tuple[int, int]  # Height, width.


def drawn(segmentation: Any, size: Size, where: str) -> np.ndarray:
    """Pixels of an object, bool `[H, W]`.

    Args:
        segmentation: Polygons `[[x, y, x, y, ...], ...]`, or run lengths down the
            columns, `{"size": [H, W], "counts": ...}`, as numbers or packed in a text.
        size: Of the image.
        where: What errors name.

    Raises:
        InputError: It is none of these.
    """
    if not segmentation:
        raise InputError(f"{where} has no segmentation; a box alone says no pixels")
    try:
        if isinstance(segmentation, list):
            return _polygons(segmentation, size)
        return _runs(segmentation["counts"], segmentation["size"], size)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where} cannot be drawn: {error}") from None


def _polygons(polygons: list[list[float]], size: Size) -> np.ndarray:
    try:
        from pycocotools import mask as drawing
    except ImportError:
        raise InputError(
            "polygons of COCO need pycocotools: pip install 'deeplab-tf[coco]'"
        ) from None
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"a polygon of {len(polygon)} numbers; x, y, x, y, x, y")
    points = [[float(value) for value in polygon] for polygon in polygons]
    return drawing.decode(drawing.merge(drawing.frPyObjects(points, *size))).astype(
        bool
    )


def _runs(counts: list[int] | str, shape: Size, size: Size) -> np.ndarray:
    """Not by pycocotools, which returns memory as it was where runs are too short."""
    if tuple(shape) != size:
        raise ValueError(
            f"it is {shape[1]}x{shape[0]}, its image {size[1]}x{size[0]} (width x "
            "height)"
        )
    lengths = np.array(unpacked(counts) if isinstance(counts, str) else counts)
    pixels = size[0] * size[1]
    if lengths.min() < 0 or lengths.sum() != pixels:
        raise ValueError(f"runs of {lengths.sum()} pixels, of {pixels} in the image")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(size[::-1]).T


def unpacked(text: str) -> list[int]:
    """Run lengths out of COCO's packed form.

    A number is written five bits a letter, from the lowest; a letter's sixth bit says
    that more follow, and the last one's fifth is the sign. From the fourth number on,
    it is the difference to the last but one.
    """
    counts: list[int] = []
    number = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    return counts
