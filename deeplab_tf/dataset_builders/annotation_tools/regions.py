"""Regions of Label Studio's JSON: polygons, rectangles, ellipses and brushes.

They are drawn in the order of the file, the later over the earlier. Coordinates are
percents of the photograph's sides.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_tf import text_files
from deeplab_tf.dataset_builders.annotation_tools import class_ids, drawing
from deeplab_tf.dataset_builders.annotation_tools.drawing import Canvas, Region, Size
from deeplab_tf.dataset_builders.annotation_tools.export import Notes, read_json
from deeplab_tf.dataset_builders.sources import file_facts

Json = dict[str, Any]
Outline = Callable[[Json, Size], Region]
_WHAT = "Label Studio's tasks"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegionReader:
    """Draws the regions of tasks.

    Attributes:
        files: JSON of a project, and facts that change when it does.
        ids: Label -> id.
    """

    files: Mapping[Path, object]
    ids: Mapping[str, int]

    def __call__(self, path: Path) -> np.ndarray:
        """The mask of a task, called FILE/task-NUMBER: ids `[H, W]`, uint8.

        Raises:
            InputError: It cannot be drawn.
        """
        return self.draw(path, Notes())

    def draw(self, path: Path, notes: Notes) -> np.ndarray:
        """The mask of a task; notes what is worth telling."""
        regions = self._regions(path.parent)[path.name]
        with text_files.explain(path, _WHAT):
            size = _size(regions[0])
            canvas = Canvas(size)
            for one in regions:
                if _size(one) != size or one.get("image_rotation"):
                    raise ValueError("regions of a photograph that was turned")
                region = _KINDS[one["type"]](one["value"], size)
                if region.inside.any():
                    canvas.paint(region, self.ids[_label(one)])
                else:
                    where = f"{path} ({_label(one)})"
                    notes.add("regions left out, which cover no pixel", where)
        if canvas.overlaps:
            notes.add("tasks whose regions overlap; the later lies on top", path)
        return canvas.ids(uncovered=0)

    def labels(self) -> dict[str, Path]:
        """Labels, and the first task of each."""
        return class_ids.first_places(
            (_label(one), file / task)
            for file in self.files
            for task, regions in self._regions(file).items()
            for one in regions
        )

    def tasks(self) -> dict[Path, int]:
        """The number of each task, by what its mask is called."""
        return {
            file / task: int(task.removeprefix("task-"))
            for file in self.files
            for task in self._regions(file)
        }

    def _regions(self, file: Path) -> dict[str, list[Json]]:
        return _read_regions(file, self.files[file])


def find(files: Iterable[Path], notes: Notes) -> RegionReader:
    """The regions of each task's last annotation, still without ids.

    Args:
        files: Of tasks.
        notes: Of what is left out.
    """
    facts: dict[Path, object] = {file: file_facts(file) for file in files}
    for file in files:
        for task in read_json(file):
            _note_what_is_left(file / f"task-{task['id']}", task, notes)
    return RegionReader(files=facts, ids={})


@functools.lru_cache(maxsize=4)
def _read_regions(file: Path, facts: object) -> dict[str, list[Json]]:
    """Task -> regions of its last annotation; tasks without regions are left out."""
    with text_files.explain(file, _WHAT):
        regions = {
            f"task-{task['id']}": [
                one for one in _last_results(task) if one.get("type") in _KINDS
            ]
            for task in read_json(file)
        }
    return {task: some for task, some in regions.items() if some}


def _last_results(task: Json) -> list[Json]:
    """What the last annotation says that was not canceled."""
    done = [one for one in task.get("annotations", ()) if not one.get("was_cancelled")]
    return max(done, key=lambda one: one["id"])["result"] if done else []


def _note_what_is_left(path: Path, task: Json, notes: Notes) -> None:
    results = _last_results(task)
    others = [one for one in results if one.get("type") not in _KINDS]
    if others:
        kinds = ", ".join(sorted({str(one.get("type")) for one in others}))
        notes.add(f"tasks with results that are no regions ({kinds})", path)
    if len(others) == len(results):
        notes.add("tasks without regions left out", path)
    elif len(task["annotations"]) > 1:
        notes.add("tasks annotated more than once; the last counts", path)


def _label(one: Json) -> str:
    return str(one["value"][one["type"]][0])


def _size(one: Json) -> Size:
    return drawing.to_size(one["original_height"], one["original_width"])


def _scale(values: Sequence[float], size: Size) -> np.ndarray:
    """Percents, x and y in turn -> pixels, `[N, 2]`."""
    return np.array(values, float).reshape(-1, 2) * (size[1] / 100, size[0] / 100)


def _polygon(value: Json, size: Size) -> Region:
    return drawing.polygon(_scale(value["points"], size), size)


def _rectangle(value: Json, size: Size) -> Region:
    """Turned clockwise around its first corner."""
    (corner, sides) = _scale(
        [value["x"], value["y"], value["width"], value["height"]], size
    )
    angle = np.radians(value.get("rotation", 0))
    turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * sides
    return drawing.polygon(corner + corners @ turn, size)


def _ellipse(value: Json, size: Size) -> Region:
    center, radii = _scale(
        [value["x"], value["y"], value["radiusX"], value["radiusY"]], size
    )
    return drawing.ellipse(center, radii, value.get("rotation", 0), size)


def _brush(value: Json, size: Size) -> Region:
    if value["format"] != "rle":
        raise ValueError(f"a brush in the format {value['format']}; rle is read")
    return Region(top=0, left=0, inside=decode_brush(bytes(value["rle"]), size))


def decode_brush(data: bytes, size: Size) -> np.ndarray:
    """Pixels of a brush, bool `[H, W]`: where its RGBA picture is opaque by half.

    A stream of bits: how many values follow (32), bits of a value less one (5), bits
    less one of four kinds of lengths (4 each); then blocks of a bit that says whether
    one value is repeated, two that say of which kind the length is, the length less
    one, and the value or values.

    Raises:
        ValueError: The stream is cut off, or of another size.
    """
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word = read(32), read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    if total != size[0] * size[1] * 4 or word != 8:
        raise ValueError(f"a brush of {total} values for {size[1]}x{size[0]} pixels")
    values = bytearray()
    while len(values) < total:
        is_run = read(1)
        count = read(lengths[read(2)]) + 1
        if is_run:
            values += bytes([read(word)]) * count
        else:
            values += bytes(read(word) for _ in range(count))
    picture = np.frombuffer(values[:total], np.uint8).reshape(*size, 4)
    return picture[..., 3] >= 128


# Type of a result -> what it covers.
_KINDS: Mapping[str, Outline] = {
    "polygonlabels": _polygon,
    "rectanglelabels": _rectangle,
    "ellipselabels": _ellipse,
    "brushlabels": _brush,
}
