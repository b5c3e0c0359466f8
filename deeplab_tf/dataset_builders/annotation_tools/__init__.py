"""Annotation tools: what they export -> photographs, masks, class names and splits.

A module a tool, and a row in `TOOLS`.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from absl import logging

from deeplab_tf.dataset_builders.annotation_tools import (
    cityscapes,
    coco,
    cvat,
    label_studio,
    labelme,
    roboflow,
    superannotate,
    voc,
)
from deeplab_tf.dataset_builders.annotation_tools.export import (
    Export,
    ExportFolder,
    Options,
    read_json,
)
from deeplab_tf.dataset_builders.splits import split_name
from deeplab_tf.errors import FlagError, InputError

__all__ = ["TOOLS", "Export", "Options", "read_export", "recognize", "suggest"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tool:
    """How an annotation tool's export is read.

    Attributes:
        signs: What it is recognized by, in words.
        is_export: Whether a folder has these.
        read: Reads it.
        settings: Flags that are for this tool alone.
    """

    signs: str
    is_export: Callable[[ExportFolder], bool]
    read: Callable[[ExportFolder, Options], Export]
    settings: tuple[str, ...] = ()


TOOLS: Mapping[str, Tool] = {
    "labelme": Tool(
        signs="JSON with shapes and imagePath",
        is_export=labelme.is_export,
        read=labelme.read,
        settings=("line_width",),
    ),
    "cvat": Tool(
        signs="SegmentationClass and labelmap.txt",
        is_export=cvat.is_export,
        read=cvat.read,
    ),
    "roboflow": Tool(
        signs="*_mask.png and _classes.csv",
        is_export=roboflow.is_export,
        read=roboflow.read,
    ),
    "label_studio": Tool(
        signs="task-*-annotation-*-tag-*.png, or JSON of tasks",
        is_export=label_studio.is_export,
        read=label_studio.read,
    ),
    "superannotate": Tool(
        signs="*___fuse.png",
        is_export=superannotate.is_export,
        read=superannotate.read,
        settings=("transparent",),
    ),
    "voc": Tool(
        signs="SegmentationClass without labelmap.txt",
        is_export=voc.is_export,
        read=voc.read,
    ),
    "coco": Tool(
        signs="JSON with images, annotations and categories",
        is_export=coco.is_export,
        read=coco.read,
    ),
    "cityscapes": Tool(
        signs="*_gtFine_polygons.json or *_gtFine_labelIds.png",
        is_export=cityscapes.is_export,
        read=cityscapes.read,
    ),
}


def read_export(
    path: Path,
    photos: Path | None,
    tool: str,
    settings: Mapping[str, Any] | None = None,
) -> Export:
    """Reads the export of a tool.

    Args:
        path: Its folder.
        photos: That of the photographs, where they are not in it.
        tool: Of `TOOLS`, or "auto".
        settings: Of `Options`, as far as the user gives them.

    Raises:
        InputError: It is none, or cannot be read.
    """
    folder = _open(path, photos)
    name = _recognize(folder) if tool == "auto" else tool
    if not TOOLS[name].is_export(folder):
        others = recognize(path)
        hint = f"; it looks like an export of {' or '.join(others)}" if others else ""
        raise InputError(
            f"--annotation_tool={name}: {path} has no {TOOLS[name].signs}{hint}"
        )
    settings = settings or {}
    for other, row in TOOLS.items():
        misplaced = [flag for flag in row.settings if flag in settings]
        if misplaced and other != name:
            raise FlagError(
                f"--{misplaced[0]} is for {other}, and {path} is an export of {name}; "
                "leave it out"
            )
    export = TOOLS[name].read(folder, Options(**settings))
    logging.info(
        "%s: an export of %s%s; %d photographs, classes %s",
        path,
        name,
        f" ({TOOLS[name].signs})" if tool == "auto" else "",
        sum(map(len, export.splits.values())),
        ", ".join(f"{i} {label}" for i, label in enumerate(export.classes)),
    )
    return export


def recognize(path: Path) -> list[str]:
    """The tools whose exports a folder looks like."""
    folder = ExportFolder(path)
    return [name for name, tool in TOOLS.items() if tool.is_export(folder)]


def suggest(folders: Iterable[Path], files: Iterable[Path] = ()) -> str:
    """What to do where folders that were given otherwise are an export; may be empty.

    Args:
        folders: Of photographs and masks.
        files: Of class names or colors, which may lie above them.
    """
    folders = [folder for folder in folders if folder.is_dir()]
    for folder in folders:
        if names := recognize(folder):
            above = [path.parent for path in files if path.is_file()]
            places = [path.absolute() for path in (*folders, *above)]
            top = Path(os.path.commonpath(places))
            if split_name(top.name) in ("train", "val", "test"):
                top = top.parent
            if not folder.is_absolute():
                top = Path(os.path.relpath(top))
            return (
                f"; {folder} is an export of {' or '.join(names)}, which is read by "
                f"--annotation_dir={top} in place of --image_dir and --label_dir"
            )
    return ""


def _open(path: Path, photos: Path | None) -> ExportFolder:
    if path.is_file():
        remedy = "unpack it" if path.suffix.lower() in (".zip", ".tar", ".gz") else ""
        raise FlagError(
            f"--annotation_dir={path}: a file; {remedy or 'give the folder it lies in'}"
        )
    return ExportFolder(path, photos)


def _recognize(folder: ExportFolder) -> str:
    names = [name for name, tool in TOOLS.items() if tool.is_export(folder)]
    if not names:
        for path in folder.ending(".json"):
            read_json(path)  # If one is damaged, that is why.
        known = "; ".join(f"{name}: {tool.signs}" for name, tool in TOOLS.items())
        raise InputError(
            f"--annotation_dir={folder.path}: not an export of a tool that is known "
            f"({known}); photographs and masks of the same names are for --image_dir "
            "and --label_dir"
        )
    if len(names) > 1:
        raise InputError(
            f"--annotation_dir={folder.path}: looks like exports of "
            f"{' and '.join(names)}; say which by --annotation_tool={names[0]}"
        )
    return names[0]
