"""Likely label errors: images where a network is sure of something else than the label.

A region is where one class is labeled and another is predicted. Its score has three
parts in 0...1: how sure the network is that it is the one rather than the other, by
their mean probabilities p and q, as (p - q) / (p + q); the share that the region has of
the object that is labeled, or of that which is predicted, whichever is larger; and its
size, as the root of its pixels over a hundredth of the image's, at most 1. So a whole
object that is surely of another class has 1. Where a network takes one class for
another, as it often does, the labeled one is still its second guess; where the label is
wrong, it is not. Regions that are thin, as along boundaries, do not count.

That a low probability of the given label tells label errors: Northcutt et al. 2021,
Confident Learning, https://arxiv.org/abs/1911.00068, section 3.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.evaluation.html_report import pictures
from deeplab_tf.evaluation.html_report.pictures import Picture
from deeplab_tf.evaluation.html_report.top import Top
from deeplab_tf.evaluation.image_counts import ImageCounts
from deeplab_tf.prediction.predictions import Prediction

FILE = "label_errors.csv"
_COLUMNS = (
    *("name", "score", "label", "predicted", "certainty", "pixels"),
    *("left", "top", "right", "bottom"),
)
_PICTURED = 24
_WHOLE = 0.01  # Share of the image from which on a region's size says no more.
_LEAST = 0.1  # Score from which on an image is listed.
_LONGEST = 1024  # Pixels of a side; of larger images, every second, third, ... counts.
_BAND = 0.005  # Of the diagonal: half the thickness that a region needs, at least
_THINNEST = 2  # so many pixels.


class Contradiction(NamedTuple):
    """A region where a network contradicts the label.

    Attributes:
        score: In 0...1.
        label: Id that is labeled.
        predicted: Id that is predicted.
        certainty: 0 where both classes are as likely, 1 where the labeled one is not.
        pixels: How many.
        box: Left, top, right, bottom in pixels; the latter two are not in it.
    """

    score: float
    label: int
    predicted: int
    certainty: float
    pixels: int
    box: tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LabelError:
    """An image whose label is likely wrong.

    Attributes:
        name: Of the image.
        worst: Its region with the highest score.
        picture: Of it, if it is among the first.
    """

    name: str
    worst: Contradiction
    picture: Picture | None = None


class LabelErrors:
    """The images in which confident predictions contradict the label: an observer.

    It needs predictions with their probabilities. Of each image a line is kept, and
    pictures of the first few.
    """

    def __init__(self, spec: DatasetSpec, *, side: int) -> None:
        self._spec, self._side = spec, side
        self._all: list[LabelError] = []
        self._top = Top[LabelError](_PICTURED)

    def __call__(
        self, prediction: Prediction, classes: np.ndarray, counts: ImageCounts
    ) -> None:
        """Looks at a prediction; its final classes are in place of its own."""
        label, probabilities = prediction.label, prediction.probabilities
        assert label is not None
        assert probabilities is not None
        worst, region = find(label, classes, probabilities, self._spec.ignore_label)
        if worst is None:
            return
        error = LabelError(name=counts.name, worst=worst)
        self._all.append(error)
        if self._top.takes(worst.score):
            final = dataclasses.replace(prediction, classes=classes)
            picture = pictures.draw_region(final, region, self._spec, side=self._side)
            self._top.put(worst.score, dataclasses.replace(error, picture=picture))

    def ranked(self) -> list[LabelError]:
        """All, the highest score first."""
        return sorted(self._all, key=lambda error: -error.worst.score)

    def pictured(self) -> list[LabelError]:
        """The first few, with their pictures."""
        return self._top.ranked()

    def table(self) -> str:
        """What `label_errors.csv` holds."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for error in self.ranked():
            score, label, predicted, certainty, pixels, box = error.worst
            names = self._spec.classes[label], self._spec.classes[predicted]
            numbers = f"{score:.4f}", *names, f"{certainty:.4f}", pixels
            writer.writerow((error.name, *numbers, *box))
        return stream.getvalue()


def find(
    label: np.ndarray,
    classes: np.ndarray,
    probabilities: np.ndarray,
    ignore_label: int,
) -> tuple[Contradiction | None, np.ndarray]:
    """The region where the label is contradicted the most, and its pixels.

    Args:
        label: True ids, `[H, W]`.
        classes: Predicted ids, `[H, W]`.
        probabilities: Of all classes, 0...1, `[H, W, C]`.
        ignore_label: Of pixels that do not count.

    Returns:
        The region, or None; and which pixels it has, bool `[h, w]`: of an image with a
        side above 1,024 pixels, only of every second one, or third, ....
    """
    step = math.ceil(max(label.shape) / _LONGEST)
    label, classes, probabilities = (
        each[::step, ::step] for each in (label, classes, probabilities)
    )
    best, region = None, np.zeros(label.shape, bool)
    objects = _Objects(label, classes)
    for of_label, predicted, mask in _regions(label, classes, ignore_label):
        p, q = (
            float(probabilities[..., i][mask].mean()) for i in (predicted, of_label)
        )
        certain, pixels = (p - q) / (p + q), int(mask.sum())
        largest = certain * min(1.0, math.sqrt(pixels / (_WHOLE * mask.size)))
        if largest < max(_LEAST, best.score if best else 0.0):
            continue
        score = largest * objects.share(mask, of_label, predicted)
        if score < _LEAST or (best and score <= best.score):
            continue
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        best, region = (
            Contradiction(
                score=score,
                label=of_label,
                predicted=predicted,
                certainty=certain,
                pixels=pixels * step**2,
                box=(
                    int(columns[0]) * step,
                    int(rows[0]) * step,
                    int(columns[-1] + 1) * step,
                    int(rows[-1] + 1) * step,
                ),
            ),
            mask,
        )
    return best, region


def _regions(
    label: np.ndarray, classes: np.ndarray, ignore_label: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields label, prediction and pixels of each region that is thick enough."""
    wrong = (label != classes) & (label != ignore_label)
    band = max(_THINNEST, round(_BAND * math.hypot(*label.shape)))
    square = np.ones((2 * band + 1,) * 2, np.uint8)
    if not cv2.erode(wrong.astype(np.uint8), square).any():
        return
    pairs = 256 * label[wrong].astype(np.int64) + classes[wrong]
    for pair in np.flatnonzero(np.bincount(pairs) >= square.size):
        of_label, predicted = divmod(int(pair), 256)
        mask = ((label == of_label) & (classes == predicted)).astype(np.uint8)
        core = cv2.erode(mask, square)
        if not core.any():
            continue
        parts = cv2.connectedComponents(mask)[1]
        for part in np.unique(parts[core > 0]):
            yield of_label, predicted, parts == part


class _Objects:
    """Connected pixels of one class in the label and in the prediction."""

    def __init__(self, label: np.ndarray, classes: np.ndarray) -> None:
        self._maps = label, classes
        self._parts: dict[tuple[int, int], np.ndarray] = {}

    def share(self, region: np.ndarray, of_label: int, predicted: int) -> float:
        """Share of a region in the smaller of the two objects that it is a part of."""
        place = tuple(np.argwhere(region)[0])
        sizes = []
        for which, label in enumerate((of_label, predicted)):
            parts = self._components(which, label)
            sizes.append(int(np.sum(parts == parts[place])))
        return int(region.sum()) / min(sizes)

    def _components(self, which: int, label: int) -> np.ndarray:
        if (which, label) not in self._parts:
            mask = (self._maps[which] == label).astype(np.uint8)
            self._parts[which, label] = cv2.connectedComponents(mask)[1]
        return self._parts[which, label]
