"""Downloads and unpacks published archives: resumed, verified, and nowhere else."""

import dataclasses
import gzip
import http.client
import lzma
import shutil
import struct
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from absl import logging

from deeplab_tf import console
from deeplab_tf.errors import InputError
from deeplab_tf.files import check_writable, file_digest

_PATIENCE = 20  # Seconds without a byte.
_ATTEMPTS = 5  # In a row that bring nothing.
_BLOCK = 1 << 20
_OVERLAP = 1 << 16  # Bytes.
_CUT = (OSError, http.client.HTTPException)  # urllib's errors are OSErrors.
_DAMAGE = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # Of zipfile, as where it does not know a compression.
    ValueError,
    FileExistsError,  # Members that are files and folders of others.
    IsADirectoryError,
    NotADirectoryError,
)
_ENCRYPTED = 1  # A bit of a zip's member.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """A file to fetch and, if it is an archive, to unpack.

    Attributes:
        urls: Where it is; the later ones are asked where an earlier one fails.
        holds: Folder that is there once it is unpacked; empty for other files.
        size: In bytes, where it is known.
        digest: As "sha256:...", "sha1:..." or "md5:..."; empty where nobody published
            one.
    """

    urls: tuple[str, ...]
    holds: str = ""
    size: int | None = None
    digest: str = ""

    @property
    def name(self) -> str:
        """Of the file."""
        return self.urls[0].rsplit("/", 1)[1]


class Unreachable(InputError):
    """No place has the file, or none can be reached.

    Attributes:
        reasons: Place -> why.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{url}: {why}" for url, why in reasons.items()))
        self.reasons = reasons


def fetch(archives: Mapping[Archive, Path]) -> None:
    """Fetches and unpacks what is not there yet.

    Archives that lie in their folder are unpacked, those that are unpacked are left as
    they are. A download that was cut off lies beside them as `.part` and goes on.

    Args:
        archives: And the folder where each and what it holds are put.

    Raises:
        InputError: No network, a cut, a full disk, a wrong checksum or an archive that
            would write elsewhere; says what to do by hand.
    """
    wanted = {
        archive: folder / archive.name
        for archive, folder in archives.items()
        if not (archive.holds and is_unpacked(folder / archive.name, archive.holds))
    }
    missing = {archive: path for archive, path in wanted.items() if not path.exists()}
    for path in missing.values():
        check_writable("download", str(path.parent))
        path.parent.mkdir(parents=True, exist_ok=True)
    for archive, path in missing.items():  # All, before the first is unpacked.
        try:
            fetch_file(archive, path)
        except Unreachable as error:
            left = [item for item in missing.items() if not item[1].exists()]
            steps = [_manual_step(*item) for item in left]
            raise InputError(str(error), *steps) from None
    for archive, path in wanted.items():
        _verify(archive, path)
        if archive.holds:
            unpack(path, archive.holds)


def fetch_file(archive: Archive, path: Path) -> str:
    """Fetches a file, from the first place that has it; returns that URL.

    What an earlier download left as `.part` beside it goes on.

    Raises:
        Unreachable: No place gave it.
        InputError: A full disk.
    """
    reasons = {}
    for url in archive.urls:
        logging.info("fetching %s", url)
        try:
            _retry(url, archive, path)
            return url
        except _CUT as error:
            reasons[url] = _reason(error)
    raise Unreachable(reasons)


def is_unpacked(archive: Path, holds: str) -> bool:
    """Whether what an archive holds is beside it, and not only a part of that."""
    return (archive.parent / holds).exists() and not _unpack_mark(archive).exists()


def unpack(archive: Path, holds: str) -> None:
    """Unpacks a tar or zip file beside itself.

    Args:
        archive: The file.
        holds: Path that is there afterwards.

    Raises:
        InputError: The file is damaged, is another one, or would write elsewhere.
    """
    mark = _unpack_mark(archive)
    mark.touch()
    extract(archive, archive.parent)
    if not (archive.parent / holds).exists():
        raise InputError(f"{archive}: it holds no {holds}; another file is needed")
    mark.unlink()


def extract(archive: Path, folder: Path) -> None:
    """Unpacks a tar or zip file into a folder, and nowhere else.

    Raises:
        InputError: The file is damaged, is no archive, or would write elsewhere.
    """
    logging.info("unpacking %s", archive)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder)
        else:
            with tarfile.open(archive) as file:
                file.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise InputError(f"{archive}: it would write elsewhere ({error})") from None
    except InputError:
        raise
    except _DAMAGE as error:
        reason = next(iter(str(error).splitlines()), "cut off").rstrip(":")
        raise InputError(f"{archive}: a damaged archive ({reason})") from None


