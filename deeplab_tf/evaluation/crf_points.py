"""Scores of one image by point of the search; no network is loaded for it."""

import dataclasses
import itertools
from typing import Any

import numpy as np

from deeplab_tf.evaluation import metrics
from deeplab_tf.prediction import crf

Point = tuple[float, float, float]  # In the order of `crf.SEARCHED`.


def confusions(
    path: str,
    points: list[Point],
    ignore_label: int,
    *,
    start: crf.Parameters,
    engine: str,
    num_classes: int,
) -> np.ndarray:
    """Confusion matrices of an image by point, int64 `[P, C, C]`.

    Kernels depend on the ranges alone and serve every w1.
    """
    data = np.load(path)
    found = np.zeros((len(points), num_classes, num_classes), np.int64)
    label, image, scores = data["label"], data["image"], data["scores"]
    by_ranges = sorted(range(len(points)), key=lambda i: points[i][1:])
    for _, same in itertools.groupby(by_ranges, key=lambda i: points[i][1:]):
        kernels = None
        for i in same:
            parameters = at(start, points[i])
            kernels = kernels or crf.kernels(image, parameters, engine)
            refined = crf.infer(kernels, scores, parameters).argmax(axis=-1)
            found[i] = metrics.confusion_matrix(
                label, refined, num_classes, ignore_label
            )
    return found


def at(start: crf.Parameters, point: Point) -> crf.Parameters:
    """The parameters of a point; the others stay."""
    values: dict[str, Any] = dict(zip(crf.SEARCHED, point, strict=True))
    return dataclasses.replace(start, **values)
