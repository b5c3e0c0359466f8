"""Evaluation report: scores as a table, as metrics.json and as event files."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.evaluation import metrics
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.files import write_whole

_ALL_OF_ONE = 0.999  # From this share on, predictions are of one class.


def table(confusion: np.ndarray, spec: DatasetSpec) -> str:
    """A line a class, and the means below."""
    width = max(len("class"), *(len(name) for name in spec.classes))
    share = confusion.sum(axis=1) / max(confusion.sum(), 1)
    columns = (
        metrics.class_iou(confusion),
        metrics.class_accuracy(confusion),
        metrics.class_precision(confusion),
        share,
    )
    lines = [f" id  {'class':{width}}     IoU  accuracy  precision   pixels"]
    for label, values in enumerate(zip(*columns, strict=True)):
        iou, accuracy, precision, part = map(_percent, values)
        lines.append(
            f"{label:3d}  {spec.classes[label]:{width}}  {iou:>6}  {accuracy:>8}  "
            f"{precision:>9}  {part:>7}"
        )
    counted = np.sum(~np.isnan(columns[0]))
    lines.append(
        f"mIoU {metrics.mean_iou(confusion):.4f} over {counted} classes, "
        f"pixel accuracy {metrics.pixel_accuracy(confusion):.4f}, "
        f"mean accuracy {metrics.mean_accuracy(confusion):.4f}, "
        f"frequency weighted IoU {metrics.frequency_weighted_iou(confusion):.4f}"
    )
    return "\n".join(lines)


def comparison(confusions: Mapping[str, Confusion]) -> str:
    """A column for each confusion; lines of the whole split and of each trimap."""
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
    lines = [" " * first + "".join(f"  {name:>{width}}" for name in confusions)]
    for title, values in rows:
        lines.append(f"{title:{first}}" + "".join(f"  {v:>{width}.4f}" for v in values))
    return "\n".join(lines)


def summary(confusion: Confusion) -> dict[str, Any]:
    """What `metrics.json` holds; null where a score is not defined."""
    matrix, classes = confusion.matrix, confusion.spec.classes
    iou = metrics.class_iou(matrix)
    scores = {
        "miou": _number(metrics.mean_iou(matrix)),
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
    folder: Path, scores: dict[str, Any], confusion: np.ndarray, *, step: int, tag: str
) -> None:
    """Writes metrics.json, confusion_matrix.csv (rows: truth) and an event file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "metrics.json", json.dumps(scores, indent=1) + "\n")
    np.savetxt(folder / "confusion_matrix.csv", confusion, "%d", ",")
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step):
        write_events(scores, tag=tag)
    writer.close()


def write_events(scores: Mapping[str, Any], *, tag: str) -> None:
    """Writes scalars of the official tags, by class id, and by name, to the writer."""
    _scalar(f"eval/{tag}_overall", scores["miou"])
    _scalar("eval/pixel_accuracy", scores["pixel_accuracy"])
    for label, (name, iou) in enumerate(scores["iou"].items()):
        _scalar(f"eval/{tag}_class_{label}", iou)
        _scalar(f"eval/iou/{name}", iou)


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
