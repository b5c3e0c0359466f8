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
        path: Of its file.
        source: The same, from the folder of the input; a record's name.
        name: Of its mask, without suffix.
    """

    path: str
    source: str
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """A part of the pictures.

    Attributes:
        index: Its number, from 0,
        count: of so many.
        pictures: Those of files;
        records: or a TFRecord file, with the folder of the masks as its name.
    """

    index: int
    count: int
    pictures: tuple[Picture, ...] = ()
    records: Picture | None = None

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
    inside, everything = storage.join(storage.normalize(output), ""), _list(given)
    listed = [each for each in everything if not each[0].startswith(inside)]
    if everything and not listed:
        raise InputError(f"--output={output}: the folder of --input; take another")
    taken = [each for each in listed if _is_taken(each[0])]
    if not taken:
        kinds = ", ".join(image_folders.SUFFIXES)
        raise InputError(f"--input={given}: no pictures ({kinds}), and no TFRecords")
    if len(taken) < len(listed):
        (other, *_) = (path for path, _ in listed if not _is_taken(path))
        logging.info(
            "Passed over %d files that are no pictures, as %s",
            len(listed) - len(taken),
            other,
        )
    names = MaskNames(source for _, source in taken)
    pictures = [Picture(*each, names.choose(each[1])) for each in taken]
    names.warn()
    records = [each for each in pictures if _RECORDS.search(each.path)]
    if not records:
        starts = range(0, len(pictures), shard_size)
        parts = [tuple(pictures[start : start + shard_size]) for start in starts]
        return [
            Shard(index=i, count=len(parts), pictures=part)
            for i, part in enumerate(parts)
        ]
    if len(records) < len(pictures):
        (picture, *_) = set(pictures) - set(records)
        raise InputError(
            f"--input={given}: TFRecord files, as {records[0].path}, beside pictures, "
            f"as {picture.path}; take one kind"
        )
    return [
        Shard(index=i, count=len(records), records=each)
        for i, each in enumerate(records)
    ]


def _list(given: str) -> list[tuple[str, str]]:
    """Path of each file, and from the folder of the input; sorted but for a list."""
    if given.lower().endswith(".txt") and not _WILD.search(given):
        return _read_list(given)
    if storage.is_remote(given):
        return [each for each in storage.match(given) if not _is_hidden(each[1])]
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
    return [
        (os.path.abspath(file), os.path.relpath(file, root or ".")) for file in files
    ]


def _read_list(given: str) -> list[tuple[str, str]]:
    """Of a list; its relative paths count from its folder."""
    with storage.local_copy(given) as path:
        lines = [line for line in read_lines(path, f"--input={given}") if line]
    if not lines:
        raise InputError(f"--input={given}: an empty list")
    folder = storage.normalize(given).rpartition("/")[0]
    paths = [
        storage.normalize(
            line
            if storage.is_remote(line) or os.path.isabs(line)
            else storage.join(folder, line)
        )
        for line in lines
    ]
    if again := len(paths) - len(set(paths)):
        logging.warning("%s: %d lines name a file again; it counts once", given, again)
    paths = list(dict.fromkeys(paths))
    folders = [path.split("/")[:-1] for path in paths]
    both = zip(min(folders), max(folders), strict=False)
    depth = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
    return [(path, path.split("/", depth)[depth]) for path in paths]


def _is_taken(path: str) -> bool:
    is_picture = path.lower().endswith(image_folders.SUFFIXES)
    return is_picture or bool(_RECORDS.search(path))


def _is_hidden(source: str) -> bool:
    return any(part.startswith(".") for part in source.split("/"))
