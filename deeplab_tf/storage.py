"""Storage: the one door to files, local ones and those of gs://, s3://, hdfs://, ...

Paths are texts; what fsspec knows by a protocol is opened by it. Local files need none.
"""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from deeplab_tf.errors import InputError

_FILE = "file://"
# File systems on which a file that is being written can be seen, unlike object stores.
_SHOW_UNFINISHED = {"ftp", "hdfs", "sftp", "smb", "ssh", "webhdfs"}


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether fsspec has to open it; never a `Path`, which is local."""
    text = os.fspath(path)
    return "://" in text and not text.startswith(_FILE)


def to_local(path: str | os.PathLike[str]) -> Path:
    """A local path as a `Path`, without `file://`."""
    return Path(os.fspath(path).removeprefix(_FILE)).expanduser()


def join(folder: str, name: str) -> str:
    """The path of what lies in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def open_file(path: str) -> IO[bytes]:
    """Opens a file to be read from any place.

    Raises:
        OSError: There is none, or it may not be read.
        InputError: Its file system cannot be reached.
    """
    if not is_remote(path):
        return to_local(path).open("rb")
    with _explain(path):
        system, place = _resolve(path)
        return system.open(place, "rb")


def read(path: str) -> bytes:
    """The content of a file; see `open_file`."""
    with open_file(path) as file, _explain(path):
        return file.read()


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    if not is_remote(path):
        return to_local(path).exists()
    with _explain(path):
        system, place = _resolve(path)
        return bool(system.exists(place))


def is_folder(path: str) -> bool:
    """Whether it is a folder; of an object store, one with something in it."""
    if not is_remote(path):
        return to_local(path).is_dir()
    with _explain(path):
        system, place = _resolve(path)
        return bool(system.isdir(place))


def size(path: str) -> int:
    """Bytes of a file; see `open_file`."""
    if not is_remote(path):
        return to_local(path).stat().st_size
    with _explain(path):
        system, place = _resolve(path)
        return int(system.size(place))


def read_range(path: str, start: int, length: int) -> bytes:
    """A part of a remote file, by one request; see `open_file`."""
    with _explain(path):
        system, place = _resolve(path)
        return bytes(system.cat_file(place, start=start, end=start + length))


def list_names(folder: str) -> list[str]:
    """Names of what lies in a folder, sorted; none where it is not there."""
    if not is_remote(folder):
        local = to_local(folder)
        return sorted(os.listdir(local)) if local.is_dir() else []
    with _explain(folder):
        system, place = _resolve(folder)
        if not system.isdir(place):
            return []
        return sorted(
            each.rstrip("/").rpartition("/")[2]
            for each in system.ls(place, detail=False)
        )


def match(pattern: str) -> tuple[str, list[str]]:
    """Remote files that a pattern stands for, or all below a folder, sorted.

    Args:
        pattern: With `*`, `?`, and `**` for folders at will, as fsspec has them.

    Returns:
        The folder before the first of these, and the paths from there.
    """
    fixed = re.split(r"[*?\[]", pattern)[0]
    with _explain(pattern):
        system, place = _resolve(pattern)
        if fixed != pattern:
            top = system._strip_protocol(fixed.rpartition("/")[0] + "/")
            files = system.glob(place, detail=True)
        else:
            top, files = place, system.find(place, detail=True)
        top = top.rstrip("/") if place not in files else top.rpartition("/")[0]
        names = [
            each[len(top) :].lstrip("/")
            for each in sorted(files)
            if files[each]["type"] == "file"
        ]
        return system.unstrip_protocol(top), names


def normalize(path: str) -> str:
    """One spelling for each path; local ones are absolute."""
    if not is_remote(path):
        return os.path.abspath(to_local(path))
    with _explain(path):
        system, place = _resolve(path)
        return str(system.unstrip_protocol(place.rstrip("/")))


@contextlib.contextmanager
def write_whole(path: str, scratch: Path | None = None) -> Iterator[IO[bytes]]:
    """Opens a file that appears under its name once it is whole.

    Args:
        path: Its folder is made if need be.
        scratch: Folder on the same disk, for local files that are not finished; by
            default the file's own.
    """
    if is_remote(path):
        with _write_remote(path) as file:
            yield file
        return
    target = to_local(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    name = f".{target.name[-100:]}.{secrets.token_hex(8)}"
    unfinished = (scratch or target.parent) / name
    try:
        with unfinished.open("xb") as file:
            yield file
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _write_remote(path: str) -> Iterator[IO[bytes]]:
    """Gathers the content first: object stores show what was closed, whole or not."""
    with tempfile.TemporaryFile() as gathered:
        yield gathered
        gathered.seek(0)
        with _explain(path):
            system, place = _resolve(path)
            protocol = system.protocol
            names = {protocol} if isinstance(protocol, str) else set(protocol)
            shows = bool(names & _SHOW_UNFINISHED)
            unfinished = f"{place}.unfinished" if shows else place
            if shows:
                system.makedirs(place.rpartition("/")[0], exist_ok=True)
            with system.open(unfinished, "wb") as file:
                shutil.copyfileobj(gathered, file)
            if shows:
                system.mv(unfinished, place)


@contextlib.contextmanager
def local_copy(path: str) -> Iterator[Path]:
    """A file or folder by a local path, with what lies beside a file by its name.

    What is remote is copied, and the copy removed in the end.
    """
    if not is_remote(path):
        yield to_local(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        with _explain(path):
            system, place = _resolve(path)
            target = Path(folder) / place.rstrip("/").rpartition("/")[2]
            if system.isdir(place):
                system.get(place, str(target), recursive=True)
            else:
                stem = place.rpartition(".")[0]
                for each in system.glob(f"{stem}.*"):
                    system.get(each, str(target.parent / each.rpartition("/")[2]))
        yield target


@contextlib.contextmanager
def stage_folder(path: str) -> Iterator[str]:
    """A local folder, whose files are copied to a remote one in the end.

    A local path is itself. Descriptions (`.json`) are copied last: what they describe
    is there by then. After an error, nothing is copied.
    """
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield folder
        names = [
            place.relative_to(folder).as_posix()
            for place in Path(folder).rglob("[!.]*")
            if place.is_file()
        ]
        for name in sorted(names, key=lambda name: (name.endswith(".json"), name)):
            with write_whole(join(path, name)) as file:
                file.write(Path(folder, name).read_bytes())


def _resolve(path: str) -> tuple[Any, str]:
    """The file system, and the path in it."""
    import fsspec

    return fsspec.core.url_to_fs(path)


@contextlib.contextmanager
def _explain(path: str) -> Iterator[None]:
    """Tells in a line why a file system cannot be reached; OSErrors stay."""
    try:
        yield
    except (OSError, InputError):
        raise
    except ImportError as error:  # Says which package would do.
        raise InputError(f"{path}: {error} (pip install it)") from None
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path}: {lines[0]}") from error
