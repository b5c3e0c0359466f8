"""A worker of the CRF search: confusion matrices of one image; loads no TensorFlow."""

import dataclasses
from typing import Any

import numpy as np

from deeplab_tf.crf import engines
from deeplab_tf.evaluation import metrics

Point = tuple[float, float, float]  # In the order of `engines.SEARCHED`.
_LIKELY = 0.01  # Probability that a class has to reach at some pixel.


def confusions(
    path: str,
    points: list[Point],
    *,
    start: engines.Parameters,
    engine: str,
    num_classes: int,
    ignore_label: int,
) -> np.ndarray:
    """Confusion matrices of an image by point, int64 `[P, C, C]`.

    Classes that the network sees nowhere take no part: most of many, whose inference
    would cost as much as that of the others, and they win next to no pixel.

    Args:
        path: File of the image, its label and its logits.
        points: All of the same ranges.
        start: What stays as it is.
        engine: See `engines.find_engine`.
        num_classes: C.
        ignore_label: Of the data set.
    """
    data = np.load(path)
    label, logits = data["label"], data["logits"]
    crf = engines.dense_crf(data["image"], at(start, points[0]), engine)
    likely = likely_classes(logits)
    logits = np.ascontiguousarray(logits[..., likely])
    refined = [
        likely[engines.mean_field_of(crf, logits, at(start, point)).argmax(-1)]
        for point in points
    ]
    return np.array(
        [
            metrics.confusion_matrix(label, classes, num_classes, ignore_label)
            for classes in refined
        ]
    )


def likely_classes(logits: np.ndarray) -> np.ndarray:
    """Ids of the classes that some pixel of logits `[H, W, C]` may well be of."""
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    return np.flatnonzero(probabilities.max((0, 1)) >= _LIKELY)


def at(start: engines.Parameters, point: Point) -> engines.Parameters:
    """The parameters of a point; the others stay."""
    values: dict[str, Any] = dict(zip(engines.SEARCHED, point, strict=True))
    return dataclasses.replace(start, **values)
