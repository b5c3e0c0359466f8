"""Image and mask files, read by Pillow: EXIF orientation, palettes, 16 bits."""

import functools
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image, ImageOps

from deeplab_tf.data.labels import heuristics
from deeplab_tf.data.open_image import MAX_PIXELS, list_left_out, open_image
from deeplab_tf.data.spec import Color
from deeplab_tf.errors import InputError, LabelError
from deeplab_tf.runtime import is_turned

IGNORED: Color = (224, 224, 192)  # As VOC draws its borders.
Photograph = str | os.PathLike[str] | Image.Image | np.ndarray


def read_image(path: Path) -> np.ndarray:
    """An image as RGB, uint8 `[H, W, 3]`, turned as its EXIF orientation says.

    Warns of what is not taken of it, as transparency.

    Raises:
        InputError: There is no such file, it is damaged, or it has no colors.
    """
    return to_array(open_image(path), path)


def to_pixels(image: Photograph) -> np.ndarray:
    """RGB, uint8 `[H, W, 3]`, of a file, of a Pillow image, or of an array as it is.

    Gray arrays, `[H, W]`, get colors.
    """
    if isinstance(image, np.ndarray):
        return np.stack([image] * 3, axis=-1) if image.ndim == 2 else image
    if isinstance(image, Image.Image):
        return to_array(image)
    if Path(image).is_dir():
        raise InputError(f"{image}: a folder; give a photograph, or a list of those")
    return read_image(Path(image))


def to_array(
    image: Image.Image,
    path: Path = Path("image"),
    *,
    tell: Callable[[str], object] | None = None,
) -> np.ndarray:
    """A Pillow image as RGB, uint8 `[H, W, 3]`, turned as its EXIF orientation says.

    Args:
        image: Of Pillow.
        path: Its name, for errors.
        tell: Called with what is not taken of it, as transparency; by default a warning
            tells it.

    Raises:
        InputError: Its values have no meaning as colors; names `path`.
    """
    for what in list_left_out(path, image):
        (tell or functools.partial(_warn_once, path))(what)
    return np.asarray(_rgb(path, ImageOps.exif_transpose(image)))


def encode_image(
    path: Path,
    *,
    max_pixels: int = MAX_PIXELS,
    tell: Callable[[str], object] | None = None,
) -> tuple[bytes, str, tuple[int, int]]:
    """An image as a record holds it.

    JPEG and PNG files of 8 bits, gray or RGB, keep their bytes; what TensorFlow would
    read otherwise than the eye (turned by EXIF, CMYK, transparent, 16 bits, another
    format) becomes an RGB PNG.

    Args:
        path: Its file.
        max_pixels: Larger ones are refused.
        tell: Called with what is not taken of it; by default a warning tells it.

    Returns:
        The bytes, "jpeg" or "png", and (height, width).

    Raises:
        DamagedFile: There is no such file, it is damaged, or it is no image.
        InputError: It is too large, or has no colors.
    """
    image = open_image(path, max_pixels=max_pixels)
    for what in list_left_out(path, image):
        (tell or functools.partial(_warn_once, path))(what)
    upright = not is_turned(image)
    name = str(image.format).lower()
    plain = image.mode in ("RGB", "L") and "transparency" not in image.info
    if name in ("jpeg", "png") and plain and upright and _png_bits(path) in (None, 8):
        encoded = path.read_bytes()
    else:
        image = _rgb(path, ImageOps.exif_transpose(image))
        encoded, name = png(np.asarray(image)), "png"
    return encoded, name, (image.height, image.width)


