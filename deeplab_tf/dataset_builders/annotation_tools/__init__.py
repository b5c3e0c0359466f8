"""Annotation tools: what they export -> photographs, masks, class names and splits.

A module a tool, and a row in `TOOLS`.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

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


class Reader(Protocol):
    """What the module of a tool has."""

    def is_export(self, folder: ExportFolder) -> bool:
        """Whether a folder has the tool's signs."""

    def read(self, folder: ExportFolder, options: Options) -> Export:
        """Reads an export."""


@dataclasses.dataclass(frozen=True)
class Tool:
    """How an annotation tool's export is read.

    Attributes:
        reader: The module of the tool.
        signs: What an export is recognized by, in words.
        settings: Flags that are for this tool alone.
    """

    reader: Reader
    signs: str
    settings: tuple[str, ...] = ()


TOOLS: Mapping[str, Tool] = {
    "labelme": Tool(labelme, "JSON with shapes and imagePath", ("line_width",)),
    "cvat": Tool(cvat, "SegmentationClass and labelmap.txt"),
    "roboflow": Tool(roboflow, "*_mask.png and _classes.csv"),
    "label_studio": Tool(
        label_studio, "task-*-annotation-*-tag-*.png, or JSON of tasks"
    ),
    "superannotate": Tool(superannotate, "*___fuse.png", ("transparent",)),
    "voc": Tool(voc, "SegmentationClass without labelmap.txt"),
    "coco": Tool(coco, "JSON with images, annotations and categories"),
    "cityscapes": Tool(cityscapes, "*_gtFine_polygons.json or *_gtFine_labelIds.png"),
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
    if not TOOLS[name].reader.is_export(folder):
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
    export = TOOLS[name].reader.read(folder, Options(**settings))
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
    return _fitting_tools(ExportFolder(path))


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


def _fitting_tools(folder: ExportFolder) -> list[str]:
    return [name for name, tool in TOOLS.items() if tool.reader.is_export(folder)]


def _recognize(folder: ExportFolder) -> str:
    names = _fitting_tools(folder)
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
