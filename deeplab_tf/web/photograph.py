"""Photographs of strangers: bytes -> pixels, with the size looked at first."""

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from deeplab_tf import runtime
from deeplab_tf.data import image_files
from deeplab_tf.data.open_image import any_size, load_image
from deeplab_tf.errors import InputError, printable
from deeplab_tf.web.refusal import Refusal

Image.init()  # Lists what it reads, in `OPEN`.
# Those of cameras and screens. Of what else Pillow reads, some starts a program (EPS).
_FORMATS = tuple(
    kind for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF") if kind in Image.OPEN
)
_PLAIN_MODES = ("1", "L", "P", "RGB")
_HEIF = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif")
_NAME = 60  # Characters of a file's name that a line shows.


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Photograph:
    """What was sent.

    Attributes:
        pixels: RGB, uint8 `[H, W, 3]`, upright.
        remarks: What is not taken of the file, as transparency.
        needs_copy: A browser shows it otherwise than the network sees it, or not at
            all.
    """

    pixels: np.ndarray
    remarks: tuple[str, ...]
    needs_copy: bool


def check_header(data: bytes, name: str, *, max_pixels: int) -> None:
    """Reads the header alone: of a JPEG up to its scan, of a PNG up to its pixels.

    Args:
        data: The file.
        name: As the sender calls it.
        max_pixels: Larger ones are refused before they are decoded.

    Raises:
        Refusal: It is empty (400), no photograph (415), or too large (413).
    """
    path = _path(name)
    if not data:
        raise Refusal(400, f"{path}: an empty file")
    try:
        with any_size():
            width, height = Image.open(io.BytesIO(data), formats=_FORMATS).size
    except UnidentifiedImageError:
        raise Refusal(415, f"{path}: {_describe_unknown(data)}") from None
    except (OSError, SyntaxError, ValueError, EOFError, TypeError) as error:
        raise Refusal(415, f"{path}: a damaged image ({error})") from None
    if width * height > max_pixels:
        raise Refusal(
            413,
            f"{path}: {width}x{height} pixels are {width * height / 1e6:.0f} "
            f"megapixels, and at most {max_pixels / 1e6:g} are taken; save it smaller",
        )


def read(data: bytes, name: str) -> Photograph:
    """Decodes a file whose header was checked.

    Raises:
        Refusal: It is damaged, or has no colors (415).
    """
    path, remarks = _path(name), list[str]()
    try:
        image = load_image(io.BytesIO(data), path, formats=_FORMATS)
        pixels = image_files.to_array(image, path, tell=remarks.append)
    except UnidentifiedImageError:
        raise Refusal(415, f"{path}: {_describe_unknown(data)}") from None
    except InputError as error:
        raise Refusal(415, str(error)) from None
    return Photograph(
        pixels=pixels, remarks=tuple(remarks), needs_copy=not _is_plain(image)
    )


def _path(name: str) -> Path:
    """The last part of a name, in one line."""
    name = printable(Path(name.replace("\\", "/")).name)
    return Path(name if len(name) <= _NAME else f"...{name[-_NAME:]}")


def _describe_unknown(data: bytes) -> str:
    if data[4:12] in _HEIF:
        return "a HEIF or AVIF photograph; save it as JPEG"
    if data.startswith((b"\xff\xd8", b"\x89PNG")):
        return "a damaged image (it ends within its header)"
    return "not a photograph; JPEG, PNG, WebP, TIFF, BMP and GIF are read"


def _is_plain(image: Image.Image) -> bool:
    """Whether browsers show the file as RGB of 8 bits, and as upright as we take it."""
    if image.mode not in _PLAIN_MODES or "transparency" in image.info:
        return False
    if image.format in ("JPEG", "MPO"):
        return True
    shown = image.format in ("PNG", "WEBP", "BMP", "GIF")
    return shown and not runtime.is_turned(image)


def jpeg(pixels: np.ndarray) -> bytes:
    """A copy that every browser shows, of RGB, uint8 `[H, W, 3]`."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def shrink(pixels: np.ndarray, max_side: int) -> np.ndarray:
    """RGB, uint8 `[H, W, 3]`, with `max_side` pixels at most on the longer side."""
    height, width = pixels.shape[:2]
    factor = max_side / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(
        Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    )


def enlarge(classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Ids `[h, w]` as `[H, W]`, each pixel that of the nearest."""
    if classes.shape == size:
        return classes
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for old, new in zip(classes.shape, size, strict=True)
    )
    return classes[np.ix_(rows, columns)]