def read_mask(path: Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Class ids `[H, W]`, uint8 or uint16: palette indices, or gray values.

    Raises:
        InputError: As of `open_mask`.
        LabelError: It does not hold one id a pixel.
    """
    mask = open_mask(path, max_pixels=max_pixels)
    if mask.mode == "LA" and mask.getextrema()[1] == (255, 255):
        mask = mask.getchannel("L")
    if mask.mode in ("1", "L", "P"):
        ids = np.asarray(mask).astype(np.uint8) // _spread(path, mask)
        if mask.mode == "L":
            _refuse_photograph(path, ids)
        return ids
    if mask.mode.startswith("I"):
        return _wide_ids(path, np.asarray(mask))
    _refuse_photograph(path, np.asarray(mask.convert("RGB")))
    what = "fractions" if mask.mode == "F" else f"colors ({mask.mode})"
    raise LabelError(
        f"{path}: a mask of {what}; one class id a pixel is needed: "
        "save it as a gray or palette PNG whose values are 0, 1, 2, ...",
        kind="color_mask",
        file=path,
    )


def open_mask(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A mask's file, still as it is; JPEG is refused, and so is what EXIF turns.

    Raises:
        DamagedFile: There is no such file, it is damaged, or it is no image.
        InputError: It is too large, or has more than one page.
        LabelError: It cannot hold ids.
    """
    mask = open_image(path, max_pixels=max_pixels)
    if mask.format == "JPEG":
        _refuse_photograph(path, np.asarray(mask.convert("RGB")))
        raise LabelError(
            f"{path}: a JPEG mask; compression changes class ids: save masks as PNG",
            kind="jpeg_mask",
            file=path,
        )
    if is_turned(mask):
        raise LabelError(
            f"{path}: a mask that its EXIF data turn; save it upright, without them",
            kind="exif_mask",
            file=path,
        )
    return mask


def _refuse_photograph(path: Path, pixels: np.ndarray) -> None:
    if heuristics.is_photograph(pixels):
        raise LabelError(
            f"{path}: a photograph, where a mask should be; are images and masks "
            "swapped?",
            kind="photograph",
            file=path,
        )


def _wide_ids(path: Path, ids: np.ndarray) -> np.ndarray:
    """Ids of a mask of more than 8 bits."""
    if ids.min() < 0 or ids.max() > 65535:
        raise LabelError(
            f"{path}: a mask of ids from {ids.min()} to {ids.max()}; 0 to 65535 are "
            "possible",
            kind="wide_ids",
            file=path,
            ids=(int(ids.min()), int(ids.max())),
        )
    return ids.astype(np.uint16)


def png(array: np.ndarray, palette: tuple[Color, ...] = ()) -> bytes:
    """PNG of uint8 `[H, W, 3]`, or of ids `[H, W]`, which a palette colors.

    Ids beyond the palette are `IGNORED`.
    """
    image = Image.fromarray(array)
    if palette:
        # All 256 entries, or Pillow saves fewer bits an id, and 255 becomes 15.
        entries = [*palette, *[IGNORED] * (256 - len(palette))]
        image.putpalette([value for color in entries for value in color])
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@functools.lru_cache  # A command may read a file twice.
def _warn_once(path: Path, what: str) -> None:
    logging.warning("%s: %s", path, what)


def _spread(path: Path, mask: Image.Image) -> int:
    """Factor by which Pillow spreads the values of a gray PNG of 2 or 4 bits."""
    bits = _png_bits(path) if mask.mode == "L" else None
    return {2: 85, 4: 17}.get(bits or 8, 1)


def _png_bits(path: Path) -> int | None:
    """Bits of a channel; None where the file is no PNG."""
    with path.open("rb") as file:
        header = file.read(25)
    return header[24] if header.startswith(b"\x89PNG") else None


def _rgb(path: Path, image: Image.Image) -> Image.Image:
    """As RGB of 8 bits: white is 255, or 65535 of 16 bits."""
    if image.mode == "F":
        raise InputError(
            f"{path}: an image of fractions; save it with 8 or 16 bits a channel"
        )
    if image.mode.startswith("I"):  # Pillow's own conversion would clip.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(
                f"{path}: an image of values from {values.min()} to {values.max()}; "
                "save it with 8 or 16 bits a channel"
            )
        image = Image.fromarray((values // 257).astype(np.uint8))
    return image.convert("RGB")
