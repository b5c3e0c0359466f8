"""The one error that a user's mistake raises; a command prints it as one line."""

import os
from pathlib import Path


class InputError(ValueError):
    """What was given, in which file or flag, and what would do."""

    exit_code = 1


class FlagError(InputError):
    """A command line that cannot be meant."""

    exit_code = 2


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
