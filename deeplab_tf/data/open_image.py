"""Opening of image files: whole, of one page, of bands that are colors.

What Pillow would leave out without a word is refused, or told: pages behind the first,
bands that are no colors, damage that it does not look for.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from deeplab_tf.data import png_chunks, tiff_bands
from deeplab_tf.data.labels import heuristics
from deeplab_tf.errors import DamagedFile, InputError

MAX_PIXELS = 178_956_970  # Pillow takes what is larger for an attack.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError)
_OPENING = threading.Lock()
_FIRST = 10  # Damaged files that a line names.


def open_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A Pillow image, loaded and whole.

    Raises:
        DamagedFile: There is no such file, it is damaged, or it is no image.
        InputError: It has more pixels, more than one page, or bands that are no colors.
    """
    try:
        with path.open("rb") as file:
            return load_image(file, path, max_pixels=max_pixels)
    except FileNotFoundError:
        link = path.is_symlink()
        what = f"a link to {path.readlink()}, which is not there" if link else None
        raise DamagedFile(f"{path}: {what or 'no such file'}") from None
    except IsADirectoryError:
        raise DamagedFile(f"{path}: a folder, not an image") from None
    except UnidentifiedImageError:
        if unread := tiff_bands.describe_unknown(path):
            raise InputError(f"{path}: {unread}") from None
        what = "not an image" if path.stat().st_size else "an empty file"
        raise DamagedFile(f"{path}: {what}") from None
    except OSError as error:
        raise _damaged(path, error) from None


def load_image(
    file: BinaryIO,
    path: Path,
    *,
    max_pixels: int = MAX_PIXELS,
    formats: tuple[str, ...] | None = None,
) -> Image.Image:
    """As `open_image`, of a file that is open.

    Args:
        file: At its beginning.
        path: Its name, for errors.
        max_pixels: Larger ones are refused.
        formats: Those of Pillow that are tried; by default all.

    Raises:
        DamagedFile: It is damaged.
        InputError: See `open_image`.
        UnidentifiedImageError: It is no image of these formats.
    """
    try:
        _check_chunks(path, file)
        with any_size():
            image = Image.open(file, formats=formats)
            pages = _count_pages(image)
        _check_pages(path, pages)
        _check_size(path, image.size, max_pixels)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            tiff_bands.check_bands(path, image.tag_v2)
        image.load()
    except (UnidentifiedImageError, InputError):
        raise
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    return image


def _damaged(path: Path, error: Exception) -> DamagedFile:
    return DamagedFile(f"{path}: a damaged image ({error})")


def list_left_out(path: Path, image: Image.Image) -> Iterator[str]:
    """Yields what of a photograph's file is not in its colors.

    Raises:
        InputError: It is more than transparency.
    """
    if image.format == "MPO":
        yield "more pictures inside, of which the first is taken"
    last = image.getbands()[-1]
    if last not in ("A", "a"):
        return
    alpha = np.asarray(image.getchannel(last))
    if heuristics.is_photograph(alpha):
        raise InputError(
            f"{path}: the last of its {len(image.getbands())} bands is as varied as a "
            "photograph: near infrared, and not transparency? "
            f"{tiff_bands.COLORS_ALONE}"
        )
    if alpha.min() < 255:
        yield "transparent pixels, taken as if they were opaque"


def summarize_damage(lines: Sequence[str]) -> str:
    """One line of what is said of each of some damaged files."""
    said = "; ".join(lines[:_FIRST])
    if len(lines) > 1:
        said = f"{len(lines)} files cannot be read: {said}"
    more = len(lines) - _FIRST
    return f"{said}; and {more} more" if more > 0 else said


@contextlib.contextmanager
def any_size() -> Iterator[None]:
    """Lets Pillow open headers of any size, which are judged here, by name."""
    with _OPENING:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_chunks(path: Path, file: BinaryIO) -> None:
    if file.read(len(png_chunks.SIGNATURE)) == png_chunks.SIGNATURE:
        file.seek(0)
        if damage := png_chunks.describe_damage(file.read()):
            raise DamagedFile(f"{path}: a damaged image ({damage})")
    file.seek(0)


def _count_pages(image: Image.Image) -> int:
    """Pages, or frames; one where a camera put more pictures inside."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return tiff_bands.count_pages(image)
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _check_pages(path: Path, pages: int) -> None:
    if pages > 1:
        raise InputError(
            f"{path}: {pages} pages or frames, of which one alone would be read; save "
            "each as a file of its own"
        )


def _check_size(path: Path, size: tuple[int, int], most: int) -> None:
    width, height = size
    if width * height > most:
        raise InputError(
            f"{path}: {width}x{height} pixels: more than {most}; cut it into tiles, or "
            f"allow it by --max_pixels={width * height} (build_folder_data.py)"
        )
