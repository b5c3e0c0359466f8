"""Class maps as pictures: colors, overlays with contours, panels, legends.

Lines and letters grow with the picture, so that they are read when it fills a screen.
"""

import dataclasses
import math
from collections.abc import Collection, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deeplab_tf.data.image_files import IGNORED
from deeplab_tf.data.spec import Color, DatasetSpec

TITLES = {
    "original": "original",
    "prediction": "prediction",
    "truth": "ground truth",
    "errors": "errors",
}
WRONG: Color = (230, 0, 60)
_BLEND = 0.5  # Share of the class's color.
_SCREEN = 1000, 700  # Width, height in pixels at which a picture is looked at.
_MARGIN, _LINE, _TEXT = 8, 20, 14  # Pixels there: a gap, a legend's line, its letters.
_STRIPE = 4  # Pixels there: of the hatching of what is ignored.
_HATCH: Color = (96, 96, 96)
_NAME = 160  # Pixels there: room for a name below the narrowest panel.


def colorize(classes: np.ndarray, palette: Sequence[Color]) -> np.ndarray:
    """Class ids `[H, W]` -> RGB `[H, W, 3]`; ids beyond the palette are `IGNORED`."""
    table = np.full((256, 3), IGNORED, np.uint8)
    table[: len(palette)] = palette
    return table[classes]


def overlay(
    image: np.ndarray,
    classes: np.ndarray,
    palette: Sequence[Color],
    *,
    scale: float = 0.0,
) -> np.ndarray:
    """The image, tinted by class, with contours in a light tone of their colors.

    Black classes, as a background, leave it as it is. What is ignored is hatched.

    Args:
        image: RGB, uint8 `[H, W, 3]`.
        classes: Predicted ids, `[H, W]`.
        palette: Colors of the classes; ids beyond it are `IGNORED`.
        scale: Of lines; by default that of the image on a screen.
    """
    scale = scale or _scale(*classes.shape[::-1])
    tint = colorize(classes, palette)
    ignored = classes >= len(palette)
    share = np.where(tint.any(axis=-1), np.float32(_BLEND), np.float32(0))
    lines = _contours(classes, scale) & (share > 0) & ~ignored
    share[lines] = 1.0
    tint[lines] = tint[lines] // 2 + 127  # Seen on dark photographs, too.
    tint[ignored & _stripes(classes.shape, scale)] = _HATCH
    share = share[..., np.newaxis]
    return np.round(image * (1.0 - share) + tint * share).astype(np.uint8)


def errors(
    image: np.ndarray,
    classes: np.ndarray,
    truth: np.ndarray,
    ignored: np.ndarray,
    *,
    scale: float = 0.0,
) -> np.ndarray:
    """The image in pale gray, wrong pixels in `WRONG`, what is ignored hatched.

    Args:
        image: RGB, uint8 `[H, W, 3]`.
        classes: Predicted ids, `[H, W]`.
        truth: True ids, `[H, W]`.
        ignored: Pixels that do not count, bool `[H, W]`.
        scale: Of lines; by default that of the image on a screen.
    """
    gray = np.asarray(Image.fromarray(image).convert("L"))
    pale = np.repeat((0.5 * gray + 127.0)[..., np.newaxis], 3, axis=-1)
    wrong = (classes != truth) & ~ignored
    pale[wrong] = 0.25 * pale[wrong] + 0.75 * np.array(WRONG)
    stripes = _stripes(classes.shape, scale or _scale(*classes.shape[::-1]))
    hatched = ignored & stripes
    pale[hatched] = 0.5 * pale[hatched] + 0.5 * np.array(_HATCH)
    return np.round(pale).astype(np.uint8)


def panels(
    image: np.ndarray,
    classes: np.ndarray,
    truth: np.ndarray | None,
    spec: DatasetSpec,
    *,
    names: Sequence[str] = (),
    palette: Sequence[Color] = (),
) -> Image.Image:
    """Panels of an image side by side, four in two rows, and a legend of what occurs.

    Args:
        image: RGB, uint8 `[H, W, 3]`.
        classes: Predicted ids, `[H, W]`.
        truth: True ids, or None.
        spec: Of the classes.
        names: Of `TITLES`, in order; by default the prediction and, if there is one,
            the truth. Without a truth, it is ignored everywhere.
        palette: Colors of the classes; by default those of the spec.
    """
    palette = palette or spec.palette
    names = names or ("prediction", "truth")[: 1 if truth is None else 2]
    truth = np.full(classes.shape, 255, np.uint8) if truth is None else truth
    maps = {"prediction": classes, "truth": truth}
    columns, lines = _grid(len(names))
    scale = _scale(columns * image.shape[1], lines * image.shape[0])
    drawn: list[tuple[str, np.ndarray]] = []
    occurring: set[int] = set()
    for name in names:
        title = TITLES[name]
        if name == "original":
            panel = image
        elif name == "errors":
            ignored = (truth == spec.ignore_label) | (truth >= spec.num_classes)
            panel = errors(image, classes, truth, ignored, scale=scale)
            title += _share_of_errors(classes, truth, ignored)
            occurring |= {255} if ignored.any() else set()  # The hatching is in it.
        else:
            panel = overlay(image, maps[name], palette, scale=scale)
            occurring |= set(np.unique(maps[name]).tolist())
        drawn.append((title, panel))
    return _sheet(drawn, _entries(occurring, spec.classes, palette, names), scale)


