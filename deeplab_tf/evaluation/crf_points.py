"""Scores of one image by point of the search; no network is loaded for it."""

import dataclasses
from typing import Any

import numpy as np

from deeplab_tf.evaluation import metrics
from deeplab_tf.prediction import crf

Point = tuple[float, float, float]  # In the order of `crf.SEARCHED`.


def confusions(
    path: str,
    points: list[Point],
    *,
    start: crf.Parameters,
    engine: str,
    num_classes: int,
    ignore_label: int,
) -> np.ndarray:
    """Confusion matrices of an image by point, int64 `[P, C, C]`.

    Args:
        path: File of the image, its label and its logits.
        points: All of the same ranges.
        start: What stays as it is.
        engine: See `crf.find_engine`.
        num_classes: C.
        ignore_label: Of the data set.
    """
    data = np.load(path)
    label, scores = data["label"], data["scores"]
    kernels = crf.kernels(data["image"], at(start, points[0]), engine)
    refined = [crf.infer(kernels, scores, at(start, p)).argmax(-1) for p in points]
    return np.array(
        [
            metrics.confusion_matrix(label, classes, num_classes, ignore_label)
            for classes in refined
        ]
    )


def at(start: crf.Parameters, point: Point) -> crf.Parameters:
    """The parameters of a point; the others stay."""
    values: dict[str, Any] = dict(zip(crf.SEARCHED, point, strict=True))
    return dataclasses.replace(start, **values)
