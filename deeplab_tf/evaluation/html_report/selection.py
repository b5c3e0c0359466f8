"""The images that a report shows: chosen, and drawn, as they pass."""

import dataclasses

import numpy as np

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.evaluation import metrics
from deeplab_tf.evaluation.html_report import pictures
from deeplab_tf.evaluation.html_report.pictures import Picture
from deeplab_tf.evaluation.html_report.top import Top
from deeplab_tf.evaluation.image_counts import ImageCounts, ImageScores
from deeplab_tf.prediction.predictions import Prediction

_WORST, _BEST = 12, 6  # Of all images.
_FEW_CLASSES = 32  # Up to so many classes have more, and larger, pictures.
_LEAST = 0.01  # Share of an image's pixels that a class needs to be judged by it.


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ShownImage:
    """An image of the report.

    Attributes:
        number: Of the image in the split, from 0.
        counts: Of its pixels.
        scores: By itself.
        picture: Of it.
    """

    number: int
    counts: ImageCounts
    scores: ImageScores
    picture: Picture

    def iou(self, label: int, num_classes: int) -> float:
        """IoU of a class in it; NaN where that is not there."""
        return float(metrics.class_iou(self.counts.matrix(num_classes))[label])


class ImageSelection:
    """The worst and the best images, of all and for each class: an observer.

    Memory is flat: only the pictures of those that are the worst or the best so far
    are kept. The worst have the largest share of wrong pixels, the best the highest
    mIoU; for a class, the IoU of it counts, in images of which it has, in truth or in
    prediction, a hundredth.
    """

    def __init__(self, spec: DatasetSpec) -> None:
        few = spec.num_classes <= _FEW_CLASSES
        self.side = 256 if few else 160
        self._spec = spec
        self._number = 0
        self._worst, self._best = Top[ShownImage](_WORST), Top[ShownImage](_BEST)
        most = (2, 1) if few else (1, 0)
        self._by_class = [
            (Top[ShownImage](most[0]), Top[ShownImage](most[1]))
            for _ in range(spec.num_classes)
        ]

    def __call__(
        self, prediction: Prediction, classes: np.ndarray, counts: ImageCounts
    ) -> None:
        """Looks at a prediction; its final classes are in place of its own."""
        number, self._number = self._number, self._number + 1
        scores = counts.scores(self._spec.num_classes)
        if np.isnan(scores.miou):
            return
        places = [
            (top, score)
            for top, score in self._rank(counts, scores)
            if top.takes(score)
        ]
        if not places:
            return
        final = dataclasses.replace(prediction, classes=classes)
        shown = ShownImage(
            number=number,
            counts=counts,
            scores=scores,
            picture=pictures.draw(final, self._spec, side=self.side),
        )
        for top, score in places:
            top.put(score, shown)

    def _rank(
        self, counts: ImageCounts, scores: ImageScores
    ) -> list[tuple[Top[ShownImage], tuple[float, float]]]:
        """Where an image may have a place, and by which score."""
        matrix = counts.matrix(self._spec.num_classes)
        iou, truth = metrics.class_iou(matrix), matrix.sum(axis=1)
        union = truth + matrix.sum(axis=0) - np.diag(matrix)
        ranks = [
            (self._worst, (scores.share_wrong, 0.0)),
            (self._best, (scores.miou, -scores.share_wrong)),
        ]
        for i in np.flatnonzero(union >= max(1, _LEAST * matrix.sum())):
            worst, best = self._by_class[i]
            ranks.append((worst, (-iou[i], float(union[i]))))
            if truth[i]:
                ranks.append((best, (iou[i], float(union[i]))))
        return ranks

    @property
    def worst(self) -> list[ShownImage]:
        """Those with the largest share of wrong pixels; of none that is all right."""
        return [each for each in self._worst.ranked() if each.scores.share_wrong > 0]

    @property
    def best(self) -> list[ShownImage]:
        """Those with the highest mIoU that are not among the worst."""
        worst = {each.number for each in self.worst}
        return [each for each in self._best.ranked() if each.number not in worst]

    def of_class(self, label: int) -> tuple[list[ShownImage], list[ShownImage]]:
        """The worst and the best for a class; none is both."""
        worst, best = (top.ranked() for top in self._by_class[label])
        first = [each for each in worst if each.iou(label, self._spec.num_classes) < 1]
        numbers = {each.number for each in first}
        return first, [each for each in best if each.number not in numbers]
