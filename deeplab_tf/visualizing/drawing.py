"""Class maps as pictures: colors, overlays, legends."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deeplab_tf.data.image_files import IGNORED
from deeplab_tf.data.spec import Color

_BLEND = 0.6  # Share of the class's color.
_MARGIN, _LINE, _TEXT = (
    8,
    20,
    14,
)  # Pixels: around panels, a legend's line, its letters.


def colorize(classes: np.ndarray, palette: Sequence[Color]) -> np.ndarray:
    """Class ids `[H, W]` -> RGB `[H, W, 3]`; ids beyond the palette are `IGNORED`."""
    table = np.full((256, 3), IGNORED, np.uint8)
    table[: len(palette)] = palette
    return table[classes]


def overlay(
    image: np.ndarray, classes: np.ndarray, palette: Sequence[Color]
) -> np.ndarray:
    """The image, tinted by class; black classes, as a background, leave it as it is.

    Args:
        image: RGB, uint8 `[H, W, 3]`.
        classes: Predicted ids, `[H, W]`.
        palette: Colors of the classes; ids beyond it are `IGNORED`.
    """
    tint = colorize(classes, palette).astype(np.float32)
    share = np.where(tint.any(axis=-1, keepdims=True), _BLEND, 0.0)
    return np.round(image * (1.0 - share) + tint * share).astype(np.uint8)


def overlay_with_legend(
    image: np.ndarray,
    classes: np.ndarray,
    truth: np.ndarray | None,
    names: Sequence[str],
    palette: Sequence[Color],
) -> Image.Image:
    """The tinted image, beside it the tinted truth, below a legend of what occurs.

    Args:
        image: RGB `[H, W, 3]`.
        classes: Predicted ids, `[H, W]`.
        truth: True ids, or None.
        names: Of the classes.
        palette: Their colors.
    """
    panels = [("prediction", overlay(image, classes, palette))]
    occurring = set(np.unique(classes).tolist())
    if truth is not None:
        panels.append(("ground truth", overlay(image, truth, palette)))
        occurring |= set(np.unique(truth).tolist())
    entries = [(names[i], palette[i]) for i in sorted(occurring) if i < len(names)]
    if any(i >= len(names) for i in occurring):
        entries.append(("ignored", IGNORED))
    height, width = image.shape[:2]
    width = max(width, 160)  # Room for a name.
    total = _MARGIN + (width + _MARGIN) * len(panels)
    rows = _rows(entries, total)
    below = _LINE + height + _MARGIN
    sheet = Image.new("RGB", (total, below + _LINE * len(rows) + _MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    for i, (title, panel) in enumerate(panels):
        left = _MARGIN + i * (width + _MARGIN)
        draw.text((left, 1), title, "black", font)
        sheet.paste(Image.fromarray(panel), (left, _LINE))
    for line, row in enumerate(rows):
        _draw_legend(draw, row, below + line * _LINE)
    return sheet


def _rows(
    entries: Sequence[tuple[str, Color]], width: int
) -> list[list[tuple[int, str, Color]]]:
    """Entries of a legend in lines, each with its left edge."""
    font = ImageFont.load_default(_TEXT)
    rows: list[list[tuple[int, str, Color]]] = [[]]
    left = _MARGIN
    for name, color in entries:
        length = _LINE + int(font.getlength(name)) + 2 * _MARGIN
        if rows[-1] and left + length > width:
            rows.append([])
            left = _MARGIN
        rows[-1].append((left, name, color))
        left += length
    return rows


def _draw_legend(
    draw: ImageDraw.ImageDraw, row: Sequence[tuple[int, str, Color]], top: int
) -> None:
    font = ImageFont.load_default(_TEXT)
    for left, name, color in row:
        box = (left, top + 3, left + _LINE - 6, top + _LINE - 3)
        draw.rectangle(box, fill=color, outline="black")
        draw.text((left + _LINE, top + 1), name, "black", font)
