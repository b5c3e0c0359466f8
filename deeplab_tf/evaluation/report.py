"""Scores as people and programs read them: a table, metrics.json, event files."""

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
from deeplab_tf.evaluation.confusion import Counts
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


def comparison(counts: Mapping[str, Counts]) -> str:
    """A column for each count; lines of the whole split and of each trimap."""
    width = max(len(name) for name in counts)
    columns = list(counts.values())
    rows = [
        ("mIoU", [metrics.mean_iou(c.confusion) for c in columns]),
        ("pixel accuracy", [metrics.pixel_accuracy(c.confusion) for c in columns]),
    ]
    for band in columns[0].bands:
        share = columns[0].bands[band].sum() / max(columns[0].confusion.sum(), 1)
        title = f"mIoU within {band} of a boundary ({100 * share:.1f} % of the pixels)"
        rows.append((title, [metrics.mean_iou(c.bands[band]) for c in columns]))
    first = max(len(title) for title, _ in rows)
    lines = [" " * first + "".join(f"  {name:>{width}}" for name in counts)]
    for title, values in rows:
        lines.append(f"{title:{first}}" + "".join(f"  {v:>{width}.4f}" for v in values))
    return "\n".join(lines)


def summary(counts: Counts) -> dict[str, Any]:
    """What `metrics.json` holds; null where a score is not defined."""
    confusion, classes = counts.confusion, counts.spec.classes
    iou = metrics.class_iou(confusion)
    scores = {
        "miou": _number(metrics.mean_iou(confusion)),
        "pixel_accuracy": _number(metrics.pixel_accuracy(confusion)),
        "mean_accuracy": _number(metrics.mean_accuracy(confusion)),
        "frequency_weighted_iou": _number(metrics.frequency_weighted_iou(confusion)),
        "iou": {n: _number(v) for n, v in zip(classes, iou, strict=True)},
        "num_images": counts.num_images,
    }
    if counts.bands:
        scores["trimap_miou"] = {
            str(width): _number(metrics.mean_iou(band))
            for width, band in counts.bands.items()
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
