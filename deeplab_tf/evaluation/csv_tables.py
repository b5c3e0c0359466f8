"""Scores of each class and of each image as tables for a spreadsheet; 0...1."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_tf.evaluation import image_counts, metrics
from deeplab_tf.evaluation.scores import Evaluation
from deeplab_tf.files import write_whole

PER_CLASS = "per_class.csv"
PER_IMAGE = "per_image.csv"


def write(
    folder: Path,
    evaluation: Evaluation,
    *,
    checkpoint: str,
    settings: Mapping[str, Any],
) -> None:
    """Writes both tables, and the counts that they are made of.

    Args:
        folder: It exists.
        evaluation: Of a network.
        checkpoint: Whose weights it has.
        settings: Flags of the evaluation that were given, by name.
    """
    write_whole(folder / PER_CLASS, per_class(evaluation))
    write_whole(folder / PER_IMAGE, per_image(evaluation))
    image_counts.save(
        folder / image_counts.FILE,
        evaluation.images,
        evaluation.confusion.spec,
        checkpoint=checkpoint,
        settings=settings,
    )


def per_class(evaluation: Evaluation) -> str:
    """A line a class: its scores, and the 95 % interval of its IoU."""
    matrix, spec = evaluation.confusion.matrix, evaluation.confusion.spec
    columns = {
        "iou": metrics.class_iou(matrix),
        "iou_low": evaluation.intervals.iou[:, 0],
        "iou_high": evaluation.intervals.iou[:, 1],
        "precision": metrics.class_precision(matrix),
        "recall": metrics.class_accuracy(matrix),
        "f1": metrics.f1(matrix),
        "share": metrics.share(matrix),
    }
    if evaluation.boundary:
        columns["boundary_iou"] = evaluation.boundary.iou
    rows = zip(*(map(_cell, values) for values in columns.values()), strict=True)
    return _table(
        ("id", "class", *columns),
        ((i, spec.classes[i], *row) for i, row in enumerate(rows)),
    )


def per_image(evaluation: Evaluation) -> str:
    """A line an image, in the order of the split; see `ImageScores`."""
    classes = evaluation.confusion.spec.classes

    def rows() -> Iterable[Sequence[Any]]:
        for image in evaluation.images:
            miou, worst, wrong = image.scores(len(classes))
            name = "" if worst is None else classes[worst]
            yield (image.name, *image.size, _cell(miou), name, _cell(wrong))

    header = ("name", "height", "width", "miou", "worst_class", "share_wrong")
    return _table(header, rows())


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6f}"
