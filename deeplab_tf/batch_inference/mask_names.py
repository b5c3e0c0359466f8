"""Names of masks: as their pictures, within the output folder, each once."""

import functools
import re
from collections.abc import Iterable
from unicodedata import normalize

from absl import logging

from deeplab_tf.data.image_folders import SUFFIXES
from deeplab_tf.files import safe_name

STATE = "_shards"  # Folder of what is done.
SHARES, TOTALS, DAMAGED = "shares.csv", "classes.csv", "damaged.csv"
_PLAIN = re.compile(r"\w[\w-]{4,150}", re.ASCII)  # What is safe at a glance.
_RESERVED = {STATE, SHARES, TOTALS, DAMAGED, "dataset.json"}


class MaskNames:
    """Chooses names without suffix, in the order of the pictures.

    Args:
        paths: Of all pictures, relative to the input: a mask is never called as a
            folder is.
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._folders: set[str] = set()
        self._given: set[str] = set()
        self._changed: list[tuple[str, str]] = []
        for folder in {path.rpartition("/")[0] for path in paths}:
            key = _key(_safe_folder(folder)).rstrip("/")
            while key and key not in self._folders:
                self._folders.add(key)
                key = key.rpartition("/")[0]

    def choose(self, path: str) -> str:
        """A name for the next picture: its own, if it is safe and not given yet."""
        safe = chosen = _safe(path)
        number = 2
        while self._is_given(_key(chosen)):
            chosen, number = f"{safe}_{number}", number + 1
        self._given.add(_key(chosen))
        if chosen != _without_suffix(path):
            self._changed.append((path, chosen))
        return chosen

    def _is_given(self, key: str) -> bool:
        return key in self._given or f"{key}.png" in self._folders

    def warn(self) -> None:
        """Warns of masks that have another name, if there are any."""
        if self._changed:
            logging.warning(
                "Masks of %d pictures have another name, as theirs is unsafe for a "
                'file, or that of an earlier one: "%s" as %s; shares.csv has all',
                len(self._changed),
                *self._changed[0],
            )


def _safe(path: str) -> str:
    """Each part of a path as a safe name; none leads out of the folder."""
    folder, _, name = _without_suffix(path).rpartition("/")
    return _safe_folder(folder) + (name if _PLAIN.fullmatch(name) else safe_name(name))


@functools.lru_cache(maxsize=4096)
def _safe_folder(folder: str) -> str:
    """The same of a folder, with a slash behind it; empty if it is empty."""
    parts = [safe_name(part) for part in folder.split("/")]
    if _key(parts[0]) in _RESERVED:
        parts[0] += "_"
    return "/".join([*parts, ""]) if folder else ""


def _without_suffix(path: str) -> str:
    for suffix in (*SUFFIXES, ".tfrecord", ".tfrecords"):
        if path.lower().endswith(suffix):
            return path[: -len(suffix)]
    return path


def _key(name: str) -> str:
    """Equal for names that some disk takes for one."""
    return normalize("NFC", name).casefold()
