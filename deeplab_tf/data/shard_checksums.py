"""Shard verification: files of records against what `dataset.json` records of them.

Sizes are compared when a split is opened. SHA-256 takes a second for some hundred
megabytes, so it is computed beside the reading, and once: a shard that was right is
remembered in the cache folder, by path, size, time of its last change and checksum.
"""

import contextlib
import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import logging

from deeplab_tf import storage
from deeplab_tf.data import tfrecord
from deeplab_tf.data.spec import FILE_NAME, DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.files import cache_folder, file_digest

_QUIET = 3.0  # Seconds of waiting that need no word.
_REMEDY = "it was changed, or is of another build; build the records again"


def check_sizes(paths: Sequence[str], described: DatasetSpec) -> None:
    """Compares the bytes of shards with those recorded; what is not is not asked for.

    Raises:
        InputError: One has another size.
    """
    for path in paths:
        size = storage.size(path)
        recorded = described.shard_sizes.get(Path(path).name, size)
        if size != recorded:
            raise InputError(
                f"{path}: {size} bytes, and {FILE_NAME} says {recorded}: {_REMEDY}"
            )


def checksums_of(paths: Sequence[str], described: DatasetSpec) -> dict[str, str]:
    """Path -> SHA-256 of those shards of a split of which one is recorded.

    Warns where others of the split are.
    """
    recorded = described.shards
    known = {path: recorded[n] for path in paths if (n := Path(path).name) in recorded}
    splits = {tfrecord.split_prefix(name) for name in recorded}
    strange = [
        path
        for path in paths
        if path not in known and tfrecord.split_prefix(Path(path).name) in splits
    ]
    if strange:
        logging.warning(
            "%s: %s lists other shards of its split, and not this one; is it of "
            "another build?",
            strange[0],
            FILE_NAME,
        )
    return known


class Verification:
    """Verifies shards in a thread, while others read them.

    Args:
        checksums: Path -> SHA-256, as recorded.
    """

    def __init__(self, checksums: Mapping[str, str]) -> None:
        self._checksums = checksums
        self._error: InputError | OSError | None = None
        self._thread = threading.Thread(target=self._verify, daemon=True)
        if checksums:
            self._thread.start()

    def _verify(self) -> None:
        try:
            for path, sha256 in self._checksums.items():
                _verify_shard(Path(path), sha256)
        except (InputError, OSError) as error:
            self._error = error

    def raise_mismatch(self) -> None:
        """Raises an InputError if a shard is known, by now, not to be as recorded."""
        if self._error:
            raise self._error

    def wait(self) -> None:
        """Waits until all are verified.

        Raises:
            InputError: A shard is not the one recorded; says which.
        """
        if self._checksums:
            self._thread.join(_QUIET)
        if self._thread.is_alive():
            logging.info(
                "Verifying %d shards against %s, once", len(self._checksums), FILE_NAME
            )
            self._thread.join()
        self.raise_mismatch()


def _verify_shard(path: Path, sha256: str) -> None:
    """Raises an InputError where a shard is not the one recorded; remembers it else."""
    mark = _mark(path, sha256)
    if mark and mark.exists():
        return
    if file_digest(path) != sha256:
        for _ in tfrecord.read(str(path)):
            pass  # Raises where a record is damaged.
        raise InputError(f"{path}: not the shard that {FILE_NAME} describes: {_REMEDY}")
    if mark:
        with contextlib.suppress(OSError):  # Then it is verified again.
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()


def _mark(path: Path, sha256: str) -> Path | None:
    """The file, empty, that is there once a shard was verified; None without a home."""
    status = path.stat()
    facts = (str(path.resolve()), status.st_size, status.st_mtime_ns, sha256)
    folder = cache_folder()
    name = hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()
    return folder and folder / "shards" / name
