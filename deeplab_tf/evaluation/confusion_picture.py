"""A confusion matrix as a picture: a row a true class, a column a predicted one."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_TEXT = 14  # Pixels: of the letters.
_MOST_NUMBERS = 32  # Classes up to which a cell shows its number,
_MOST_NAMES = 64  # and rows and columns their names.
_DARK = np.array([8, 48, 107])  # Of a whole row in one cell; white of none.


def draw(confusion: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Shares of each true class in percent, darker where larger, RGB `[H, W, 3]`.

    Args:
        confusion: Pixels by true and predicted class, `[C, C]`.
        classes: Their names.
    """
    count = len(classes)
    totals = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(totals, 1)
    cell = 40 if count <= _MOST_NUMBERS else _TEXT + 4 if count <= _MOST_NAMES else 5
    shades = np.round(255 + shares[..., np.newaxis] * (_DARK - 255)).astype(np.uint8)
    squares = Image.fromarray(shades.repeat(cell, axis=0).repeat(cell, axis=1))
    names = classes if count <= _MOST_NAMES else [""] * count
    labels = [*map(_line, names)]
    edge = max(label.width for label in labels) + 6
    header = _line("rows: true class, columns: predicted; % of the true class")
    top = header.height + edge
    size = max(edge + squares.width, header.width), top + squares.height
    sheet = Image.new("RGB", size, "white")
    sheet.paste(header, (0, 0))
    sheet.paste(squares, (edge, top))
    for i, label in enumerate(labels):
        middle = i * cell + (cell - label.height) // 2
        sheet.paste(label, (edge - 3 - label.width, top + middle))
        sheet.paste(
            label.transpose(Image.Transpose.ROTATE_90),
            (edge + middle, top - 3 - label.width),
        )
    if count <= _MOST_NUMBERS:
        _write_numbers(sheet, shares, totals[:, 0] > 0, (edge, top), cell)
    return np.asarray(sheet)


def _line(text: str) -> Image.Image:
    """A line of text, black on white."""
    font = ImageFont.load_default(_TEXT)
    line = Image.new("RGB", (max(1, int(font.getlength(text)) + 1), _TEXT + 4), "white")
    ImageDraw.Draw(line).text((0, 0), text, "black", font)
    return line


def _write_numbers(
    sheet: Image.Image,
    shares: np.ndarray,
    occurs: np.ndarray,
    corner: tuple[int, int],
    cell: int,
) -> None:
    """Whole percents, where a class occurs and they are not 0."""
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT)
    for (row, column), share in np.ndenumerate(shares):
        if occurs[row] and share >= 0.005:
            place = (
                corner[0] + column * cell + cell // 2,
                corner[1] + row * cell + cell // 2,
            )
            color = "white" if share > 0.5 else "black"
            draw.text(place, f"{100 * share:.0f}", color, font, anchor="mm")
