"""SuperAnnotate: `photo.jpg___fuse.png` in the colors of `classes/classes.json`.

Transparent pixels are the background, or count nowhere if the user says so; so is what
is black where no class is.
"""

import re
from pathlib import Path

from absl import logging

from deeplab_tf import text_files
from deeplab_tf.data.spec import Color
from deeplab_tf.dataset_builders.annotation_tools import class_ids
from deeplab_tf.dataset_builders.annotation_tools.export import (
    UNDIVIDED,
    Export,
    ExportFolder,
    Options,
    Photographs,
)
from deeplab_tf.dataset_builders.color_table import IGNORED, ColorTable
from deeplab_tf.dataset_builders.sources import FileSource
from deeplab_tf.errors import InputError

_CLASSES, _MASK = "classes.json", "___fuse.png"
_WHAT = "SuperAnnotate's list of classes"
_BLACK: Color = (0, 0, 0)


def is_export(folder: ExportFolder) -> bool:
    """Whether there are fused masks."""
    return bool(folder.ending(_MASK))


def read(folder: ExportFolder, options: Options) -> Export:
    """Reads all fused masks.

    Raises:
        InputError: A photograph or the list of classes is missing.
    """
    table = _read_table(folder, options)
    masks = {path: path.name[: -len(_MASK)] for path in folder.ending(_MASK)}
    photos = [path for path in folder.images if "___" not in path.name]
    pairs = Photographs(folder, photos).pair(masks, "mask")
    logging.info(
        "%s: transparent is %s (--transparent)", folder.path, options.transparent
    )
    return Export(
        classes=table.classes,
        splits={UNDIVIDED: FileSource(pairs=[*pairs.values()], read_mask=table)},
        palette=table.palette if {*table.classes} <= {*table.names} else None,
    )


def _read_table(folder: ExportFolder, options: Options) -> ColorTable:
    lists = folder.named(_CLASSES)
    if not lists:
        raise InputError(
            f"{folder.path}: no classes/{_CLASSES}, which says what the colors of its "
            "masks mean; export it again, with its classes"
        )
    colors = _read_colors(lists[0])
    classes = class_ids.assign(
        dict.fromkeys(colors.values(), lists[0]),
        wanted=options.class_names,
        listed=[*colors.values()],
        file=lists[0],
        ignore_label=options.ignore_label,
    )
    ids = {color: classes.ids[name] for color, name in colors.items()}
    ids.setdefault(_BLACK, 0)
    return ColorTable(
        file=str(lists[0]),
        names=tuple(
            classes.names[i] if i < len(classes.names) else IGNORED
            for i in ids.values()
        ),
        colors=tuple(ids),
        classes=classes.names,
        ignore_label=options.ignore_label,
        transparent=(
            0 if options.transparent == "background" else options.ignore_label
        ),
    )


def _read_colors(file: Path) -> dict[Color, str]:
    """Color -> name of each class, in their order."""
    facts = text_files.read_json(file, _WHAT, list)
    colors: dict[Color, str] = {}
    with text_files.explain(file, _WHAT):
        for one in facts:
            name, color = str(one["name"]), _parse_color(str(one["color"]))
            if other := colors.get(color):
                raise ValueError(f"{other} and {name} have one color, {one['color']}")
            colors[color] = name
    return colors


def _parse_color(text: str) -> Color:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"color {text!r}, where one as #ff0078 is needed")
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue
