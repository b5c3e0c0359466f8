"""Small pictures of records for the page."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from deeplab_tf.data.spec import Color
from deeplab_tf.visualizing import drawing

_SIDE = 320  # Pixels, at most: sharp enough on a phone, some 15 kB.
_GAP = 4


def of_record(
    image: np.ndarray | None,
    ids: np.ndarray | None,
    palette: Sequence[Color],
    *,
    beside: bool,
) -> bytes:
    """A JPEG of the image tinted by class, or of image and mask beside each other.

    Args:
        image: RGB `[H, W, 3]`.
        ids: `[h, w]`.
        palette: Colours of the classes.
        beside: Show both: a mask that is in doubt must be seen.
    """
    panels = []
    if image is not None:
        panels.append(_small(image))
    if ids is not None:
        panels.append(_small(drawing.colored(ids, palette), Image.Resampling.NEAREST))
    if image is not None and ids is not None and not beside:
        panels = [_small(drawing.blended(image, ids, palette))]
    stream = io.BytesIO()
    _row(panels).save(stream, "JPEG", quality=82)
    return stream.getvalue()


def _small(
    pixels: np.ndarray, how: Image.Resampling = Image.Resampling.LANCZOS
) -> Image.Image:
    small = Image.fromarray(pixels)
    scale = min(1.0, _SIDE / max(small.size))
    width, height = (max(1, round(side * scale)) for side in small.size)
    return small.resize((width, height), how)


def _row(panels: Sequence[Image.Image]) -> Image.Image:
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
