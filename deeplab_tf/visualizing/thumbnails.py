"""Small pictures for pages, as JPEG."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from deeplab_tf.data.labels.statistics import allowed_ids
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.visualizing import drawing

_SIDE = 320  # Pixels, at most: sharp enough on a phone, some 15 kB.
_GAP = 4
_WRONG = (255, 0, 255)


def overlay(image: np.ndarray, ids: np.ndarray, spec: DatasetSpec) -> bytes:
    """A JPEG of an image `[H, W, 3]`, tinted by the classes of its mask `[H, W]`."""
    return jpeg(shrink(drawing.overlay(image, ids, spec.palette)))


def side_by_side(
    image: np.ndarray | None, ids: np.ndarray | None, spec: DatasetSpec
) -> bytes:
    """A JPEG of an image and its mask beside each other, as far as they can be read.

    Ids that mean nothing are in magenta.
    """
    panels = [] if image is None else [shrink(image)]
    if ids is not None:
        colors = drawing.colorize(ids, spec.palette)
        colors[~np.isin(ids, list(allowed_ids(spec)))] = _WRONG
        panels.append(shrink(colors, Image.Resampling.NEAREST))
    return jpeg(_concatenate(panels))


def jpeg(picture: Image.Image) -> bytes:
    """The bytes of a picture's file."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=82, optimize=True)
    return stream.getvalue()


def shrink(
    pixels: np.ndarray,
    how: Image.Resampling = Image.Resampling.LANCZOS,
    *,
    side: int = _SIDE,
) -> Image.Image:
    """A picture whose longer side has at most so many pixels."""
    small = Image.fromarray(pixels)
    scale = min(1.0, side / max(small.size))
    width, height = (max(1, round(length * scale)) for length in small.size)
    return small.resize((width, height), how)


def _concatenate(panels: Sequence[Image.Image]) -> Image.Image:
    if not panels:
        return Image.new("RGB", (_SIDE, _SIDE // 2), (128, 128, 128))
    width = sum(panel.width for panel in panels) + _GAP * (len(panels) - 1)
    row = Image.new(
        "RGB", (width, max(panel.height for panel in panels)), (128, 128, 128)
    )
    left = 0
    for panel in panels:
        row.paste(panel, (left, 0))
        left += panel.width + _GAP
    return row
