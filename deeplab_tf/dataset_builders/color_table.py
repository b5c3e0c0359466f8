"""Color table: masks in colors (RGB) -> class ids."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from deeplab_tf.data import image_files
from deeplab_tf.data.labels import heuristics
from deeplab_tf.data.open_image import MAX_PIXELS
from deeplab_tf.data.spec import Color
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.text_files import read_lines

IGNORED = "ignore"  # The name of colors that count nowhere.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorTable:
    """Reads masks in colors.

    Attributes:
        file: The table's file, which errors name.
        names: Of each color; one name may have several.
        colors: RGB.
        classes: Names in the order of their ids.
        ignore_label: Id of colors that are named "ignore".
        max_pixels: Larger masks are refused.
        transparent: Id of transparent pixels; None where they are refused.
    """

    file: str
    names: tuple[str, ...]
    colors: tuple[Color, ...]
    classes: tuple[str, ...]
    ignore_label: int = 255
    max_pixels: int = MAX_PIXELS
    transparent: int | None = None

    @property
    def palette(self) -> tuple[Color, ...]:
        """Of each class, its first color."""
        return tuple(self.colors[self.names.index(name)] for name in self.classes)

    def reorder(self, classes: tuple[str, ...]) -> "ColorTable":
        """The same table with ids by another order of the classes.

        Raises:
            FlagError: They are other classes.
        """
        if sorted(classes) != sorted(self.classes):
            raise FlagError(
                f"--class_names={','.join(classes)}: the classes of {self.file} are "
                f"{','.join(self.classes)}; only their order is free"
            )
        return dataclasses.replace(self, classes=classes)

    def __call__(self, path: Path) -> np.ndarray:
        """Reads a mask: ids `[H, W]`, uint8.

        Raises:
            InputError: It has colors that the table has not; names one.
        """
        image = image_files.open_mask(path, max_pixels=self.max_pixels)
        clear = np.zeros(image.size[::-1], bool)
        if self.transparent is not None:
            image = image.convert("RGBA")
            clear = np.asarray(image.getchannel("A")) == 0
        if "A" in image.getbands():
            _check_opaque(path, np.asarray(image.getchannel("A"))[~clear])
        pixels = np.asarray(image.convert("RGB"))
        codes, known = _codes(pixels), _codes(np.array(self.colors, np.uint8))
        order = np.argsort(known)
        place = np.searchsorted(known[order], codes).clip(max=len(known) - 1)
        nearest = order[place]
        unknown = (known[nearest] != codes) & ~clear
        if unknown.any():
            raise InputError(self._unknown_color(path, pixels, unknown))
        ids = np.where(clear, self.transparent or 0, self._ids()[nearest])
        return ids.astype(np.uint8)

    def _ids(self) -> np.ndarray:
        """Id of each color."""
        by_name = {name: i for i, name in enumerate(self.classes)}
        by_name[IGNORED] = self.ignore_label
        return np.array([by_name[name] for name in self.names], np.uint8)

    def _unknown_color(self, path: Path, pixels: np.ndarray, where: np.ndarray) -> str:
        if heuristics.is_photograph(pixels):
            return (
                f"{path}: a photograph, where a mask should be; are images and masks "
                "swapped?"
            )
        colors, counts = np.unique(pixels[where], axis=0, return_counts=True)
        color = colors[counts.argmax()]
        away = np.abs(np.array(self.colors, int) - color).sum(axis=1)
        nearest = int(away.argmin())
        message = (
            f"{path}: color {_format_color(color)}, {counts.max() / where.size:.2%} "
            f"of its pixels, is not in {self.file}; nearest is "
            f"{_format_color(self.colors[nearest])}, {self.names[nearest]}"
        )
        if len(colors) > 1:
            message += f"; so of {len(colors)} colors, {where.mean():.2%} of its pixels"
        if len(colors) > 2 * len(self.colors):
            return (
                f"{message}. So many come from smoothing, resizing or JPEG "
                "compression: save masks as PNG, drawn without them"
            )
        return f"{message}. Add it to the table, as {IGNORED} if it counts nowhere"


def read_color_table(file: Path, ignore_label: int = 255) -> ColorTable:
    """Reads a table: a color and its name a line, in either order.

    A line is `128 64 128 road`, `road,128,64,128`, `#804080 road` or as CVAT writes it,
    `road:128,64,128::`; a heading and lines that begin with `#` and a blank are left
    out. Ids follow the lines; a name that comes again is the same class; colors named
    "ignore" count nowhere.

    Raises:
        InputError: No such file, or a line that is no color and name.
    """
    entries = list(_read_entries(file))
    colors = [color for color, _ in entries]
    _check_three_numbers(file, entries)
    for i, color in enumerate(colors):
        if color in colors[:i]:
            raise InputError(f"{file}: color {_format_color(color)} is there twice")
    names = tuple(name for _, name in entries)
    classes = tuple(dict.fromkeys(name for name in names if name != IGNORED))
    return ColorTable(
        file=str(file),
        names=names,
        colors=tuple(colors),
        classes=classes,
        ignore_label=ignore_label,
    )


def _check_three_numbers(file: Path, entries: Sequence[tuple[Color, str]]) -> None:
    """Raises where names, or colors, hold what can only be the alpha of colors."""
    number = r"\d{1,3}(?:\.\d+)?"
    before = [name for _, name in entries if re.match(rf"{number}[\s,;:]+\S", name)]
    behind = [
        name
        for color, name in entries
        if color[2] in (0, 255) and re.search(rf"[\s,;:]{number}$", name)
    ]
    alpha = any(re.match(r"(0|255)\b", name) for name in before)
    for some in (before, behind):
        if some and (alpha or len(some) == len(entries)):
            raise InputError(
                f"{file}: colors of four numbers, by which a class is called "
                f"{some[0]!r}; red, green and blue are needed, without alpha"
            )


def _read_entries(file: Path) -> Iterator[tuple[Color, str]]:
    for number, line in enumerate(read_lines(file, f"--color_table={file}"), 1):
        if not line.strip() or re.match(r"#(?![0-9a-fA-F]{3,8}\b)", line.strip()):
            continue
        entry = _parse_entry(line.strip())
        if entry:
            yield entry
        elif number > 1 or re.search(r"\d", line):  # The first may be a heading.
            raise InputError(
                f"{file} line {number}: {line.strip()!r} is not a color and a name, "
                "as 128 64 128 road or #804080 road"
            )


def _parse_entry(line: str) -> tuple[Color, str] | None:
    part, end = r"[\s,;:]+", r"[\s,;:]*$"
    digits = part.join([r"(\d{1,3})"] * 3)
    if match := re.match(rf"#([0-9a-fA-F]{{6}}){part}(.+?){end}", line):
        red, green, blue = bytes.fromhex(match[1])
        return (red, green, blue), match[2]
    if match := re.match(rf"{digits}{part}(.+?){end}", line):
        numbers, name = match.groups()[:3], match[4]
    elif match := re.match(rf"(.+?){part}{digits}{end}", line):
        numbers, name = match.groups()[1:], match[1]
    else:
        return None
    red, green, blue = map(int, numbers)
    return ((red, green, blue), name) if max(red, green, blue) < 256 else None


def _check_opaque(path: Path, alpha: np.ndarray) -> None:
    share = (alpha < 255).mean() if alpha.size else 0
    if share:
        raise InputError(
            f"{path}: {share:.2%} of its pixels are transparent, and so of no certain "
            "color; save the mask without transparency"
        )


def _codes(colors: np.ndarray) -> np.ndarray:
    return colors.astype(np.int32) @ np.array([65536, 256, 1])


def _format_color(color: Color | np.ndarray) -> str:
    return " ".join(str(int(value)) for value in color)