def _share_of_errors(
    classes: np.ndarray, truth: np.ndarray, ignored: np.ndarray
) -> str:
    counted = int(np.sum(~ignored))
    wrong = int(np.sum((classes != truth) & ~ignored))
    return f": {100 * wrong / counted:.1f} % of the pixels" if counted else ": no truth"


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A line of a legend: what a color means."""

    name: str
    color: Color
    hatched: bool = False


def _entries(
    occurring: Collection[int],
    classes: Sequence[str],
    palette: Sequence[Color],
    names: Sequence[str],
) -> list[_Entry]:
    known = (i for i in sorted(occurring) if i < len(classes))
    entries = [_Entry(classes[i], palette[i]) for i in known]
    if "errors" in names:
        entries.append(_Entry("wrong", WRONG))
    if any(i >= len(classes) for i in occurring):
        entries.append(_Entry("ignored", IGNORED, hatched=True))
    return entries


def legend(classes: Sequence[str], palette: Sequence[Color]) -> Image.Image:
    """All classes with their colors, as masks have them."""
    entries = [*map(_Entry, classes, palette), _Entry("ignored", IGNORED)]
    rows = _rows(entries, 640, 1.0)
    sheet = Image.new("RGB", (640, _LINE * len(rows) + 2 * _MARGIN), "white")
    _draw_legend(sheet, rows, _MARGIN, 1.0)
    return sheet


def _sheet(
    drawn: Sequence[tuple[str, np.ndarray]], entries: Sequence[_Entry], scale: float
) -> Image.Image:
    """Panels with their titles on white, and the legend below."""
    height, width = drawn[0][1].shape[:2]
    columns, lines = _grid(len(drawn))
    margin, line = round(_MARGIN * scale), round(_LINE * scale)
    cell = max(width, round(_NAME * scale)) + margin, line + height + margin
    total, below = margin + columns * cell[0], lines * cell[1]
    rows = _rows(entries, total, scale)
    sheet = Image.new("RGB", (total, below + line * len(rows) + margin), "white")
    draw, font = ImageDraw.Draw(sheet), _font(scale)
    for i, (title, panel) in enumerate(drawn):
        left, top = margin + i % columns * cell[0], i // columns * cell[1]
        draw.text((left, top + line // 2), title, "black", font, anchor="lm")
        sheet.paste(Image.fromarray(panel), (left, top + line))
    _draw_legend(sheet, rows, below, scale)
    return sheet


def _grid(count: int) -> tuple[int, int]:
    """Columns and lines of so many panels."""
    columns = 2 if count == 4 else count
    return columns, math.ceil(count / columns)


def _rows(
    entries: Sequence[_Entry], width: int, scale: float
) -> list[list[tuple[int, _Entry]]]:
    """Entries of a legend in lines, each with its left edge."""
    font = _font(scale)
    margin, line = round(_MARGIN * scale), round(_LINE * scale)
    rows: list[list[tuple[int, _Entry]]] = [[]]
    left = margin
    for entry in entries:
        length = line + int(font.getlength(entry.name)) + 2 * margin
        if rows[-1] and left + length > width:
            rows.append([])
            left = margin
        rows[-1].append((left, entry))
        left += length
    return rows


def _draw_legend(
    sheet: Image.Image,
    rows: Sequence[Sequence[tuple[int, _Entry]]],
    top: int,
    scale: float,
) -> None:
    draw, font, line = ImageDraw.Draw(sheet), _font(scale), round(_LINE * scale)
    side, thin = round((_LINE - 6) * scale), max(1, round(scale))
    for row in rows:
        for left, entry in row:
            swatch = np.full((side, side, 3), entry.color, np.uint8)
            if entry.hatched:
                swatch[_stripes((side, side), scale)] = _HATCH
            corner = left, top + (line - side) // 2
            sheet.paste(Image.fromarray(swatch), corner)
            box = (*corner, corner[0] + side - 1, corner[1] + side - 1)
            draw.rectangle(box, outline="black", width=thin)
            place = left + line, top + line // 2
            draw.text(place, entry.name, "black", font, anchor="lm")
        top += line


def _font(scale: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(round(_TEXT * scale))


def _scale(width: int, height: int) -> float:
    """Pixels of a picture in one of the screen that it fills; 1 where it fits."""
    return max(1.0, width / _SCREEN[0], height / _SCREEN[1])


def _contours(classes: np.ndarray, scale: float) -> np.ndarray:
    """Pixels near to another class, bool `[H, W]`: on either side a line."""
    reach = max(1, round(scale))
    window = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    ids = classes.astype(np.uint8)
    return (cv2.erode(ids, window) != ids) | (cv2.dilate(ids, window) != ids)


def _stripes(shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Every other diagonal stripe, bool `[H, W]`."""
    width = max(2, round(_STRIPE * scale))
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows + columns) // width % 2 == 1
