"""Images and masks as files: read by Pillow, upright, and said what is wrong."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deeplab_tf.data.spec import Color
from deeplab_tf.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
IGNORED: Color = (224, 224, 192)  # As VOC draws its borders.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
_ORIENTATION = 0x0112  # EXIF: how the camera was held.


def read_image(path: Path) -> np.ndarray:
    """An image as RGB, uint8 `[H, W, 3]`, turned as its EXIF orientation says.

    Raises:
        InputError: There is no such file, or it is no image.
    """
    return np.asarray(_rgb(ImageOps.exif_transpose(_open(path))))


def encoded_image(path: Path) -> tuple[bytes, str, tuple[int, int]]:
    """An image as a record holds it.

    JPEG and PNG files of 8 bits, grey or RGB, keep their bytes; what TensorFlow would
    read otherwise than the eye (turned by EXIF, CMYK, transparent, 16 bits, another
    format) becomes an RGB PNG.

    Returns:
        The bytes, "jpeg" or "png", and (height, width).

    Raises:
        InputError: There is no such file, or it is no image.
    """
    image = _open(path)
    upright = image.getexif().get(_ORIENTATION, 1) == 1
    name = str(image.format).lower()
    if name in ("jpeg", "png") and image.mode in ("RGB", "L") and upright:
        encoded = path.read_bytes()
    else:
        image = _rgb(ImageOps.exif_transpose(image))
        encoded, name = png(np.asarray(image)), "png"
    return encoded, name, (image.height, image.width)


def read_mask(path: Path) -> np.ndarray:
    """Class ids `[H, W]`, uint8 or uint16: palette indices, or grey values.

    Raises:
        InputError: Not a file that holds one id a pixel; says what would.
    """
    mask = _open(path)
    if mask.format == "JPEG":
        raise InputError(
            f"{path}: a JPEG mask; compression changes class ids: save masks as PNG"
        )
    if mask.mode in ("1", "L", "P"):
        return np.asarray(mask).astype(np.uint8) // _spread(path, mask)
    if mask.mode.startswith("I;16") or mask.mode == "I":
        return np.asarray(mask).astype(np.uint16)
    raise InputError(
        f"{path}: a mask of colours ({mask.mode}); one class id a pixel is needed: "
        "save it as a grey or palette PNG whose values are 0, 1, 2, ..."
    )


def png(array: np.ndarray, palette: tuple[Color, ...] = ()) -> bytes:
    """PNG of uint8 `[H, W, 3]`, or of ids `[H, W]`, which a palette colours.

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


def find_images(folder: Path) -> list[Path]:
    """Image files below a folder, sorted.

    Raises:
        InputError: There is no such folder, or it has none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES]
    if not found:
        raise InputError(f"{folder}: no images ({', '.join(SUFFIXES)})")
    return sorted(found)


def _open(path: Path) -> Image.Image:
    try:
        with path.open("rb") as file:
            image = Image.open(file)
            image.load()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not an image") from None
    except _DAMAGE as error:
        raise InputError(f"{path}: a damaged image ({error})") from None
    return image


def _spread(path: Path, mask: Image.Image) -> int:
    """Factor by which Pillow spreads the values of a grey PNG of 2 or 4 bits."""
    if mask.format != "PNG" or mask.mode != "L":
        return 1
    with path.open("rb") as file:
        bits = file.read(25)[24]
    return {2: 85, 4: 17}.get(bits, 1)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip.
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert(
            "RGB"
        )
    return image.convert("RGB")
