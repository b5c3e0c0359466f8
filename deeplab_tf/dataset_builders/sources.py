"""Sample sources: image and mask files, or whatever else is a `SampleSource`."""

import dataclasses
import hashlib
import pickle
import random
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from absl import logging

from deeplab_tf.data import image_files
from deeplab_tf.errors import InputError

MaskReader = Callable[[Path], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """An image and its mask, before they are checked.

    Attributes:
        name: Stem, unique in the split.
        image: JPEG or PNG.
        image_format: "jpeg" or "png".
        size: Height, width.
        label: Ids as the records have them, `[H, W]`; None in a test split.
        origin: The file that errors name.
    """

    name: str
    image: bytes
    image_format: str
    size: tuple[int, int]
    label: np.ndarray | None
    origin: str


class SampleSource(Protocol):
    """The samples of one split; can be pickled, and read from anywhere."""

    @property
    def table(self) -> np.ndarray | None:
        """Id in the files -> id in the samples, as `dataset.json` keeps it."""

    def __len__(self) -> int:
        """How many samples there are."""

    def samples(self, start: int, stop: int) -> Iterator[Sample]:
        """Yields samples `start` to `stop - 1`.

        Raises:
            InputError: A file is missing or damaged.
        """

    def identity(self) -> str:
        """A text that changes whenever the samples may have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """An image file and its mask, which a test split has not."""

    name: str
    image: Path
    label: Path | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FileSource:
    """Samples of image files and mask files.

    Attributes:
        pairs: In the order of the records.
        read_mask: Mask file -> ids, `[H, W]`; can be pickled.
        table: Id in the masks -> id in the records (`contract.id_table`).
    """

    pairs: Sequence[Pair]
    read_mask: MaskReader = image_files.read_mask
    table: np.ndarray | None = None

    def __post_init__(self) -> None:
        named: dict[str, Path] = {}
        for pair in self.pairs:
            name = _record_name(pair)
            if name in named:
                raise InputError(
                    f"{pair.image} and {named[name]}: two images of one name"
                )
            named[name] = pair.image

    def __len__(self) -> int:
        return len(self.pairs)

    def samples(self, start: int, stop: int) -> Iterator[Sample]:
        """Yields samples `start` to `stop - 1`.

        Raises:
            InputError: A file is missing or damaged.
        """
        for pair in self.pairs[start:stop]:
            encoded, image_format, size = image_files.encode_image(pair.image)
            yield Sample(
                name=_record_name(pair),
                image=encoded,
                image_format=image_format,
                size=size,
                label=self._label(pair.label) if pair.label else None,
                origin=str(pair.label or pair.image),
            )

    def identity(self) -> str:
        """Changes with names, sizes and times of files, the table and the reader."""
        sha256 = hashlib.sha256(pickle.dumps((self.read_mask, self.table), protocol=5))
        for pair in self.pairs:
            facts = (_record_name(pair), *map(_file_facts, (pair.image, pair.label)))
            sha256.update(repr(facts).encode())
        return sha256.hexdigest()

    def _label(self, path: Path) -> np.ndarray:
        ids = self.read_mask(path)
        return ids if self.table is None else self.table[ids]


def pairs_by_stem(image_dir: Path, label_dir: Path) -> list[Pair]:
    """Pairs images and masks below two folders by their paths without suffix.

    Warns of masks without an image, which may be of a kind that is not read.

    Raises:
        InputError: An image has no mask, or no folder is there.
    """
    by_stem: dict[str, Path] = {}
    for path in image_files.find_images(label_dir):
        stem = _stem(path, label_dir)
        if stem in by_stem:
            raise InputError(f"{path} and {by_stem[stem]}: two masks of one name")
        by_stem[stem] = path
    images = [
        (_stem(path, image_dir), path) for path in image_files.find_images(image_dir)
    ]
    missing = [path for stem, path in images if stem not in by_stem]
    if missing:
        first, stem = missing[0], _stem(missing[0], image_dir)
        raise InputError(
            f"{first}: no mask {label_dir / stem}.png; so of {len(missing)} of "
            f"{len(images)} images"
        )
    pairs = [Pair(name=stem, image=path, label=by_stem[stem]) for stem, path in images]
    _warn_of_unused_masks(by_stem, {pair.name for pair in pairs}, image_dir)
    return pairs


def _warn_of_unused_masks(
    masks: Mapping[str, Path], used: Container[str], image_dir: Path
) -> None:
    left = [stem for stem in masks if stem not in used]
    if not left:
        return
    others = {_stem(path, image_dir): path for path in sorted(image_dir.rglob("*.*"))}
    first = next((stem for stem in left if stem in others), left[0])
    kinds = ", ".join(image_files.SUFFIXES)
    logging.warning(
        "%d of %d masks have no photograph, first %s%s",
        len(left),
        len(masks),
        masks[first],
        f"; {others[first]} is none of {kinds}" if first in others else "",
    )


def pairs_by_list(
    list_file: Path, image_dir: Path, label_dir: Path | None
) -> list[Pair]:
    """Pairs of the stems in a list file, one a line, in its order.

    Raises:
        InputError: No such list, or an image or mask is missing.
    """
    pairs = []
    for stem in read_list(list_file):
        image = _find_listed(image_dir, stem, list_file)
        label = _find_listed(label_dir, stem, list_file) if label_dir else None
        pairs.append(Pair(name=stem, image=image, label=label))
    return pairs


def read_list(list_file: Path) -> list[str]:
    """Lines of a list file, without the empty ones.

    Raises:
        InputError: No such file, or no text.
    """
    if not list_file.is_file():
        raise InputError(f"{list_file}: no such file")
    try:
        lines = list_file.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{list_file}: not a text file") from None
    return [line.strip() for line in lines if line.strip()]


def random_split(
    pairs: Sequence[Pair], fraction: float, seed: int
) -> dict[str, list[Pair]]:
    """A random split into "train" and a `fraction` for "val", at least one each."""
    shuffled = sorted(pairs, key=lambda pair: pair.name)
    random.Random(seed).shuffle(shuffled)
    held = min(max(1, round(len(shuffled) * fraction)), len(shuffled) - 1)
    if held < 1:
        raise InputError(
            f"{len(shuffled)} images: two are needed, to train and to test"
        )
    return {"train": shuffled[held:], "val": shuffled[:held]}


def _record_name(pair: Pair) -> str:
    """Of one part: readers of records leave folders out of a name."""
    return pair.name.replace("/", "_")


def _file_facts(path: Path | None) -> tuple[str, int, int] | None:
    """What changes when a file does; whoever reads it raises where it is not there."""
    if path is None or not path.exists():
        return None
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _find_listed(folder: Path, stem: str, list_file: Path) -> Path:
    for suffix in image_files.SUFFIXES:
        for name in (stem + suffix, stem + suffix.upper()):
            if (folder / name).is_file():
                return folder / name
    raise InputError(f"{folder / stem}.*: no such image; {list_file} lists it")
