"""Evaluation report: scores as a table, as metrics.json and as event files."""

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.specs import cityscapes
from deeplab_tf.evaluation import confusion_picture, metrics
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.files import write_whole

CONFUSION = "confusion_matrix.csv"
ENOUGH_IMAGES = 10  # Fewer, drawn again and again, say little of others.
_ALL_OF_ONE = 0.999  # From this share on, predictions are of one class.


def table(confusion: np.ndarray, spec: DatasetSpec) -> str:
    """A line a class, and the means below, all in percent; "-" where undefined."""
    width = max(len("class"), *(len(name) for name in spec.classes))
    columns = {
        "IoU %": metrics.class_iou(confusion),
        "precision %": metrics.class_precision(confusion),
        "recall %": metrics.class_accuracy(confusion),
        "F1 %": metrics.f1(confusion),
        "share %": metrics.share(confusion),
    }
    titles = (f"{title:>6}" for title in columns)
    lines = ["  ".join([" id", f"{'class':{width}}", *titles])]
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
        "mean F1": metrics.mean_f1(confusion),
        "Cohen's kappa": metrics.kappa(confusion),
    }
    if categories := _categories(confusion, spec):
        title = f"mIoU over the {len(categories)} categories"
        means[title] = metrics.mean_of_known(np.array([*categories.values()]))
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
        "miou": metrics.number(metrics.mean_iou(matrix)),
        "miou_of_occurring": metrics.number(metrics.mean_iou_of_occurring(matrix)),
        "pixel_accuracy": metrics.number(metrics.pixel_accuracy(matrix)),
        "mean_accuracy": metrics.number(metrics.mean_accuracy(matrix)),
        "frequency_weighted_iou": metrics.number(
            metrics.frequency_weighted_iou(matrix)
        ),
        "iou": by_class(classes, iou),
        "num_images": confusion.num_images,
    }
    if confusion.trimaps:
        scores["trimap_miou"] = {
            str(width): metrics.number(metrics.mean_iou(near))
            for width, near in confusion.trimaps.items()
        }
    return scores


def details(confusion: Confusion) -> dict[str, Any]:
    """What `metrics.json` of `eval.py` holds beside `summary`: more of each class."""
    matrix, spec = confusion.matrix, confusion.spec
    scores: dict[str, Any] = {
        "mean_f1": metrics.number(metrics.mean_f1(matrix)),
        "kappa": metrics.number(metrics.kappa(matrix)),
        "precision": by_class(spec.classes, metrics.class_precision(matrix)),
        "recall": by_class(spec.classes, metrics.class_accuracy(matrix)),
        "f1": by_class(spec.classes, metrics.f1(matrix)),
        "share": by_class(spec.classes, metrics.share(matrix)),
    }
    if categories := _categories(matrix, spec):
        values = np.array([*categories.values()])
        scores["categories"] = {
            "miou": metrics.number(metrics.mean_of_known(values)),
            "iou": by_class([*categories], values),
        }
    return scores


def _categories(confusion: np.ndarray, spec: DatasetSpec) -> dict[str, float]:
    """IoU of the categories of Cityscapes; empty for other classes."""
    if spec.classes != cityscapes.SPEC.classes:
        return {}
    groups = np.array([[*cityscapes.CATEGORIES].index(c) for c in cityscapes.CATEGORY])
    iou = metrics.class_iou(metrics.merge_classes(confusion, groups))
    return dict(zip(cityscapes.CATEGORIES, map(float, iou), strict=True))


def by_class(classes: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    """A score of each class by its name; null where it is not defined."""
    return {n: metrics.number(v) for n, v in zip(classes, values, strict=True)}


def ends(interval: Iterable[float]) -> list[float] | None:
    """An interval as JSON has it; null where it is not defined."""
    low, high = map(metrics.number, interval)
    return None if low is None or high is None else [low, high]


def beside_table(scores: Mapping[str, Any]) -> str:
    """What is told below the table: the interval, boundary IoU and calibration.

    Args:
        scores: As `metrics.json` has them.
    """
    lines = []
    if scores["num_images"] < 2:
        lines.append("mIoU of one image: others could have any")
    elif scores["num_images"] < ENOUGH_IMAGES:
        lines.append(
            f"mIoU of {scores['num_images']} images: too few for an interval, which "
            f"{ENOUGH_IMAGES} give"
        )
    elif interval := scores["miou_interval"]:
        low, high = map(_percent, interval)
        lines.append(
            f"95 % interval of the mIoU: {low} to {high}, by bootstrap over "
            f"{scores['num_images']} images"
        )
    if (boundary := scores.get("boundary_miou")) is not None:
        lines.append(f"boundary mIoU: {_percent(boundary)}")
    calibration = scores.get("calibration")
    if calibration and calibration["ece"] is not None:
        lines.append(
            f"calibration error (ECE): {_percent(calibration['ece'])}; area below the "
            f"risk-coverage curve: {_percent(calibration['risk_coverage_area'])}"
        )
    return "\n".join(lines)


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
    for name in ("mean_f1", "kappa", "boundary_miou"):
        _scalar(f"eval/{name}", scores.get(name))
    _scalar("eval/ece", scores.get("calibration", {}).get("ece"))
    for name, iou in scores["iou"].items():
        _scalar(f"eval/iou/{name}", iou)
    picture = confusion_picture.draw(confusion.matrix, confusion.spec.classes)
    tf.summary.image("eval/confusion_matrix", picture[np.newaxis])


def collapsed_class(confusion: np.ndarray) -> int | None:
    """The class of all predictions, where the truth has others; else None."""
    predicted = confusion.sum(axis=0) / max(confusion.sum(), 1)
    label = int(predicted.argmax())
    is_one = predicted[label] >= _ALL_OF_ONE and np.sum(confusion.any(axis=1)) > 1
    return label if is_one else None


def warn_of_collapse(confusion: np.ndarray, spec: DatasetSpec) -> None:
    """Warns where all predictions are of one class, and the truth is not."""
    label = collapsed_class(confusion)
    if label is None:
        return
    predicted, truth = (confusion.sum(axis=axis) for axis in (0, 1))
    logging.warning(
        "%.1f %% of the pixels are predicted as %d %s, and %.1f %% are that. Usual "
        "causes: too few steps, batch norm that has not settled, other classes or "
        "another --model_variant than in training",
        100 * predicted[label] / predicted.sum(),
        label,
        spec.classes[label],
        100 * truth[label] / truth.sum(),
    )


def _scalar(tag: str, value: float | None) -> None:
    if value is not None:
        tf.summary.scalar(tag, value)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"
