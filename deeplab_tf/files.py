"""Folders and files that commands write."""

import contextlib
import dataclasses
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from deeplab_tf.errors import InputError

LOCK = ".lock"
RECIPES = Path(__file__).with_name("recipes")  # Data of the package, no module.


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


def find_recipe_file(path: str) -> Path:
    """The path itself, or the packaged file where there is none at `.../recipes/NAME`.

    So `recipes/shapes.flags` is found from any folder.
    """
    place = Path(path).expanduser()
    packaged = RECIPES / place.name
    is_recipe = place.parent.name == RECIPES.name and packaged.is_file()
    return packaged if is_recipe and not place.is_file() else place


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file so that, whenever the machine fails, it is the old or the new."""
    unfinished = path.with_name(f".{path.name}.new")
    data = content.encode() if isinstance(content, str) else content
    try:
        unfinished.write_bytes(data)
        flush(unfinished)
        unfinished.replace(path)
    except OSError:  # A full disk; what is half written only fills it.
        unfinished.unlink(missing_ok=True)
        raise


def flush(path: Path) -> None:
    """Waits until a file, or what a folder lists, is on the disk."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


@contextlib.contextmanager
def alone(folder: Path, *, flag: str, doing: str) -> Iterator[None]:
    """Holds a folder, made if need be, so that no second process works in it.

    The lock is one of the system on the file `.lock`, and ends with the process,
    however that ends; what a dead one left there refuses nobody. On a disk of this
    host it is certain. On a network disk it is as certain as that disk's locks: NFS
    knows those of all hosts, unless mounted with `nolock` or `local_lock`; where there
    are none at all, this warns, and where each host has its own, a process on another
    host is warned of when it has not ended in order.

    Args:
        folder: Left out again if nothing came to be in it.
        flag: That named it.
        doing: What is done there, as "training".

    Raises:
        InputError: Another process is at work there; says which, and since when.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    place = _locked(path, f"--{flag}={folder}", doing)
    try:
        yield
    finally:
        with os.fdopen(place):  # Closes it, whatever happens.
            if _is_at(place, path):
                path.unlink()
        with contextlib.suppress(OSError):  # There is something in it.
            for each in made:
                each.rmdir()


def _locked(path: Path, given: str, doing: str) -> int:
    """The open lock file of a process that is alone."""
    while True:
        place = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        before = _Owner.of(place)
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(place)
            raise InputError(
                f"{given}: {_at_work(before, doing)}; wait for it, or choose another "
                "folder"
            ) from None
        except OSError as error:  # Not all network disks know locks.
            logging.warning(
                "%s: cannot be locked (%s); see yourself that no second process "
                "works there",
                path.parent,
                error.strerror,
            )
        if _is_at(place, path):
            break
        os.close(place)  # Another process ended, and removed it, meanwhile.
    if before and before.host != socket.gethostname():
        logging.warning(
            "%s: %s, and did not end in order; if it still runs, stop one of both",
            path.parent,
            _at_work(before, doing),
        )
    _Owner.here().write(place)
    return place


def _is_at(place: int, path: Path) -> bool:
    """Whether an open file still is the one of this path."""
    try:
        return os.path.samestat(os.fstat(place), path.stat())
    except OSError:
        return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Owner:
    """Who holds a lock, for people to read; `since` in seconds of Unix time."""

    host: str
    pid: int
    command: str
    since: float

    @classmethod
    def here(cls) -> "_Owner":
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            command=" ".join(sys.argv),
            since=time.time(),
        )

    @classmethod
    def of(cls, place: int) -> "_Owner | None":
        """None where nobody is named."""
        try:
            return cls(**json.loads(os.pread(place, 1 << 16, 0)))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, place: int) -> None:
        with contextlib.suppress(OSError):  # A full disk; the lock holds without it.
            os.ftruncate(place, 0)
            text = json.dumps(dataclasses.asdict(self), indent=1) + "\n"
            os.pwrite(place, text.encode(), 0)


def _at_work(owner: _Owner | None, doing: str) -> str:
    if owner is None:
        return f"another process is {doing} there"
    since, now = time.localtime(owner.since), time.localtime()
    style = "%H:%M" if since[:3] == now[:3] else "%Y-%m-%d %H:%M"
    minutes = max(0, round((time.time() - owner.since) / 60))
    age = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
    return (
        f"process {owner.pid} on host {owner.host} has been {doing} there since "
        f"{time.strftime(style, since)} ({age})"
    )
