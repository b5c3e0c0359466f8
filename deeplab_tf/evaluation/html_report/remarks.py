"""Remarks: what in an evaluation asks for a second look, and what would do.

Thresholds are coarse on purpose: each is a multiple of what chance or a usual network
brings about.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from deeplab_tf.evaluation import bootstrap, metrics, report
from deeplab_tf.evaluation.image_counts import ImageCounts
from deeplab_tf.evaluation.scores import Evaluation

_MOST = 0.5  # Share of a class that is taken for one other: permuted ids.
_GAIN = 0.2  # Of the pixel accuracy or the mean recall, by another order of ids.
_DECIDES = 0.1  # IoU of a class that is gained or lost without one image.
_WIDE = 0.1  # Width of an interval of the mIoU.
_SURE = 0.1  # Calibration error from which on probabilities mislead.
_NAMED = 5  # Classes or images that a remark names.


class Remark(NamedTuple):
    """What was seen, in a few words and in a sentence, and what would do."""

    title: str
    what: str
    remedy: str


def remarks(evaluation: Evaluation, split: str) -> Iterator[Remark]:
    """Yields what to look at, what matters the most first.

    Args:
        evaluation: Of a network.
        split: Name of what was evaluated.
    """
    matrix, classes = evaluation.confusion.matrix, evaluation.confusion.spec.classes
    yield from _collapse(matrix, classes)
    yield from _permutation(matrix, classes)
    if "train" in split:
        yield Remark(
            "These are images of the training",
            f"The split is called {split}: a network has seen such images and their "
            "labels, and scores better on them than on others.",
            "For how good it is, evaluate a split that it has not learned from "
            "(--eval_split=val). For label errors, this is the right one.",
        )
    yield from _few_images(evaluation)
    yield from _never_predicted(matrix, classes)
    yield from _deciding_images(evaluation.images, classes)
    yield from _absent(matrix, classes, evaluation.confusion.spec.ignore_label)
    yield from _calibration(evaluation)


def _collapse(matrix: np.ndarray, classes: Sequence[str]) -> Iterator[Remark]:
    label = report.collapsed_class(matrix)
    if label is None:
        return
    share = matrix[:, label].sum() / matrix.sum()
    truth = matrix[label].sum() / matrix.sum()
    yield Remark(
        "Nearly all is predicted as one class",
        f"{100 * share:.1f} % of the pixels are predicted as {classes[label]}, and "
        f"{100 * truth:.1f} % are that.",
        "Usual causes: too few steps, batch norm that has not settled, other classes "
        "or another --model_variant than in training. Look at the loss, and at "
        "predictions on images of the training.",
    )


def permuted_ids(matrix: np.ndarray) -> dict[int, int]:
    """Classes that seem to have each other's ids: true id -> predicted id.

    Those of which more than a half is predicted as one other class, each as another,
    whose own pixels go elsewhere; empty unless there are two, and to swap them would
    raise the pixel accuracy or the mean recall a lot.
    """
    truth = matrix.sum(axis=1)
    shares = matrix / np.maximum(truth, 1)[:, np.newaxis]
    mostly = {
        int(i): int(shares[i].argmax())
        for i in np.flatnonzero(truth)
        if shares[i].max() > _MOST
    }
    moved = {i: j for i, j in mostly.items() if i != j}
    targets = [*mostly.values()]
    moved = {i: j for i, j in moved.items() if targets.count(j) == 1}
    if len(moved) < 2:
        return {}
    gain = sum(int(matrix[i, j] - matrix[i, i]) for i, j in moved.items())
    recall = sum(float(shares[i, j] - shares[i, i]) for i, j in moved.items())
    rises = max(gain / matrix.sum(), recall / np.sum(truth > 0))
    return moved if rises >= _GAIN else {}


def _permutation(matrix: np.ndarray, classes: Sequence[str]) -> Iterator[Remark]:
    moved = permuted_ids(matrix)
    if not moved:
        return
    pairs = [f"{classes[i]} as {classes[j]}" for i, j in moved.items()]
    yield Remark(
        "The ids of classes are probably permuted",
        f"Most pixels of {len(moved)} classes are predicted as one other class each: "
        f"{_list(pairs)}.",
        "The network learned from ids in another order than these labels have. "
        "Compare dataset.json of the run and of the records, and build the records "
        "again with the ids of the training (--label_map).",
    )


def _few_images(evaluation: Evaluation) -> Iterator[Remark]:
    count = evaluation.confusion.num_images
    low, high = evaluation.intervals.miou
    if count < 2:
        yield Remark(
            "One image",
            "Nothing can be said of how the score would be with others.",
            "Evaluate on more images.",
        )
    elif high - low > _WIDE:
        yield Remark(
            f"{count} images leave the score uncertain",
            f"With other images of the kind, the mIoU would be between "
            f"{100 * low:.1f} and {100 * high:.1f} % (95 % interval): "
            f"{100 * (high - low):.0f} points wide.",
            "Do not read much into smaller differences. Evaluate on more images, or "
            "compare two networks on the same ones, which is sharper: python -m "
            "deeplab_tf.evaluation compare.",
        )


def _never_predicted(matrix: np.ndarray, classes: Sequence[str]) -> Iterator[Remark]:
    truth, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    never = _names(classes, (truth > 0) & (predicted == 0))
    if never and report.collapsed_class(matrix) is None:
        yield Remark(
            f"{_count(len(never), 'class is', 'classes are')} never predicted",
            f"There are pixels of {_list(never)}, and none is predicted.",
            "Rare classes need weight in the loss (--class_weights), more images, or "
            "more steps; or the network was trained without them.",
        )


def deciding_images(
    images: Sequence[ImageCounts], num_classes: int
) -> list[tuple[int, int, float, float]]:
    """Classes whose IoU one image decides.

    Returns:
        Class, number of the image, IoU with it and without it, of those that change by
        a tenth or more (or that have no IoU without it, NaN), the image that matters
        the most for each class; the largest change first.
    """
    if len(images) < 2:
        return []
    hits, union = bootstrap.hits_and_union(images, num_classes)
    iou = metrics.ratio(hits.sum(axis=0), union.sum(axis=0))
    without = metrics.ratio(hits.sum(axis=0) - hits, union.sum(axis=0) - union)
    changes = np.abs(without - iou)
    changes[np.isnan(without)] = np.inf
    changes[:, np.isnan(iou)] = 0
    lines = []
    for label in np.flatnonzero(changes.max(axis=0) >= _DECIDES):
        image = int(changes[:, label].argmax())
        lines.append(
            (int(label), image, float(iou[label]), float(without[image, label]))
        )
    return sorted(lines, key=lambda line: -changes[line[1], line[0]])


def _deciding_images(
    images: Sequence[ImageCounts], classes: Sequence[str]
) -> Iterator[Remark]:
    lines = deciding_images(images, len(classes))
    if not lines:
        return
    told = []
    for label, image, iou, without in lines:
        name, change = images[image].name, f"{100 * iou:.0f} %"
        if np.isnan(without):
            told.append(f"{classes[label]} ({change}) is in {name} alone")
        else:
            told.append(
                f"{classes[label]} has {change}, and {100 * without:.0f} % without "
                f"{name}"
            )
    yield Remark(
        f"One image decides the IoU of {_count(len(lines), 'class', 'classes')}",
        f"{_list(told, '; ')}.",
        "Look at these images and their labels. The IoU of such a class says little; "
        "evaluate on more images that show it.",
    )


def _absent(
    matrix: np.ndarray, classes: Sequence[str], ignore_label: int
) -> Iterator[Remark]:
    truth, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    absent = (truth == 0) & ((np.arange(len(truth)) != ignore_label) | (predicted > 0))
    if not absent.any():
        return
    wrong = _names(classes, absent & (predicted > 0))
    what = f"No label has {_list(_names(classes, absent))}."
    if wrong:
        what += f" Predicted all the same: {_list(wrong)}, which count as 0."
    if len(wrong) < absent.sum():
        what += " What is neither labeled nor predicted leaves the mean."
    yield Remark(
        f"{_count(int(absent.sum()), 'class does', 'classes do')} not occur",
        what,
        "Compare mIoU only with scores over the same classes: miou_of_occurring of "
        "metrics.json leaves all absent ones out.",
    )


def _calibration(evaluation: Evaluation) -> Iterator[Remark]:
    calibration = evaluation.calibration
    if calibration is None or not calibration.ece >= _SURE:
        return
    total = calibration.pixels.sum()
    mean = float(np.nansum(calibration.confidence * calibration.pixels) / total)
    right = calibration.right.sum() / total
    kind = "too sure" if mean > right else "not sure enough"
    yield Remark(
        f"The network is {kind} of itself",
        f"It says {100 * mean:.0f} % on the mean, and {100 * right:.0f} % of the "
        "pixels are right.",
        "Do not take its probabilities at their face value; a threshold on them is to "
        "be chosen on images of your own.",
    )


def _names(classes: Sequence[str], chosen: np.ndarray) -> list[str]:
    return [name for name, is_chosen in zip(classes, chosen, strict=True) if is_chosen]


def _list(names: Sequence[str], separator: str = ", ") -> str:
    """The first few, and how many more there are."""
    more = len(names) - _NAMED
    told = separator.join(names[:_NAMED])
    return f"{told}{separator}and {more} more" if more > 0 else told


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
