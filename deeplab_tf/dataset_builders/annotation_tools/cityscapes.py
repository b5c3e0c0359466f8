"""Cityscapes trees: `*_gtFine_polygons.json`, masks of ids, or of colors.

Of its own labels, the 19 that are evaluated are the classes, and all else counts
nowhere. Other labels are classes of their own: CVAT lists them in `label_colors.txt`;
of polygons, 0 is what none covers.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deeplab_tf import text_files
from deeplab_tf.data.labels import contract
from deeplab_tf.data.specs import cityscapes
from deeplab_tf.dataset_builders import color_table
from deeplab_tf.dataset_builders.annotation_tools import class_ids, drawing
from deeplab_tf.dataset_builders.annotation_tools.export import (
    UNDIVIDED,
    Export,
    ExportFolder,
    Notes,
    Options,
    Photographs,
    draw_all,
)
from deeplab_tf.dataset_builders.sources import FileSource, Pair
from deeplab_tf.dataset_builders.splits import split_name
from deeplab_tf.errors import InputError

_PHOTO = "_leftImg8bit"
_FILE = re.compile(r"(.+)_gt(?:Fine|Coarse)_(\w+\.(?:json|png))")
_POLYGONS, _IDS, _COLORS = "polygons.json", "labelIds.png", "color.png"
_TABLE = "label_colors.txt"
_WHAT = "polygons of Cityscapes"
# Labels that are not evaluated, beside the classes.
_VOID = frozenset(
    [
        "unlabeled", "ego vehicle", "rectification border", "out of roi", "static",
        "dynamic", "ground", "parking", "rail track", "guard rail", "bridge", "tunnel",
        "polegroup", "caravan", "trailer", "license plate",
    ]
)  # fmt: skip
_CLASSES = cityscapes.SPEC.classes
Files = Mapping[str, Mapping[Path, str]]  # Kind -> file -> name of the photograph.


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolygonReader:
    """Draws the polygons of a file, the later over the earlier.

    Attributes:
        ids: Label -> id.
        uncovered: Id of what no polygon covers.
    """

    ids: Mapping[str, int]
    uncovered: int

    def __call__(self, path: Path) -> np.ndarray:
        """Reads a file: ids `[H, W]`, uint8.

        Raises:
            InputError: It is none of polygons.
        """
        return self.draw(path, Notes())

    def draw(self, path: Path, notes: Notes) -> np.ndarray:
        """The mask of a file; notes what is worth telling."""
        size, polygons = read_polygons(path)
        canvas = drawing.Canvas(size)
        for label, points in polygons:
            outline = functools.partial(drawing.polygon, points, size)
            try:
                canvas.paint(drawing.draw(outline, points, 3), self.ids[label])
            except drawing.NoPixels as error:
                notes.add(f"polygons left out, {error}", f"{path} ({label})")
        if canvas.overlaps:
            notes.add("files whose polygons overlap; the later lies on top", path)
        return canvas.ids(self.uncovered)


def is_export(folder: ExportFolder) -> bool:
    """Whether files are called as those of Cityscapes."""
    return bool(_find_files(folder))


def read(folder: ExportFolder, options: Options) -> Export:
    """Reads masks of colors if a file tells what they mean; else ids, or polygons.

    Raises:
        InputError: A photograph is missing, or labels have no meaning.
    """
    files = _find_files(folder)
    tables = folder.named(_TABLE)
    if _COLORS in files and tables:
        table = color_table.read_color_table(tables[0], options.ignore_label)
        table = table.reorder(options.class_names or table.classes)
        source = FileSource(pairs=[], read_mask=table)
        splits = _split(folder, files[_COLORS], source)
        return Export(classes=table.classes, splits=splits, palette=table.palette)
    labels = class_ids.first_places(
        (label, path)
        for path in files.get(_POLYGONS, {})
        for label, _ in read_polygons(path)[1]
    )
    is_own = not labels.keys() <= {*_CLASSES, *_VOID} or bool(options.class_names)
    if labels and (is_own or _IDS not in files):
        return _read_polygon_files(folder, options, files[_POLYGONS], labels)
    if _IDS not in files:
        raise InputError(
            f"{folder.path}: neither polygons nor masks of labelIds; and of colors, no "
            f"{_TABLE} says what they mean"
        )
    table_of_ids = contract.id_table(cityscapes.training_ids())
    source = FileSource(pairs=[], table=None if is_own else table_of_ids)
    splits = _split(folder, files[_IDS], source)
    if is_own:
        return Export(classes=options.class_names, splits=splits)
    return Export(classes=_CLASSES, splits=splits, palette=cityscapes.SPEC.palette)


def read_polygons(path: Path) -> tuple[drawing.Size, list[tuple[str, np.ndarray]]]:
    """Size of the photograph, and label and points `[N, 2]` of each polygon.

    Raises:
        InputError: It is no such file.
    """
    facts = text_files.read_json(path, _WHAT)
    with text_files.explain(path, _WHAT):
        size = drawing.to_size(facts["imgHeight"], facts["imgWidth"])
        return size, [
            (_plain(str(one["label"])), drawing.to_points(one["polygon"]))
            for one in facts["objects"]
            if not one.get("deleted")
        ]


def _read_polygon_files(
    folder: ExportFolder,
    options: Options,
    files: Mapping[Path, str],
    labels: Mapping[str, Path],
) -> Export:
    is_own = not labels.keys() <= {*_CLASSES, *_VOID} or bool(options.class_names)
    if is_own:
        classes = class_ids.assign(
            labels,
            wanted=options.class_names,
            file=folder.path,
            ignore_label=options.ignore_label,
        )
        class_ids.tell_order(classes, options.class_names, folder.path)
        names = classes.names
        reader = PolygonReader(ids=classes.ids, uncovered=0)
    else:
        names = _CLASSES
        ids = dict.fromkeys(_VOID, options.ignore_label)
        ids |= {name: i for i, name in enumerate(_CLASSES)}
        reader = PolygonReader(ids=ids, uncovered=options.ignore_label)
    draw_all(reader, files, Notes())
    splits = _split(folder, files, FileSource(pairs=[], read_mask=reader))
    return Export(
        classes=names,
        splits=splits,
        palette=None if is_own else cityscapes.SPEC.palette,
    )


def _find_files(folder: ExportFolder) -> Files:
    files: dict[str, dict[Path, str]] = {}
    for path in folder.files:
        match = _FILE.fullmatch(path.name)
        if match and match[2] in (_POLYGONS, _IDS, _COLORS):
            files.setdefault(match[2], {})[path] = match[1]
    return files


def _split(
    folder: ExportFolder, files: Mapping[Path, str], source: FileSource
) -> dict[str, FileSource]:
    """The splits, by the last folder that is called as one."""
    photos = [path for path in folder.images if not _FILE.fullmatch(path.name)]
    photographs = Photographs(folder, photos)
    named = {
        path: name + _PHOTO if photographs.find(name + _PHOTO, path.parent) else name
        for path, name in files.items()
    }
    splits: dict[str, list[Pair]] = {}
    for path, pair in photographs.pair(named, "mask").items():
        words = [
            split_name(part)
            for part in reversed(path.relative_to(folder.path).parts[:-1])
        ]
        known = [word for word in words if word in ("train", "val", "test")]
        name = pair.name.removesuffix(_PHOTO)
        splits.setdefault(known[0] if known else UNDIVIDED, []).append(
            dataclasses.replace(pair, name=name)
        )
    return {
        split: dataclasses.replace(source, pairs=pairs)
        for split, pairs in splits.items()
    }


def _plain(label: str) -> str:
    """Without `group`, which Cityscapes adds where objects cannot be told apart."""
    one = label.removesuffix("group")
    return one if one in _CLASSES else label
