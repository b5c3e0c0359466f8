"""Shards: which pictures there are to predict, in parts, each done or not done."""

import dataclasses
import itertools
import os
import re
from pathlib import Path
from typing import NamedTuple

from absl import logging

from deeplab_tf import storage
from deeplab_tf.batch_inference.mask_names import MaskNames
from deeplab_tf.data import image_folders
from deeplab_tf.errors import InputError
from deeplab_tf.text_files import read_lines

_WILD = re.compile(r"[*?]")
_RECORDS = re.compile(r"\.tfrecords?$|-\d{5}-of-\d{5}$")


class Picture(NamedTuple):
    """A photograph.

    Attributes:
        source: Its path from the folder of the input.
        name: Of its mask, without suffix.
    """

    source: str
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """A part of the pictures.

    Attributes:
        index: Its number, from 0,
        count: of so many.
        root: The folder of the input.
        pictures: Photographs, or one TFRecord file, whose name is a folder of masks.
        is_of_records: It is the latter.
    """

    index: int
    count: int
    root: str
    pictures: tuple[Picture, ...]
    is_of_records: bool = False

    @property
    def number(self) -> str:
        """As names of files have it."""
        return f"{self.index:05d}-of-{self.count:05d}"


def plan(given: str, output: str, shard_size: int) -> list[Shard]:
    """Divides what there is to predict into shards, in the order of the paths.

    Args:
        given: Folder, pattern, list or TFRecord files.
        output: Folder of the predictions, which is no input.
        shard_size: Pictures a shard.

    Raises:
        InputError: There are none, or pictures and TFRecord files are mixed.
    """
    root, sources = _list(given)
    inside = f"{storage.normalize(output)}/"
    listed = [each for each in sources if not f"{root}/{each}".startswith(inside)]
    if sources and not listed:
        raise InputError(f"--output={output}: the folder of --input; take another")
    taken = [each for each in listed if _is_picture(each) or _is_records(each)]
    if not taken:
        kinds = ", ".join(image_folders.SUFFIXES)
        raise InputError(f"--input={given}: no pictures ({kinds}), and no TFRecords")
    if count := len(listed) - len(taken):
        (other, *_) = sorted(set(listed) - set(taken))
        logging.info("Passed over %d files that are no pictures, as %s", count, other)
    records = [each for each in taken if _is_records(each)]
    if records and len(records) < len(taken):
        (picture, *_) = sorted(set(taken) - set(records))
        raise InputError(
            f"--input={given}: TFRecord files, as {records[0]}, beside pictures, as "
            f"{picture}; take one kind"
        )
    names = MaskNames(taken)
    pictures = [Picture(each, names.choose(each)) for each in taken]
    names.warn()
    size = 1 if records else shard_size
    starts = range(0, len(pictures), size)
    return [
        Shard(
            index=i,
            count=len(starts),
            root=root,
            pictures=tuple(pictures[start : start + size]),
            is_of_records=bool(records),
        )
        for i, start in enumerate(starts)
    ]


def _list(given: str) -> tuple[str, list[str]]:
    """The folder of the input, and paths from there; sorted, but for a list."""
    if given.lower().endswith(".txt") and not _WILD.search(given):
        return _read_list(given)
    if storage.is_remote(given):
        root, sources = storage.match(given)
        return root, [each for each in sources if not _is_hidden(each)]
    local = os.path.normpath(storage.to_local(given))
    if _WILD.search(local):
        root = os.path.dirname(_WILD.split(local)[0])
        pattern = f"{local}/*" if local.endswith("**") else local
        folder = Path("/" if os.path.isabs(local) else ".")
        files = sorted(image_folders.match_files(folder, pattern.lstrip("/")).values())
    else:
        path = Path(local)
        if not path.exists():
            raise InputError(f"--input={given}: no such file or folder")
        files = image_folders.find_files(path) if path.is_dir() else [path]
        root = local if path.is_dir() else os.path.dirname(local)
    sources = [os.path.relpath(file, root or ".") for file in files]
    return os.path.abspath(root), sources


def _read_list(given: str) -> tuple[str, list[str]]:
    """Of a list; its relative paths count from its folder."""
    with storage.local_copy(given) as path:
        lines = [line for line in read_lines(path, f"--input={given}") if line]
    if not lines:
        raise InputError(f"--input={given}: an empty list")
    folder = storage.normalize(given).rpartition("/")[0]
    paths = [
        storage.normalize(each)
        if storage.is_remote(each) or os.path.isabs(each)
        else storage.normalize(storage.join(folder, each))
        for each in lines
    ]
    if again := len(paths) - len(set(paths)):
        logging.warning("%s: %d lines name a file again; it counts once", given, again)
    paths = list(dict.fromkeys(paths))
    folders = [path.split("/")[:-1] for path in paths]
    both = zip(min(folders), max(folders), strict=False)
    depth = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
    root = "/".join(folders[0][:depth])
    return root, [path.split("/", depth)[depth] for path in paths]


def _is_picture(path: str) -> bool:
    return path.lower().endswith(image_folders.SUFFIXES)


def _is_records(path: str) -> bool:
    return bool(_RECORDS.search(path))


def _is_hidden(source: str) -> bool:
    return any(part.startswith(".") for part in source.split("/"))
