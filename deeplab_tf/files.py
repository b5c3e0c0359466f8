"""Files that commands write: whole, flushed, in folders that are locked."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from absl import logging
from filelock import FileLock, Timeout

from deeplab_tf import storage
from deeplab_tf.errors import InputError
from deeplab_tf.text_files import to_record

try:
    import fcntl
except ImportError:  # Windows.
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
CACHE = "DEEPLAB_TF_CACHE"  # Names a folder, in the environment.
_NAME_BYTES = 200  # Of the 255 that names may have; something may be added.
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[\d¹²³])( *\..*)?", re.IGNORECASE)
_PATIENCE = 0.3  # Seconds, for a holder that is just ending.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # Of disks.
RECIPES = Path(__file__).with_name("recipes")  # Data of the package, no module.


def check_writable(flag: str, folder: str | None) -> Path:
    """The folder of a flag, which need not exist, checked before hours are spent.

    Raises:
        InputError: It could not be made or written, or is on no disk.
    """
    if storage.is_remote(folder or ""):
        raise InputError(
            f"--{flag}={folder}: what is written there needs a disk; give a local "
            "folder, and copy it in the end (gcloud storage cp -r, aws s3 cp "
            "--recursive)"
        )
    path = Path(folder or "")
    existing = next(place for place in (path, *path.parents) if place.exists())
    if not existing.is_dir():
        raise InputError(f"--{flag}={folder}: {existing} is a file, not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"--{flag}={folder}: {existing} may not be written")
    return path


def find_recipe_file(path: str) -> Path:
    """The path itself, or the packaged file where there is none at `.../recipes/NAME`.

    So `recipes/shapes.flags` and `recipes/ablations/aspp.flags` are found from any
    folder.
    """
    place = Path(path).expanduser()
    folders = place.parent.parts
    if RECIPES.name not in folders or ".." in place.parts:
        return place
    behind = folders[::-1].index(RECIPES.name)
    packaged = RECIPES.joinpath(*folders[len(folders) - behind :], place.name)
    return packaged if packaged.is_file() and not place.is_file() else place


def safe_name(name: str) -> str:
    """A name for a file that stays in its folder, is visible, and is one on any disk.

    What a disk or a terminal takes for something else becomes `_`, as do controls and
    bytes that are no text; so do the dot of a hidden file and the end of a long name.
    """
    safe = "".join("_" if _is_unsafe(char) else char for char in name).strip()
    safe = safe.encode()[:_NAME_BYTES].decode(errors="ignore")
    if safe.startswith("."):
        safe = f"_{safe[1:]}"
    return f"_{safe}" if not safe or _DEVICE.fullmatch(safe) else safe


def _is_unsafe(char: str) -> bool:
    joins = char in "\u200c\u200d"  # Some scripts need them.
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Controls, halves of pairs, ends of lines.
    return char in '/\\:*?"<>|' or (unicodedata.category(char) in kinds and not joins)


def write_whole(path: Path, content: str | bytes, *, flushed: bool = True) -> None:
    """Writes a file so that, whenever the machine fails, it is the old or the new.

    Nothing is written through a link that lies where the unfinished file is to be.

    Args:
        path: Of the file.
        content: Texts are written in UTF-8.
        flushed: Wait until it is on the disk; else only a full disk leaves the old one.

    Raises:
        OSError: The disk is full, or the folder cannot be written; names the file.
    """
    unfinished = path.with_name(f".{path.name}.new")
    data = content.encode() if isinstance(content, str) else content
    with name_in_error(path):
        unfinished.unlink(missing_ok=True)
        try:
            with unfinished.open("xb") as file:  # Fails where anything lies there.
                file.write(data)
            if flushed:
                flush(unfinished)
            unfinished.replace(path)
        except OSError:  # A full disk; what is half written only fills it.
            unfinished.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def name_in_error(path: Path) -> Iterator[None]:
    """Puts the file's name into an OSError that has none, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename or error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from None


def remove(path: Path) -> None:
    """Removes a folder with all in it, a file, or a link, but not its target."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def cache_folder() -> Path | None:
    """Where what can be made again is kept: DEEPLAB_TF_CACHE, or below `~/.cache`.

    It need not exist, nor be writable: None where nobody's home is known.
    """
    try:
        return Path(os.environ.get(CACHE) or "~/.cache/deeplab_tf").expanduser()
    except RuntimeError:
        return None


def file_digest(path: Path, kind: str = "sha256") -> str:
    """Checksum of a file, in hexadecimal; `kind` is sha256, sha1 or md5."""
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(kind, usedforsecurity=False)
        ).hexdigest()


def flush(path: Path) -> None:
    """Waits until a file, or what a folder lists, is on the disk."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