def _retry(url: str, archive: Archive, path: Path) -> None:
    """Downloads a file, again and again, as long as that brings something."""
    part = path.with_name(path.name + ".part")
    if part.is_symlink():
        part.unlink()  # It would be written through.
    idle = 0
    while True:
        before = _size(part)
        try:
            _append(url, archive, part)
            break
        except urllib.error.HTTPError:
            raise  # An answer, which will be the same the next time.
        except _CUT:
            idle = 0 if _size(part) > before else idle + 1
            # Where nothing ever came there is no network: that is said at once.
            if idle == _ATTEMPTS or not _size(part):
                raise
            time.sleep(idle)
    part.replace(path)


def _append(url: str, archive: Archive, part: Path) -> None:
    """Fetches what a partial file lacks.

    Where no checksum will tell whether both ends fit, the last bytes that are there are
    asked for again: servers lie about ranges, and files change.
    """
    have = _size(part)
    known = 0 if archive.digest else min(have, _OVERLAP)
    request = urllib.request.Request(url, headers={"User-Agent": "deeplab_tf"})
    if have > known:
        request.add_header("Range", f"bytes={have - known}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        if archive.digest:  # Nothing is left: the checksum will tell.
            return
        _start_anew(url, archive, part)
        return
    with answer:
        if answer.status != 206:
            have = known = 0  # It starts from the beginning, whatever was asked.
        elif not _goes_on(answer, part, known):
            _start_anew(url, archive, part)
            return
        left = int(answer.headers.get("Content-Length", known)) - known
        _check_space(archive, part.parent, left)
        with part.open("ab" if have else "wb") as file:
            came = _copy(answer, file, archive.name, (have, left))
    if came < left:
        raise ConnectionError(f"cut off at {have + came} of {have + left} bytes")


def _start_anew(url: str, archive: Archive, part: Path) -> None:
    logging.warning("%s: another file, or another part than asked; anew", url)
    part.unlink()
    _append(url, archive, part)


def _goes_on(answer: http.client.HTTPResponse, part: Path, known: int) -> bool:
    """Whether the part of a file that comes is the one asked for.

    Args:
        answer: Its first `known` bytes are read.
        part: What is there.
        known: How many of its last bytes were asked for again.
    """
    start = _size(part) - known
    told = answer.headers.get("Content-Range", f"bytes {start}-")
    with part.open("rb") as file:
        file.seek(start)
        mine = file.read(known)
    return told.startswith(f"bytes {start}-") and answer.read(known) == mine


def _copy(source: BinaryIO, file: BinaryIO, name: str, sizes: tuple[int, int]) -> int:
    """Copies to the end; how many bytes. `sizes`: those that are there, and to come."""
    came, (have, left) = 0, sizes
    total = have + left if left else None
    with console.bar(
        desc=name, total=total, initial=have, unit="B", unit_scale=True
    ) as bar:
        while block := source.read(_BLOCK):
            _write(file, block)
            came += len(block)
            bar.update(len(block))
    return came


def _write(file: BinaryIO, block: bytes) -> None:
    try:
        file.write(block)
    except OSError as error:  # No cut, which would be tried again.
        raise InputError(f"{file.name}: {error.strerror}") from None


def _check_space(archive: Archive, folder: Path, left: int) -> None:
    # Photographs hardly shrink, so what is unpacked is as large as the archive.
    needed = left + (archive.size or left)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {archive.name} and what it holds need {_gigabytes(needed)}, "
            f"{_gigabytes(free)} are free"
        )


def _verify(archive: Archive, path: Path) -> None:
    kind, _, wanted = (archive.digest or "sha256:").partition(":")
    digest = file_digest(path, kind)
    if not wanted:
        logging.warning(
            "%s: SHA-256 %s; nobody published one to compare with", path, digest
        )
    elif digest != wanted:
        raise InputError(
            f"{path}: its {kind.upper()} is {digest}, not {wanted}: damaged or another "
            "file; remove it, and it is fetched again"
        )


def _manual_step(archive: Archive, path: Path) -> str:
    digest = f" ({archive.digest.replace(':', ' ')})" if archive.digest else ""
    return (
        f"fetch {archive.urls[0]} by hand and put it at {path}{digest}; the same "
        "command goes on from there"
    )


def _reason(error: BaseException) -> str:
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            path = PurePosixPath(member.filename.replace("\\", "/"))
            inside = (folder / path).resolve().is_relative_to(folder.resolve())
            if path.is_absolute() or ".." in path.parts or not inside:
                raise InputError(
                    f"{archive}: it would write elsewhere ({member.filename})"
                )
            if member.flag_bits & _ENCRYPTED:
                raise InputError(
                    f"{archive}: it is encrypted; unpack it by hand in {folder}"
                )
        file.extractall(folder)


def _unpack_mark(archive: Path) -> Path:
    """What lies beside an archive until it is unpacked."""
    return archive.with_name(f".{archive.name}.unpacking")
