"""Scores as people and programs read them: a table, metrics.json, event files."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.evaluation import metrics
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


def summary(
    confusion: np.ndarray, spec: DatasetSpec, num_images: int
) -> dict[str, Any]:
    """What `metrics.json` holds; null where a score is not defined."""
    iou = metrics.class_iou(confusion)
    return {
        "miou": _number(metrics.mean_iou(confusion)),
        "pixel_accuracy": _number(metrics.pixel_accuracy(confusion)),
        "mean_accuracy": _number(metrics.mean_accuracy(confusion)),
        "frequency_weighted_iou": _number(metrics.frequency_weighted_iou(confusion)),
        "iou": {n: _number(v) for n, v in zip(spec.classes, iou, strict=True)},
        "num_images": num_images,
    }


def write(
    folder: Path, scores: dict[str, Any], confusion: np.ndarray, *, step: int, tag: str
) -> None:
    """Writes metrics.json, confusion_matrix.csv (rows: truth) and an event file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "metrics.json", json.dumps(scores, indent=1) + "\n")
    np.savetxt(folder / "confusion_matrix.csv", confusion, "%d", ",")
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step):
        _scalar(f"eval/{tag}_overall", scores["miou"])
        _scalar("eval/pixel_accuracy", scores["pixel_accuracy"])
        for label, (name, iou) in enumerate(scores["iou"].items()):
            _scalar(f"eval/{tag}_class_{label}", iou)
            _scalar(f"eval/iou/{name}", iou)
    writer.close()


def warn_of_collapse(confusion: np.ndarray, spec: DatasetSpec) -> None:
    """Warns where all predictions are of one class, and the truth is not."""
    found = confusion.sum(axis=0) / max(confusion.sum(), 1)
    truth = confusion.sum(axis=1)
    label = int(found.argmax())
    if found[label] < _ALL_OF_ONE or np.sum(truth > 0) < 2:
        return
    logging.warning(
        "%.1f %% of the pixels are predicted as %d %s, and %.1f %% are that. Usual "
        "causes: too few steps, batch norm that has not settled, other classes or "
        "another --model_variant than in training",
        100 * found[label],
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
