"""Metrics from a confusion matrix, in NumPy, so that anyone can check them by hand.

A class that neither occurs nor is predicted has no IoU and leaves the mean; one that is
predicted and does not occur has 0 and stays, as in the official evaluation.
"""

import numpy as np


def confusion_matrix(
    label: np.ndarray, predicted: np.ndarray, num_classes: int, ignore_label: int
) -> np.ndarray:
    """Pixels by true and predicted class, int64 `[C, C]`.

    Args:
        label: Class ids of any shape.
        predicted: Class ids of the same shape, in 0...C-1.
        num_classes: C.
        ignore_label: Pixels that do not count, also where it is the id of a class.

    Raises:
        ValueError: A label is neither a class nor ignored.
    """
    kept = label != ignore_label
    label, predicted = label[kept].astype(np.int64), predicted[kept].astype(np.int64)
    if label.size and not 0 <= label.min() <= label.max() < num_classes:
        bad = sorted(set(label.tolist()) - set(range(num_classes)))
        raise ValueError(f"ids {bad} are no classes (0 to {num_classes - 1})")
    pairs = np.bincount(label * num_classes + predicted, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes)


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union, `[C]`; NaN for a class that occurs nowhere."""
    hits = np.diag(confusion)
    return _ratio(hits, confusion.sum(axis=0) + confusion.sum(axis=1) - hits)


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of a class's pixels that are found, `[C]`; NaN where it does not occur."""
    return _ratio(np.diag(confusion), confusion.sum(axis=1))


def class_precision(confusion: np.ndarray) -> np.ndarray:
    """Share of the pixels found that are right, `[C]`; NaN where none are found."""
    return _ratio(np.diag(confusion), confusion.sum(axis=0))


def mean_iou(confusion: np.ndarray) -> float:
    """Mean of the classes' IoU; NaN if no pixel counts."""
    return _mean(class_iou(confusion))


def mean_iou_of_occurring(confusion: np.ndarray) -> float:
    """Mean IoU of the classes that the truth has; NaN if no pixel counts."""
    return _mean(class_iou(confusion)[confusion.sum(axis=1) > 0])


def mean_accuracy(confusion: np.ndarray) -> float:
    """Mean of the classes' accuracy; NaN if no pixel counts."""
    return _mean(class_accuracy(confusion))


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Share of all pixels that are right; NaN if none count."""
    return float(_ratio(np.trace(confusion), confusion.sum()))


def frequency_weighted_iou(confusion: np.ndarray) -> float:
    """Mean of IoU, weighted by how often a class occurs; NaN if no pixel counts."""
    share = _ratio(confusion.sum(axis=1), confusion.sum())
    occurs = share > 0
    if not occurs.any():
        return float("nan")
    return float(np.sum(share[occurs] * class_iou(confusion)[occurs]))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part, float) / np.asarray(whole, float)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
