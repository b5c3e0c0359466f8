"""Unpacks archives into their own folder, and nowhere else."""

import gzip
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from absl import logging

from deeplab_tf.errors import InputError

_DAMAGE = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
)


def is_done(archive: Path, holds: str) -> bool:
    """Whether what an archive holds is beside it, and not only a part of that."""
    return (archive.parent / holds).exists() and not _unfinished(archive).exists()


def unpack(archive: Path, holds: str) -> None:
    """Unpacks a tar or zip file beside itself.

    Args:
        archive: The file.
        holds: Path that is there afterwards.

    Raises:
        InputError: The file is damaged, is another one, or would write elsewhere.
    """
    unfinished = _unfinished(archive)
    unfinished.touch()
    logging.info("unpacking %s", archive)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive)
        else:
            with tarfile.open(archive) as file:
                file.extractall(archive.parent, filter="data")
    except tarfile.FilterError as error:
        raise InputError(f"{archive}: it would write elsewhere ({error})") from None
    except _DAMAGE as error:
        raise InputError(f"{archive}: a damaged archive ({error})") from None
    if not (archive.parent / holds).exists():
        raise InputError(f"{archive}: it holds no {holds}; another file is needed")
    unfinished.unlink()


def _unzip(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts:
                raise InputError(f"{archive}: it would write elsewhere ({name})")
        file.extractall(archive.parent)


def _unfinished(archive: Path) -> Path:
    """What lies beside an archive until it is unpacked."""
    return archive.with_name(f".{archive.name}.unpacking")
