"""Bootstrap over images: how far a score would move with other images of the kind.

Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13: images are
drawn with replacement, as many as there are, and scored anew; the percentiles of these
scores are the interval. Images are drawn, not pixels, since those of one are alike.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from deeplab_tf.evaluation import metrics
from deeplab_tf.evaluation.image_counts import ImageCounts

COUNT = 1000  # Resamples.
_BLOCK = 100  # Of them at a time, so that memory does not grow with their number.


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Intervals:
    """95 % intervals of scores, 0...1; NaN where a score is not defined.

    Attributes:
        miou: Lower and upper end.
        iou: Those of each class, `[C, 2]`.
    """

    miou: tuple[float, float]
    iou: np.ndarray


def resamples(
    num_images: int, *, count: int = COUNT, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yields, `count` times, how often each image counts: int64 `[N]`, of sum N."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        drawn = rng.integers(num_images, size=num_images)
        yield np.bincount(drawn, minlength=num_images)


def interval(
    values: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray] | tuple[float, float]:
    """Percentiles between which `level` of the values lie.

    Args:
        values: Of the resamples, `[count]`, or of each class, `[count, C]`. Those that
            are not defined (NaN) leave; without any other, so is the interval.
        level: Share of the values, 0...1.

    Returns:
        Lower and upper end: numbers, or `[C]` each.
    """
    shares = 100 * (1 - level) / 2, 100 * (1 + level) / 2
    if values.ndim == 1:
        low, high = _percentiles(values, shares)
        return float(low), float(high)
    ends = np.array([_percentiles(each, shares) for each in values.T]).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def intervals(
    images: Sequence[ImageCounts],
    num_classes: int,
    *,
    count: int = COUNT,
    seed: int = 0,
) -> Intervals:
    """Intervals of the mIoU and of each class.

    The mean is over the same classes as that of an evaluation, but for those that a
    resample lacks: they leave it.

    Args:
        images: Counts of each.
        num_classes: C.
        count: Resamples.
        seed: Of the draws: the same images give the same intervals.
    """
    iou = iou_of_resamples(images, num_classes, count=count, seed=seed)
    low, high = interval(mean_of_classes(iou))
    return Intervals(
        miou=(float(low), float(high)), iou=np.stack(interval(iou), axis=-1)
    )


def iou_of_resamples(
    images: Sequence[ImageCounts],
    num_classes: int,
    *,
    count: int = COUNT,
    seed: int = 0,
) -> np.ndarray:
    """IoU of each class in each resample, float64 `[count, C]`; NaN where undefined.

    So it is of a class that the images have and a resample lacks: what would be taken
    for it there would count 0, though it is no worse than among all images.
    """
    hits, missed, mistaken = _sums(images, num_classes)
    truth, union = hits + missed, hits + missed + mistaken
    occurs = truth.any(axis=0)
    draws = resamples(len(images), count=count, seed=seed)
    parts = []
    while block := list(itertools.islice(draws, _BLOCK)):
        # Products of floats are BLAS's; below 2^53 they are exact.
        times = np.array(block, float)
        lacking = occurs & (times @ truth == 0)
        parts.append(metrics.ratio(times @ hits, np.where(lacking, 0, times @ union)))
    return np.concatenate(parts)


def mean_of_classes(iou: np.ndarray) -> np.ndarray:
    """The mIoU of each resample, `[count]`; NaN where no class is defined.

    Args:
        iou: Of each class in each resample, `[count, C]`.
    """
    scored = ~np.isnan(iou)
    with np.errstate(invalid="ignore"):
        return np.where(scored, iou, 0).sum(axis=1) / scored.sum(axis=1)


def hits_and_union(
    images: Sequence[ImageCounts], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in the intersection and in the union of each class: float64 `[N, C]`."""
    hits, missed, mistaken = _sums(images, num_classes)
    return hits, hits + missed + mistaken


def _sums(
    images: Sequence[ImageCounts], num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of each class that are found, missed, and others': float64 `[N, C]`."""
    lengths = [len(each.pairs) for each in images]
    number = np.repeat(np.arange(len(images)), lengths)
    pairs = np.concatenate([np.zeros(0, np.int32), *(each.pairs for each in images)])
    pixels = np.concatenate([np.zeros(0, np.int64), *(each.pixels for each in images)])
    true, predicted = np.divmod(pairs, num_classes)
    right = true == predicted

    def by_class(ids: np.ndarray, of: np.ndarray) -> np.ndarray:
        """Pixels of each image and class, of the pairs `of`."""
        places = number[of] * num_classes + ids[of]
        size = len(images) * num_classes
        flat = np.bincount(places, weights=pixels[of], minlength=size)
        return flat.reshape(len(images), num_classes)

    return by_class(true, right), by_class(true, ~right), by_class(predicted, ~right)


def _percentiles(values: np.ndarray, shares: tuple[float, float]) -> np.ndarray:
    known = values[~np.isnan(values)]
    return np.percentile(known, shares) if known.size else np.full(2, np.nan)
