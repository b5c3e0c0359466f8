"""Roboflow, "Semantic segmentation masks": `*_mask.png` beside each photograph.

Folders `train`, `valid` and `test`, each with `_classes.csv`: value of a mask, class.
"""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeplab_tf import text_files
from deeplab_tf.data import class_names, image_files
from deeplab_tf.data.labels.contract import list_first
from deeplab_tf.dataset_builders.annotation_tools.export import (
    UNDIVIDED,
    Export,
    ExportFolder,
    Options,
    Photographs,
)
from deeplab_tf.dataset_builders.sources import FileSource, Pair
from deeplab_tf.dataset_builders.splits import split_name
from deeplab_tf.errors import FlagError, InputError

_CLASSES, _MASK = "_classes.csv", "_mask.png"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValueTable:
    """Reads masks whose values a table explains.

    Attributes:
        file: The table.
        values: In masks.
        names: Of each value.
        classes: Names in the order of their ids.
    """

    file: Path
    values: tuple[int, ...]
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def __call__(self, path: Path) -> np.ndarray:
        """Reads a mask: ids `[H, W]`, uint8.

        Raises:
            InputError: It has values that the table has not.
        """
        values = image_files.read_mask(path)
        ids = np.full(65536, -1)
        ids[list(self.values)] = [self.classes.index(name) for name in self.names]
        mask = ids[values]
        if (mask < 0).any():
            unknown = np.unique(values[mask < 0]).tolist()
            raise InputError(
                f"{path}: values {list_first(unknown)}, {(mask < 0).mean():.2%} of its "
                f"pixels, are not in {self.file}"
            )
        return mask.astype(np.uint8)


def is_export(folder: ExportFolder) -> bool:
    """Whether there are masks and a table of their classes."""
    return bool(folder.named(_CLASSES) and folder.ending(_MASK))


def read(folder: ExportFolder, options: Options) -> Export:
    """Reads the folders of all splits.

    Raises:
        InputError: A photograph or mask is missing, or tables differ.
    """
    table = _read_tables(folder.named(_CLASSES), options.class_names)
    photos = [path for path in folder.images if not _is_mask(path)]
    masks = {path: path.name[: -len(_MASK)] for path in folder.ending(_MASK)}
    pairs = Photographs(folder, photos).pair(masks, "mask")
    splits: dict[str, list[Pair]] = {}
    for mask, pair in pairs.items():
        below = mask.relative_to(folder.path).parts[:-1]
        splits.setdefault(split_name(below[-1]) if below else UNDIVIDED, []).append(
            pair
        )
    return Export(
        classes=table.classes,
        splits={
            split: FileSource(pairs=some, read_mask=table)
            for split, some in splits.items()
        },
    )


def _is_mask(path: Path) -> bool:
    return path.name.lower().endswith(_MASK)


def _read_tables(files: Sequence[Path], wanted: tuple[str, ...]) -> ValueTable:
    """The table that the folders of all splits share."""
    tables = {file: _read_table(file) for file in files}
    rows = tables[files[0]]
    for file, others in tables.items():
        if others != rows:
            raise InputError(
                f"{file} and {files[0]}: the classes of splits differ; export them "
                "together"
            )
    names = class_names.check([name for _, name in rows], files[0])
    if wanted and sorted(wanted) != sorted(names):
        raise FlagError(
            f"--class_names={','.join(wanted)}: the classes of {files[0]} are "
            f"{','.join(names)}; only their order is free"
        )
    return ValueTable(
        file=files[0],
        values=tuple(value for value, _ in rows),
        names=names,
        classes=wanted or names,
    )


def _read_table(file: Path) -> list[tuple[int, str]]:
    """Values and names, as `0, background` below a heading."""
    rows = [row for row in csv.reader(text_files.read_lines(file)) if row]
    try:
        table = [(int(value), name.strip()) for value, name in rows[1:]]
    except ValueError:
        table = []
    if not table or not all(0 <= value < 65536 for value, _ in table):
        raise InputError(
            f"{file}: not a table of Roboflow, with the heading Pixel Value, Class and "
            "lines as 0, background"
        )
    return table