@contextlib.contextmanager
def lock_folder(folder: Path, *, flag: str, doing: str) -> Iterator[None]:
    """Holds a folder, made if need be, so that no second process works in it.

    The lock is one of the system on the file `.lock`, and ends with the process,
    however that ends; what a dead one left there refuses nobody. On a disk of this
    host it is certain. On a network disk it is as certain as that disk's locks: NFS
    knows those of all hosts, unless mounted with `nolock` or `local_lock`; where there
    are none at all, this warns, and where each host has its own, a process on another
    host is warned of when it has not ended in order.

    Args:
        folder: See `hold_folder`.
        flag: That named it.
        doing: What is done there, as "training".

    Raises:
        InputError: Another process is at work there; says which, and since when.
    """
    given = f"--{flag}={folder}"
    with hold_folder(folder, lambda path: _acquire(path, given, doing)):
        yield


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderLock:
    """What a folder's lock file says.

    Attributes:
        is_held: Whether a process holds it; otherwise one died that held it, or works
            on a host whose locks are not seen here.
        owner: Who signed it; None where nobody is named.
    """

    is_held: bool
    owner: "LockOwner | None"


def find_lock(folder: Path) -> FolderLock | None:
    """The lock of a folder, without touching it; None where no lock file lies there."""
    path = folder / LOCK
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return FolderLock(is_held=_is_locked(file), owner=LockOwner.of(path))
    except FileNotFoundError:  # It ended in this moment.
        return None
    except OSError:  # Windows lets nobody read what is locked.
        return FolderLock(is_held=True, owner=None)


def _is_locked(file: BinaryIO) -> bool:
    """Whether a process holds the lock on an open file; without locks, none does."""
    if fcntl is None:
        return False
    try:
        # For a moment, and shared: whoever wants the lock tries again.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    return False


@contextlib.contextmanager
def hold_folder(folder: Path, acquire: Callable[[Path], FileLock]) -> Iterator[None]:
    """Holds a folder, made if need be, and left out again if nothing came to be in it.

    Args:
        folder: What is held.
        acquire: Path of the lock's file -> the lock, once it is held.
    """
    path = folder / LOCK
    with make_folder(folder):
        lock = acquire(path)
        try:
            yield
        finally:
            # While it is held: whoever opened it before locks a file that has no name
            # any more, sees that, and opens the new one. Windows removes it at the
            # release.
            with contextlib.suppress(OSError):
                path.unlink()
            lock.release()


@contextlib.contextmanager
def make_folder(folder: Path) -> Iterator[None]:
    """Makes a folder if need be, and removes it if nothing came to be in it."""
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # There is something in it.
            for each in created:
                each.rmdir()


def _acquire(path: Path, given: str, doing: str) -> FileLock:
    """The lock of a process that is alone; not held where the disk knows no locks."""
    previous: list[LockOwner | None] = []

    def sign(descriptor: int) -> None:
        previous.append(LockOwner.read(descriptor))
        LockOwner.current().write(descriptor)

    _check_lock_file(path, given)
    lock = FileLock(path, fallback_to_soft=False, on_acquired=sign)
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        raise InputError(
            f"{given}: {_describe_holder(LockOwner.of(path), doing)}; wait for it, or "
            "choose another folder"
        ) from None
    except OSError as error:
        _check_lock_file(path, given)
        if error.errno not in _NO_LOCKS:
            raise
        logging.warning(
            "%s: cannot be locked (%s); see yourself that no second process works "
            "there",
            path.parent,
            error.strerror,
        )
    for owner in previous:
        if owner and owner.host != socket.gethostname():
            logging.warning(
                "%s: %s, and did not end in order; if it still runs, stop one of both",
                path.parent,
                _describe_holder(owner, doing),
            )
    return lock


def _check_lock_file(path: Path, given: str) -> None:
    """Raises where it is no file of its own: by another name, it would be emptied."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        kind = "a symbolic link"
    elif not stat.S_ISREG(status.st_mode):
        kind = "no plain file"
    elif status.st_nlink > 1:
        kind = "a hard link to another file"
    else:
        return
    raise InputError(f"{given}: {path} is {kind}; remove it, or choose another folder")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LockOwner:
    """Who holds a lock, for people to read; `since` in seconds of Unix time."""

    host: str
    pid: int
    command: str
    since: float

    @classmethod
    def current(cls) -> "LockOwner":
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            command=" ".join(sys.argv),
            since=time.time(),
        )

    @classmethod
    def of(cls, path: Path) -> "LockOwner | None":
        """Of a lock that another process holds; None where nobody is named."""
        try:
            return cls._parse(path.read_bytes())
        except OSError:  # Windows lets nobody read what is locked.
            return None

    @classmethod
    def read(cls, descriptor: int) -> "LockOwner | None":
        """Of an open lock file; None where nobody is named."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        return cls._parse(os.read(descriptor, 1 << 16))

    @classmethod
    def _parse(cls, note: bytes) -> "LockOwner | None":
        try:
            owner = to_record(cls, json.loads(note))
            time.localtime(owner.since)
        except (ValueError, OverflowError, OSError, RecursionError):
            return None  # Half a note, or one of something else.
        return owner

    def write(self, descriptor: int) -> None:
        note = json.dumps(dataclasses.asdict(self), indent=1) + "\n"
        with contextlib.suppress(OSError):  # A full disk; the lock holds without it.
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, note.encode())


def _describe_holder(owner: LockOwner | None, doing: str) -> str:
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
