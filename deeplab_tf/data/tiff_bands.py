"""TIFF: how many pages there are, and bands that are no colors, as near infrared."""

from pathlib import Path
from typing import Any

from PIL import TiffImagePlugin

from deeplab_tf.errors import InputError

COLORS_ALONE = (
    "Save red, green and blue alone, as by: gdal_translate -b 1 -b 2 -b 3 FROM.tif "
    "TO.tif"
)
_SUBFILE, _BITS, _COMPRESSION, _MEANING, _BANDS = 254, 258, 259, 262, 277  # Tags.
_EXTRA, _NUMBERS = 338, 339
_PREVIEW_OR_MATTE = 1 | 4  # Bits of `_SUBFILE`.
_COLOR_BANDS = {2: 3, 5: 4, 6: 3, 8: 3}  # By `_MEANING`: RGB, CMYK, YCbCr, Lab.
_ALPHA = {(1,), (2,)}  # What `_EXTRA` calls it.
_KINDS = {2: " with a sign", 3: " of floating point", 5: " complex", 6: " complex"}


def count_pages(image: TiffImagePlugin.TiffImageFile) -> int:
    """Pages that are neither previews nor mattes; `image` is left at the first."""
    pages = 0
    for i in range(image.n_frames):
        image.seek(i)
        pages += not int(image.tag_v2.get(_SUBFILE, 0)) & _PREVIEW_OR_MATTE
    image.seek(0)
    return pages


def check_bands(path: Path, tags: Any) -> None:
    """Raises an InputError where there are more bands than colors and alpha.

    Args:
        path: The file.
        tags: Of its page.
    """
    bands = int(tags.get(_BANDS, 1))
    extra = bands - _COLOR_BANDS.get(int(tags.get(_MEANING, 1)), 1)
    kinds = tags.get(_EXTRA, ())
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if extra > 0 and not (extra == 1 and kinds in _ALPHA):
        raise InputError(f"{path}: {_describe(tags)}")


def describe_unknown(path: Path) -> str:
    """What is in a TIFF that Pillow does not read; empty where it is none."""
    with path.open("rb") as file:
        header = file.read(8)
        if header[:4] not in TiffImagePlugin.PREFIXES:
            return ""
        try:
            header += file.read(8) if header[2] == 43 or header[3] == 43 else b""
            tags = TiffImagePlugin.ImageFileDirectory_v2(header)
            file.seek(tags.next)
            tags.load(file)
        except Exception:  # Whatever garbage leads its parser to.
            return ""
        return _describe(tags) if tags.get(256) else ""


def _describe(tags: Any) -> str:
    bands = int(tags.get(_BANDS, 1))
    each = tags.get(_BITS, 1)
    bits = max(each) if isinstance(each, tuple) else each
    numbers = tags.get(_NUMBERS, 1)
    kind = _KINDS.get(max(numbers) if isinstance(numbers, tuple) else numbers, "")
    what = f"{bands} band{'s'[: bands != 1]} of {bits} bits{kind}"
    if bands not in (1, 3):
        return f"{what}; a photograph has 3, or one of gray. {COLORS_ALONE}"
    if kind or bits not in (8, 16):
        return (
            f"{what}; 8 or 16 bits without a sign are needed: scale its values, as by: "
            "gdal_translate -scale -ot Byte FROM.tif TO.tif"
        )
    return (
        f"{what}, of a compression or layout ({tags.get(_COMPRESSION, 1)}) that is not "
        "read; save it as PNG, or as TIFF without compression"
    )
