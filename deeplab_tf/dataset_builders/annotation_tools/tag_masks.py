"""Masks of Label Studio: one of 0 and 255 for each tag of a task.

Where tags overlap, the smaller mask lies on top, as objects of COCO do here: the files
do not tell in which order they were drawn.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from deeplab_tf.data import image_files
from deeplab_tf.dataset_builders.annotation_tools import class_ids
from deeplab_tf.dataset_builders.annotation_tools.drawing import Canvas, Region
from deeplab_tf.dataset_builders.annotation_tools.export import ExportFolder, Notes
from deeplab_tf.dataset_builders.sources import file_facts
from deeplab_tf.errors import InputError

_NAME = re.compile(r"task-(\d+)-annotation-(\d+)-by-(.+?)-tag-(.+?)(?:-\d+)?\.png")
_HALF = 128  # Brushes have soft edges.


@dataclasses.dataclass(frozen=True, kw_only=True)
class TagMask:
    """A mask of one tag of a task.

    Attributes:
        path: Of the file.
        task: Number of the task.
        annotation: Number of the annotation; the highest is the last.
        tag: Name of a class.
        facts: Of the file, which change when it does.
    """

    path: Path
    task: int
    annotation: int
    tag: str
    facts: object


@dataclasses.dataclass(frozen=True, kw_only=True)
class TagReader:
    """Lays the masks of a task over one another.

    Attributes:
        masks: Of each task, by the first of its files.
        ids: Tag -> id.
    """

    masks: Mapping[Path, Sequence[TagMask]]
    ids: Mapping[str, int]

    def __call__(self, path: Path) -> np.ndarray:
        """Reads the masks of a task, by the first one: ids `[H, W]`, uint8.

        Raises:
            InputError: A file is damaged, or of another size than the first.
        """
        return self.draw(path, Notes())

    def draw(self, path: Path, notes: Notes) -> np.ndarray:
        """The mask of a task; notes what is worth telling."""
        regions = [(_read_region(one, notes), one.tag) for one in self.masks[path]]
        first = regions[0][0].inside
        canvas = Canvas(first.shape)
        for region, tag in sorted(regions, key=lambda each: -each[0].inside.sum()):
            if region.inside.shape != first.shape:
                raise InputError(
                    f"{path}: its tags have masks of {_format_size(first)} and "
                    f"{_format_size(region.inside)} (width x height)"
                )
            canvas.paint(region, self.ids[tag])
        if canvas.overlaps:
            notes.add("tasks whose tags overlap; the smaller lies on top", path)
        return canvas.ids(uncovered=0)

    def labels(self) -> dict[str, Path]:
        """Tags, and the first file of each."""
        return class_ids.first_places(
            (one.tag, one.path) for some in self.masks.values() for one in some
        )

    def tasks(self) -> dict[Path, int]:
        """The number of each task, by the first of its files."""
        return {path: some[0].task for path, some in self.masks.items()}


def is_mask(path: Path) -> bool:
    """Whether a file is called as masks of tags are."""
    return bool(_NAME.fullmatch(path.name))


def find(folder: ExportFolder, notes: Notes) -> TagReader:
    """The masks of each task's last annotation, still without ids."""
    tasks: dict[int, list[TagMask]] = {}
    for path in folder.ending(".png"):
        if match := _NAME.fullmatch(path.name):
            one = TagMask(
                path=path,
                task=int(match[1]),
                annotation=int(match[2]),
                tag=unquote(match[4]),
                facts=file_facts(path),
            )
            tasks.setdefault(one.task, []).append(one)
    masks = {}
    for task, some in sorted(tasks.items()):
        last = [
            one for one in some if one.annotation == max(o.annotation for o in some)
        ]
        if len(last) < len(some):
            notes.add("tasks annotated more than once; the last counts", f"task {task}")
        masks[last[0].path] = tuple(last)
    return TagReader(masks=masks, ids={})


def _read_region(one: TagMask, notes: Notes) -> Region:
    values = np.asarray(image_files.open_mask(one.path).convert("L"))
    if 0 < values.max() < _HALF:
        raise InputError(
            f"{one.path}: values up to {values.max()}, where a mask of 0 and 255 is "
            "needed"
        )
    if not values.any():
        notes.add("masks without a pixel", one.path)
    if ((values > 0) & (values < 255)).any():
        notes.add(f"masks with soft edges, drawn from {_HALF} of 255 on", one.path)
    return Region(top=0, left=0, inside=values >= _HALF)


def _format_size(mask: np.ndarray) -> str:
    return f"{mask.shape[1]}x{mask.shape[0]}"
