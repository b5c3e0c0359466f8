"""Evaluation report: scores as a table, as metrics.json and as event files."""

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.evaluation import confusion_picture, metrics
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.files import write_whole

CONFUSION = "confusion_matrix.csv"
_ALL_OF_ONE = 0.999  # From this share on, predictions are of one class.


def table(confusion: np.ndarray, spec: DatasetSpec) -> str:
    """A line a class, and the means below, all in percent; "-" where undefined."""
    width = max(len("class"), *(len(name) for name in spec.classes))
    columns = {
        "IoU %": metrics.class_iou(confusion),
        "precision %": metrics.class_precision(confusion),
        "recall %": metrics.class_accuracy(confusion),
        "share %": confusion.sum(axis=1) / max(confusion.sum(), 1),
    }
    lines = ["  ".join([" id", f"{'class':{width}}", f"{'IoU %':>6}", *[*columns][1:]])]
    for label, name in enumerate(spec.classes):
        cells = [
            f"{_percent(values[label]):>{max(6, len(title))}}"
            for title, values in columns.items()
        ]
        lines.append("  ".join([f"{label:3d}", f"{name:{width}}", *cells]))
    means = _miou_lines(confusion, spec) | {
        "pixel accuracy": metrics.pixel_accuracy(confusion),
        "mean recall": metrics.mean_accuracy(confusion),
        "frequency weighted IoU": metrics.frequency_weighted_iou(confusion),
    }
    first = max(len(title) for title in means)
    lines += [f"{title:{first}}  {_percent(v):>6}" for title, v in means.items()]
    return "\n".join(lines)


def _miou_lines(confusion: np.ndarray, spec: DatasetSpec) -> dict[str, float]:
    """The mIoU by what it is a mean over, where classes are absent in several ways.

    What `metrics.json` calls miou is over the classes that occur or are predicted.
    """
    iou = metrics.class_iou(confusion)
    occurring, scored = confusion.sum(axis=1) > 0, ~np.isnan(iou)
    all_of_them = np.arange(len(iou)) != spec.ignore_label
    number = all_of_them.sum()
    if np.array_equal(scored, all_of_them) and np.array_equal(scored, occurring):
        return {f"mIoU over all {number} classes": metrics.mean_iou(confusion)}
    count = occurring.sum()
    classes = "class that occurs" if count == 1 else "classes that occur"
    title = f"mIoU over the {count} {classes}"
    lines = {title: metrics.mean_iou_of_occurring(confusion)}
    if not any(np.array_equal(scored, each) for each in (occurring, all_of_them)):
        title = f"mIoU over the {scored.sum()} that occur or are predicted"
        lines[title] = metrics.mean_iou(confusion)
    absent = ", absent ones as 0" if (all_of_them & ~scored).any() else ""
    values = np.nan_to_num(iou)[all_of_them]
    mean = float(values.mean()) if scored.any() else math.nan
    return lines | {f"mIoU over all {number}{absent}": mean}


def why_no_score(confusion: Confusion) -> str:
    """The reason why a split has no mIoU, where no pixel counts; else empty.

    A score that is no number says nothing to whoever reads it, or compares with it.
    """
    if confusion.matrix.any():
        return ""
    return (
        f"all pixels of its {confusion.num_images} images are the ignore label "
        f"{confusion.spec.ignore_label}: there is no score"
    )


def comparison(confusions: Mapping[str, Confusion]) -> str:
    """A column for each confusion; lines of the whole split and of each trimap.

    In percent.
    """
    width = max(len(name) for name in confusions)
    columns = list(confusions.values())
    rows = [
        ("mIoU", [metrics.mean_iou(c.matrix) for c in columns]),
        ("pixel accuracy", [metrics.pixel_accuracy(c.matrix) for c in columns]),
    ]
    for near, matrix in columns[0].trimaps.items():
        share = matrix.sum() / max(columns[0].matrix.sum(), 1)
        title = f"mIoU within {near} of a boundary ({100 * share:.1f} % of the pixels)"
        rows.append((title, [metrics.mean_iou(c.trimaps[near]) for c in columns]))
    first = max(len(title) for title, _ in rows)
    lines = [
        f"{'in percent':{first}}" + "".join(f"  {name:>{width}}" for name in confusions)
    ]
    for title, values in rows:
        cells = "".join(f"  {_percent(value):>{width}}" for value in values)
        lines.append(f"{title:{first}}{cells}")
    return "\n".join(lines)


def summary(confusion: Confusion) -> dict[str, Any]:
    """What `metrics.json` holds; null where a score is not defined."""
    matrix, classes = confusion.matrix, confusion.spec.classes
    iou = metrics.class_iou(matrix)
    scores = {
        "miou": _number(metrics.mean_iou(matrix)),
        "miou_of_occurring": _number(metrics.mean_iou_of_occurring(matrix)),
        "pixel_accuracy": _number(metrics.pixel_accuracy(matrix)),
        "mean_accuracy": _number(metrics.mean_accuracy(matrix)),
        "frequency_weighted_iou": _number(metrics.frequency_weighted_iou(matrix)),
        "iou": {n: _number(v) for n, v in zip(classes, iou, strict=True)},
        "num_images": confusion.num_images,
    }
    if confusion.trimaps:
        scores["trimap_miou"] = {
            str(width): _number(metrics.mean_iou(near))
            for width, near in confusion.trimaps.items()
        }
    return scores


def write(
    folder: Path, scores: dict[str, Any], confusion: Confusion, *, step: int, tag: str
) -> None:
    """Writes metrics.json, confusion_matrix.csv (rows: truth) and an event file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "metrics.json", json.dumps(scores, indent=1) + "\n")
    rows = io.BytesIO()
    np.savetxt(rows, confusion.matrix, "%d", ",")
    write_whole(folder / CONFUSION, rows.getvalue())
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step):
        write_events(scores, confusion, tag=tag)
    writer.close()


def write_events(scores: Mapping[str, Any], confusion: Confusion, *, tag: str) -> None:
    """Writes mIoU by its official tag, IoU by class name, and the confusion matrix."""
    _scalar(f"eval/{tag}_overall", scores["miou"])
    _scalar("eval/pixel_accuracy", scores["pixel_accuracy"])
    for name, iou in scores["iou"].items():
        _scalar(f"eval/iou/{name}", iou)
    picture = confusion_picture.draw(confusion.matrix, confusion.spec.classes)
    tf.summary.image("eval/confusion_matrix", picture[np.newaxis])


def warn_of_collapse(confusion: np.ndarray, spec: DatasetSpec) -> None:
    """Warns where all predictions are of one class, and the truth is not."""
    predicted = confusion.sum(axis=0) / max(confusion.sum(), 1)
    truth = confusion.sum(axis=1)
    label = int(predicted.argmax())
    if predicted[label] < _ALL_OF_ONE or np.sum(truth > 0) < 2:
        return
    logging.warning(
        "%.1f %% of the pixels are predicted as %d %s, and %.1f %% are that. Usual "
        "causes: too few steps, batch norm that has not settled, other classes or "
        "another --model_variant than in training",
        100 * predicted[label],
        label,
        spec.classes[label],
        100 * truth[label] / truth.sum(),
    )


def _scalar(tag: str, value: float | None) -> None:
    if value is not None:
        tf.summary.scalar(tag, value)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
