"""Label Studio: a mask for each tag of a task, or a project's JSON.

Masks of 0 and 255 are called `task-1-annotation-7-by-1-tag-ball-0.png`, and the JSON
tells which photograph is task 1. Without masks, the regions in the JSON are drawn.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from deeplab_tf.data import image_folders
from deeplab_tf.dataset_builders.annotation_tools import class_ids, regions, tag_masks
from deeplab_tf.dataset_builders.annotation_tools.export import (
    UNDIVIDED,
    Export,
    ExportFolder,
    Notes,
    Options,
    Photographs,
    draw_all,
    read_json,
)
from deeplab_tf.dataset_builders.sources import FileSource, Pair
from deeplab_tf.errors import InputError

Json = dict[str, Any]
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # What uploading puts before a name.


def is_export(folder: ExportFolder) -> bool:
    """Whether there are masks of tags, or tasks with annotations."""
    return any(map(tag_masks.is_mask, folder.files)) or folder.has_json(
        lambda facts: any("annotations" in task for task in _select_tasks(facts))
    )


def read(folder: ExportFolder, options: Options) -> Export:
    """Reads all masks of tags, or else the regions of the project's JSON.

    Raises:
        InputError: A photograph, or the JSON of the project, is missing.
    """
    notes = Notes()
    files = {path: _select_tasks(read_json(path)) for path in folder.ending(".json")}
    tasks = {task["id"]: task for some in files.values() for task in some}
    reader: tag_masks.TagReader | regions.RegionReader
    reader = tag_masks.find(folder, notes)
    if not reader.masks:
        reader = regions.find([path for path, some in files.items() if some], notes)
    labels = reader.labels()
    classes = class_ids.assign(
        labels,
        wanted=options.class_names,
        file=folder.path,
        ignore_label=options.ignore_label,
    )
    class_ids.tell_order(classes, options.class_names, folder.path)
    reader = dataclasses.replace(reader, ids=classes.ids)
    pairs = _pair(folder, reader.tasks(), tasks)
    draw_all(reader, pairs, notes)
    source = FileSource(pairs=[*pairs.values()], read_mask=reader)
    return Export(classes=classes.names, splits={UNDIVIDED: source})


def _select_tasks(facts: Any) -> list[Json]:
    """The tasks that JSON lists; none where it is something else."""
    if not isinstance(facts, list):
        return []
    return [
        one
        for one in facts
        if isinstance(one, dict) and isinstance(one.get("id"), int) and _texts(one)
    ]


def _pair(
    folder: ExportFolder, numbers: Mapping[Path, int], tasks: Mapping[int, Json]
) -> dict[Path, Pair]:
    """Pairs of photographs and masks, by the numbers of their tasks."""
    if unknown := [path for path, number in numbers.items() if number not in tasks]:
        raise InputError(
            f"{unknown[0]}: no JSON below {folder.path} says which photograph is task "
            f"{numbers[unknown[0]]}; so of {len(unknown)} of {len(numbers)} tasks; "
            "export the project as JSON, too, and put it there"
        )
    images = [path for path in folder.images if not tag_masks.is_mask(path)]
    photographs = Photographs(folder, images)
    named = {}
    for path, number in numbers.items():
        name = _photograph(tasks[number])
        given = _UPLOADED.sub("", PurePosixPath(name).name, count=1)
        is_there = photographs.find(name, folder.path)
        named[path] = name if is_there else given
    return photographs.pair(named, "mask")


def _photograph(task: Json) -> str:
    """The path of a task's photograph, out of its address."""
    for text in _texts(task):
        address = urlsplit(text)
        local = parse_qs(address.query).get("d", [""])[0]  # Of files of the server.
        for path in (local, unquote(address.path)):
            if PurePosixPath(path).suffix.lower() in image_folders.SUFFIXES:
                return path
    raise InputError(f"task {task['id']}: no photograph in its data, {_texts(task)}")


def _texts(task: Json) -> list[str]:
    """What may be the address of a task's photograph; `image` first."""
    data = task.get("data", task)  # The short form has no `data`.
    if not isinstance(data, dict):
        return []
    ordered = sorted(data.items(), key=lambda item: item[0] != "image")
    return [text for _, text in ordered if isinstance(text, str)]
