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
    pairs = np.multiply(label, num_classes, dtype=np.intp)
    pairs += predicted
    pairs += 1
    # Ignored pixels are counted as 0 and dropped: to pick the others takes longer.
    np.copyto(pairs, 0, where=label == ignore_label)
    size = num_classes**2
    if label.size and (label.min() < 0 or pairs.max() > size):
        bad = sorted({*np.unique(label).tolist()} - {*range(num_classes), ignore_label})
        raise ValueError(f"ids {bad} are no classes (0 to {num_classes - 1})")
    counts = np.bincount(pairs.reshape(-1), minlength=size + 1)[1:]
    return counts.reshape(num_classes, num_classes)


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union, `[C]`; NaN for a class that occurs nowhere."""
    hits = np.diag(confusion)
    return ratio(hits, confusion.sum(axis=0) + confusion.sum(axis=1) - hits)


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of a class's pixels that are found, `[C]`; NaN where it does not occur."""
    return ratio(np.diag(confusion), confusion.sum(axis=1))


def class_precision(confusion: np.ndarray) -> np.ndarray:
    """Share of the pixels found that are right, `[C]`; NaN where none are found."""
    return ratio(np.diag(confusion), confusion.sum(axis=0))


def mean_iou(confusion: np.ndarray) -> float:
    """Mean of the classes' IoU; NaN if no pixel counts."""
    return mean_of_known(class_iou(confusion))


def mean_iou_of_occurring(confusion: np.ndarray) -> float:
    """Mean IoU of the classes that the truth has; NaN if no pixel counts."""
    return mean_of_known(class_iou(confusion)[confusion.sum(axis=1) > 0])


def mean_accuracy(confusion: np.ndarray) -> float:
    """Mean of the classes' accuracy; NaN if no pixel counts."""
    return mean_of_known(class_accuracy(confusion))


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Share of all pixels that are right; NaN if none count."""
    return float(ratio(np.trace(confusion), confusion.sum()))


def frequency_weighted_iou(confusion: np.ndarray) -> float:
    """Mean of IoU, weighted by how often a class occurs; NaN if no pixel counts."""
    share = ratio(confusion.sum(axis=1), confusion.sum())
    occurs = share > 0
    if not occurs.any():
        return float("nan")
    return float(np.sum(share[occurs] * class_iou(confusion)[occurs]))


def f1(confusion: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall (Dice), `[C]`; NaN where IoU is."""
    hits = np.diag(confusion)
    return ratio(2 * hits, confusion.sum(axis=0) + confusion.sum(axis=1))


def share(confusion: np.ndarray) -> np.ndarray:
    """Share of all pixels that are of each class, `[C]`; 0 if none count."""
    return confusion.sum(axis=1) / max(confusion.sum(), 1)


def mean_f1(confusion: np.ndarray) -> float:
    """Mean of the classes' F1; NaN if no pixel counts."""
    return mean_of_known(f1(confusion))


def kappa(confusion: np.ndarray) -> float:
    """Cohen's kappa: agreement beyond chance; at most 1, and 0 of a guess.

    Cohen 1960, A Coefficient of Agreement for Nominal Scales. NaN if no pixel counts,
    or all are of one class and predicted so.
    """
    total = float(confusion.sum())
    observed = ratio(np.trace(confusion), total)
    of_truth, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    by_chance = ratio(np.sum(of_truth.astype(float) * predicted), total**2)
    return float(ratio(observed - by_chance, 1 - by_chance))


def merge_classes(confusion: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The confusion matrix of groups of classes, `[G, G]`.

    Args:
        confusion: Of the classes, `[C, C]`.
        groups: Of each class, in 0...G-1, `[C]`.
    """
    of_group = np.eye(groups.max() + 1, dtype=np.int64)[groups]
    return of_group.T @ confusion @ of_group


def ratio(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    """Part of whole, float64; NaN where both are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part, float) / np.asarray(whole, float)


def mean_of_known(values: np.ndarray) -> float:
    """Mean of those that are defined; NaN without one."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def number(value: float) -> float | None:
    """A score as JSON has it: null where it is not defined."""
    return None if np.isnan(value) else float(value)
