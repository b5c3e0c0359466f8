"""Totals: what all shards hold, as CSV; and the list of what could not be read."""

import contextlib
import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import Any

from deeplab_tf import runtime, storage
from deeplab_tf.batch_inference import masks
from deeplab_tf.batch_inference.mask_names import DAMAGED, SHARES, TOTALS
from deeplab_tf.batch_inference.networks import Classes
from deeplab_tf.batch_inference.shards import Shard
from deeplab_tf.batch_inference.work import Job, Note
from deeplab_tf.data import spec as spec_
from deeplab_tf.data.spec import DatasetSpec


@dataclasses.dataclass(kw_only=True)
class Totals:
    """Of all pictures.

    Attributes:
        masks: How many are predicted.
        damaged: How many could not be read.
        pixels: By class id.
        occurrences: Pictures in which a class occurs, by its id.
    """

    masks: int = 0
    damaged: int = 0
    pixels: dict[int, int] = dataclasses.field(default_factory=dict)
    occurrences: dict[int, int] = dataclasses.field(default_factory=dict)

    def add(self, note: Note) -> None:
        """Counts a shard."""
        self.masks += len(note.masks)
        self.damaged += len(note.damaged)
        for *_, pixels in note.masks:
            for label, count in pixels.items():
                i = int(label)
                self.pixels[i] = self.pixels.get(i, 0) + count
                self.occurrences[i] = self.occurrences.get(i, 0) + 1


def write(job: Job, shards: Sequence[Shard], classes: Classes) -> Totals:
    """Writes `shares.csv` and `classes.csv`; where needed, `damaged.csv`.

    Beside records, `dataset.json` comes last.
    """
    totals = Totals()
    for note in _notes(job, shards):
        totals.add(note)
    count = len(classes.labels) or max(totals.pixels, default=0) + 1
    labels = classes.labels or tuple(f"class_{i}" for i in range(count))
    with _csv(job, SHARES) as shares:
        shares.writerow(["picture", "mask", "height", "width", *labels])
        for note in _notes(job, shards):
            for source, name, height, width, pixels in note.masks:
                parts = [pixels.get(str(i), 0) / (height * width) for i in range(count)]
                row = [source, name, height, width, *(f"{part:.6f}" for part in parts)]
                shares.writerow(row)
    _write_classes(job, totals, labels, classes.colors)
    if totals.damaged:
        with _csv(job, DAMAGED) as damaged:
            damaged.writerow(["picture", "reason"])
            for note in _notes(job, shards):
                damaged.writerows(note.damaged)
    if job.output_format == "tfrecord":
        spec = DatasetSpec(
            name="predictions",
            classes=labels,
            palette=classes.colors[:count],
            split_sizes={masks.SPLIT: totals.masks},
        )
        path = storage.join(job.output, spec_.FILE_NAME)
        with storage.write_whole(path, job.scratch) as file:
            file.write(spec.to_json().encode())
    return totals


def _write_classes(
    job: Job,
    totals: Totals,
    labels: Sequence[str],
    colors: Sequence[runtime.Color],
) -> None:
    everything = sum(totals.pixels.values())
    with _csv(job, TOTALS) as rows:
        rows.writerow(
            ["id", "class", "red", "green", "blue", "share", "pixels", "pictures"]
        )
        for i, (label, color) in enumerate(zip(labels, colors, strict=False)):
            pixels = totals.pixels.get(i, 0)
            share = f"{pixels / max(1, everything):.6f}"
            seen = totals.occurrences.get(i, 0)
            rows.writerow([i, label, *color, share, pixels, seen])


def _notes(job: Job, shards: Sequence[Shard]) -> Iterator[Note]:
    return (Note.load(job.note_path(shard)) for shard in shards)


@contextlib.contextmanager
def _csv(job: Job, name: str) -> Iterator[Any]:
    """A writer of rows, to a file that appears once it is whole."""
    with storage.write_whole(storage.join(job.output, name), job.scratch) as file:
        text = io.TextIOWrapper(
            file, encoding="utf-8", errors="surrogateescape", newline=""
        )
        yield csv.writer(text, lineterminator="\n")
        text.detach()
