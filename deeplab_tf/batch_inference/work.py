"""The work: a shard's pictures predicted and written; then it is listed as done.

What is written of a shard follows from the shard and the settings alone: not from the
process, nor from how often it was begun.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_tf import storage
from deeplab_tf.batch_inference import masks
from deeplab_tf.batch_inference.mask_names import STATE
from deeplab_tf.batch_inference.networks import explain, open_network
from deeplab_tf.batch_inference.pictures import Damaged, Photograph, read
from deeplab_tf.batch_inference.shards import Shard
from deeplab_tf.config.batch import OutputFormat
from deeplab_tf.runtime import Tiles

_WRITERS = {
    "png": masks.write_pngs,
    "tfrecord": masks.write_records,
    "coco": masks.write_coco,
}
_PIXELS = 1 << 24  # Of the pictures that are held at a time, but for the last.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What is done with every shard; can be pickled.

    Attributes:
        model: Of `networks.resolve`.
        output: Folder of the predictions.
        output_format: Of the masks.
        batch_size: Pictures that go through the network together.
        threads: That compute.
        tiles: Into which larger pictures are cut, where that was asked for.
    """

    model: str
    output: str
    output_format: OutputFormat
    batch_size: int
    threads: int
    tiles: Tiles | None = None

    @property
    def state(self) -> str:
        """Folder of what is done."""
        return storage.join(self.output, STATE)

    @property
    def scratch(self) -> Path | None:
        """Folder of local files that are not finished."""
        if storage.is_remote(self.output):
            return None
        return storage.to_local(self.state)

    def note_path(self, shard: Shard) -> str:
        """The file that says that a shard is done, and what is in it."""
        return storage.join(self.state, f"{shard.number}.json")


@dataclasses.dataclass(kw_only=True)
class Note:
    """What a shard holds.

    Attributes:
        masks: Of each picture: source, name, height, width, and pixels by class id.
        damaged: Source of what could not be read, and why.
    """

    masks: list[tuple[str, str, int, int, dict[str, int]]] = dataclasses.field(
        default_factory=list
    )
    damaged: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    @classmethod
    def load(cls, path: str) -> "Note":
        """Reads the note of a shard that is done."""
        return cls(**json.loads(storage.read(path)))


def write_shard(job: Job, shard: Shard) -> tuple[int, int]:
    """Predicts a shard; returns how many pictures it has, and how many are damaged.

    Raises:
        InputError: The network cannot be opened or run, or a file system not reached.
        OSError: A disk is full, or a file cannot be read for a while.
    """
    network, note = open_network(job.model, job.threads, job.tiles), Note()
    begin = _WRITERS[job.output_format]
    with begin(job.output, shard.number, network.classes, job.scratch) as write:
        for photographs in _gather(read(shard), note, job.batch_size):
            images = [each.pixels for each in photographs]
            with explain():
                masks_of_them = network.classify(images, job.batch_size)
            for photograph, ids in zip(photographs, masks_of_them, strict=True):
                write(photograph.name, photograph.encoded, ids)
                note.masks.append(_describe(photograph, ids))
    if job.scratch and hasattr(os, "sync"):
        os.sync()  # Whenever the machine fails, what is noted is on the disk.
    text = json.dumps(dataclasses.asdict(note), ensure_ascii=False, indent=0)
    with storage.write_whole(job.note_path(shard), job.scratch) as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    return len(note.masks) + len(note.damaged), len(note.damaged)


def _gather(
    pictures: Iterable[Photograph | Damaged], note: Note, batch_size: int
) -> Iterator[list[Photograph]]:
    """Yields some batches at a time, and notes what is damaged."""
    held: list[Photograph] = []
    for picture in pictures:
        if isinstance(picture, Damaged):
            note.damaged.append((picture.source, picture.reason))
            continue
        held.append(picture)
        pixels = sum(each.pixels.size // 3 for each in held)
        if len(held) >= 4 * batch_size or pixels >= _PIXELS:
            yield held
            held = []
    if held:
        yield held


def _describe(photograph: Photograph, ids: np.ndarray) -> Any:
    counts = np.bincount(ids.ravel())
    pixels = {str(i): int(counts[i]) for i in np.flatnonzero(counts).tolist()}
    return (photograph.source, photograph.name, *ids.shape, pixels)
