"""PASCAL VOC trees: JPEGImages, SegmentationClass and lists in ImageSets/Segmentation.

Masks hold ids; their names come from `class_names.txt`, which labelme's converter
writes, or from the user.
"""

from collections.abc import Mapping
from pathlib import Path

from absl import logging

from deeplab_tf import text_files
from deeplab_tf.data import image_files
from deeplab_tf.data.labels.contract import list_first
from deeplab_tf.dataset_builders.annotation_tools import class_ids
from deeplab_tf.dataset_builders.annotation_tools.export import (
    UNDIVIDED,
    Export,
    ExportFolder,
    Options,
    Photographs,
)
from deeplab_tf.dataset_builders.sources import FileSource, MaskReader, Pair, read_list
from deeplab_tf.dataset_builders.splits import split_name
from deeplab_tf.errors import InputError

# By preference: where there are both, the latter holds arrays of NumPy.
_MASKS = ("SegmentationClassPNG", "SegmentationClass")
_NO_PHOTOS = (*_MASKS, "SegmentationObject", "SegmentationClassVisualization")
_NAMES = "class_names.txt"
_WHOLE = ("default", "trainval", "all")  # Lists that divide nothing.


def is_tree(folder: ExportFolder) -> bool:
    """Whether there are masks where VOC has them."""
    return bool(_find_masks(folder))


def is_export(folder: ExportFolder) -> bool:
    """Whether there are masks where VOC has them, and no table of colors."""
    return is_tree(folder) and not folder.named("labelmap.txt")


def read(folder: ExportFolder, options: Options) -> Export:
    """Reads a tree whose masks hold ids.

    Raises:
        InputError: A file is missing, or nobody says what the ids mean.
    """
    names, lists = options.class_names, folder.named(_NAMES)
    if lists and not names:
        lines = [line for line in text_files.read_lines(lists[0]) if line]
        names = class_ids.assign({}, listed=lines, file=lists[0]).names
    if not names:
        raise InputError(
            f"{folder.path}: neither {_NAMES} nor labelmap.txt says what the ids of "
            "its masks mean; give --class_names=background,... (PASCAL VOC itself is "
            "built by build_voc2012_data.py)"
        )
    return Export(classes=names, splits=read_splits(folder, image_files.read_mask))


def read_splits(folder: ExportFolder, reader: MaskReader) -> dict[str, FileSource]:
    """The splits of a tree, as its lists have them.

    Args:
        folder: Of the export.
        reader: Of its masks.

    Raises:
        InputError: A photograph or a mask that a list names is missing.
    """
    masks = _find_masks(folder)
    photos = [path for path in folder.images if not {*path.parts} & {*_NO_PHOTOS}]
    photographs = Photographs(folder, photos)
    pairs = photographs.pair({path: stem for stem, path in masks.items()}, "mask")
    by_stem = {stem: pairs[path] for stem, path in masks.items()}
    lists = _find_lists(folder)
    if not lists:
        splits = {UNDIVIDED: [*by_stem.values()]}
    else:
        splits = {
            split: [
                _listed(stem, by_stem, photographs, path) for stem in read_list(path)
            ]
            for split, path in lists.items()
        }
        _warn_of_unlisted(
            masks, {pair.label for some in splits.values() for pair in some}
        )
    return {
        split: FileSource(pairs=some, read_mask=reader)
        for split, some in splits.items()
        if some
    }


def _find_masks(folder: ExportFolder) -> dict[str, Path]:
    """Stem below their folder -> mask."""
    for name in _MASKS:
        masks = {}
        for path in folder.images:
            if name in path.parts and path.suffix.lower() == ".png":
                below = path.parts[path.parts.index(name) + 1 :]
                masks[Path(*below).with_suffix("").as_posix()] = path
        if masks:
            return masks
    return {}


def _find_lists(folder: ExportFolder) -> dict[str, Path]:
    """Lists of the splits; where none divides, the whole one."""
    lists = {
        path.stem: path
        for path in folder.ending(".txt")
        if path.parts[-3:-1] == ("ImageSets", "Segmentation")
    }
    divided = {
        split_name(name): path for name, path in lists.items() if name not in _WHOLE
    }
    if lists and not divided:
        return {UNDIVIDED: next(iter(lists.values()))}
    return divided


def _listed(
    stem: str, pairs: Mapping[str, Pair], photographs: Photographs, file: Path
) -> Pair:
    """The pair of a stem in a list; without a mask where it is a list to test on."""
    if pair := pairs.get(stem):
        return pair
    photo = photographs.find(stem, file.parent)
    if photo is None or split_name(file.stem) != "test":
        what = "photograph" if photo is None else "mask"
        raise InputError(f"{file}: no {what} of {stem}, which it lists")
    return Pair(name=stem, image=photo, label=None)


def _warn_of_unlisted(masks: Mapping[str, Path], used: set[Path | None]) -> None:
    if left := [path for path in masks.values() if path not in used]:
        logging.warning(
            "%d of %d masks are in no list and are left out: %s",
            len(left),
            len(masks),
            list_first(left),
        )
