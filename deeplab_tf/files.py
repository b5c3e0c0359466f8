"""Folders and files that commands write."""

import os
from pathlib import Path

from deeplab_tf.errors import InputError


def check_writable(flag: str, folder: str | None) -> Path:
    """The folder of a flag, which need not exist, checked before hours are spent.

    Raises:
        InputError: It could not be made or written.
    """
    path = Path(folder or "")
    existing = next(place for place in (path, *path.parents) if place.exists())
    if not existing.is_dir():
        raise InputError(f"--{flag}={folder}: {existing} is a file, not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"--{flag}={folder}: {existing} may not be written")
    return path


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file so that, whenever the machine fails, it is the old or the new."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    flush(unfinished)
    unfinished.replace(path)


def flush(path: Path) -> None:
    """Waits until a file, or what a folder lists, is on the disk."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
