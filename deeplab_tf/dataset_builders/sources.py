"""Sample sources: image and mask files, or whatever else is a `SampleSource`."""

import dataclasses
import hashlib
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from deeplab_tf.data import image_files
from deeplab_tf.data.open_image import MAX_PIXELS
from deeplab_tf.errors import InputError
from deeplab_tf.text_files import read_lines

MaskReader = Callable[[Path], np.ndarray]
ImageReader = Callable[..., tuple[bytes, str, tuple[int, int]]]


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
        remarks: What is not taken of it, each with the name of what it is of.
    """

    name: str
    image: bytes
    image_format: str
    size: tuple[int, int]
    label: np.ndarray | None
    origin: str
    remarks: Sequence[tuple[str, str]] = ()


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
            DamagedFile: A file is missing or damaged; the samples after it can be read.
            InputError: A file is of no use.
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
        max_pixels: Larger images are refused.
        read_image: As `image_files.encode_image`.
    """

    pairs: Sequence[Pair]
    read_mask: MaskReader = image_files.read_mask
    table: np.ndarray | None = None
    max_pixels: int = MAX_PIXELS
    read_image: ImageReader = image_files.encode_image

    def __post_init__(self) -> None:
        check_record_names(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def samples(self, start: int, stop: int) -> Iterator[Sample]:
        """See `SampleSource`."""
        for pair in self.pairs[start:stop]:
            remarks: list[str] = []
            encoded, image_format, size = self.read_image(
                pair.image, max_pixels=self.max_pixels, tell=remarks.append
            )
            yield Sample(
                name=record_name(pair),
                image=encoded,
                image_format=image_format,
                size=size,
                label=self._label(pair.label) if pair.label else None,
                origin=str(pair.label or pair.image),
                remarks=[(what, str(pair.image)) for what in remarks],
            )

    def identity(self) -> str:
        """Changes with names, sizes and times of files, the table and the reader."""
        sha256 = hashlib.sha256(pickle.dumps((self.read_mask, self.table), protocol=5))
        for pair in self.pairs:
            facts = (record_name(pair), *map(file_facts, (pair.image, pair.label)))
            sha256.update(repr(facts).encode())
        return sha256.hexdigest()

    def _label(self, path: Path) -> np.ndarray:
        ids = self.read_mask(path)
        return ids if self.table is None else self.table[ids]


def read_list(list_file: Path) -> list[str]:
    """Lines of a list file, without the empty ones.

    Raises:
        InputError: No such file, or no text.
    """
    return [line for line in read_lines(list_file) if line]


def read_stems(list_file: Path) -> list[str]:
    """Names of a list file, one a line.

    Raises:
        InputError: As of `read_list`, or a name is there twice.
    """
    return check_unique(list_file, read_list(list_file))


def check_unique(list_file: Path, stems: list[str]) -> list[str]:
    """Raises an InputError where a list has a name twice; returns the names."""
    if len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise InputError(f"{list_file}: {twice} is listed twice")
    return stems


def record_name(pair: Pair) -> str:
    """Of one part: readers of records leave folders out of a name."""
    return pair.name.replace("/", "_")


def check_record_names(pairs: Sequence[Pair]) -> None:
    """Raises an InputError where two images are one to readers of records.

    These leave out a suffix, too: records of other builders have one.
    """
    named: dict[str, Path] = {}
    for pair in pairs:
        name = re.sub(r"\.(?i:jpe?g|png)$", "", record_name(pair))
        if named.setdefault(name, pair.image) is not pair.image:
            raise InputError(
                f"{named[name]} and {pair.image}: two images of one name, {name} in "
                "records; rename one"
            )


def file_facts(path: Path | None) -> tuple[str, int, int] | None:
    """What changes when a file does; whoever reads it raises where it is not there."""
    if path is None or not path.exists():
        return None
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
