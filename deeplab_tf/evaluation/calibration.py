"""Calibration: whether a network that says 90 % is right in nine of ten pixels.

Confidence is the probability of the class that is predicted. The reliability curve and
the expected calibration error (ECE): Guo et al. 2017, On Calibration of Modern Neural
Networks, https://arxiv.org/abs/1706.04599, section 2; the risk-coverage curve: Geifman
and El-Yaniv 2017, https://arxiv.org/abs/1705.08500, and the area below it: Geifman et
al. 2019, https://arxiv.org/abs/1805.08206. All are computed from histograms of fixed
size, image by image.
"""

from typing import Any

import numpy as np

from deeplab_tf.evaluation import metrics

BINS = 15  # Of the reliability curve, of equal width: (0, 1/15], ..., (14/15, 1].
_COVERAGES = 20  # Points of the curve that are told.
# Bins of the doubt, 1 - confidence: 128 for each halving down to 2^-24, the last that
# float32 tells from none, and one for none. Their number is that of the upper half of a
# float32, counted from the one below 2^-24.
_NONE = ((127 - 24) << 7) - 1
_DOUBTS = (127 << 7) - _NONE + 1
_BLOCK = 1 << 15  # Pixels that are counted at a time.


class Calibration:
    """Pixels by confidence, and how many of them are right.

    Args:
        ignore_label: Of pixels that do not count.
    """

    def __init__(self, ignore_label: int) -> None:
        # Of each bin, wrong and right ones, and sums of their confidence.
        self._pixels = np.zeros((BINS, 2), np.int64)
        self._sums = np.zeros((BINS, 2))
        self._doubts = np.zeros((_DOUBTS, 2), np.int64)
        self._ignore_label = ignore_label

    def add(
        self, label: np.ndarray, classes: np.ndarray, confidence: np.ndarray
    ) -> None:
        """Counts the pixels of an image.

        Args:
            label: True ids `[H, W]`.
            classes: Predicted ids `[H, W]`.
            confidence: Probability of the predicted class, float32 `[H, W]`, 0...1.
        """
        # Memory that is used again is faster than new memory.
        step = max(1, _BLOCK // label.shape[-1])
        for i in range(0, len(label), step):
            rows = np.s_[i : i + step]
            self._add_block(label[rows], classes[rows], confidence[rows])

    def _add_block(
        self, label: np.ndarray, classes: np.ndarray, confidence: np.ndarray
    ) -> None:
        kept, right = label != self._ignore_label, label == classes
        kind = (kept * (1 + right.view(np.uint8))).reshape(-1)  # Void, wrong, right.
        sure = np.minimum(confidence.reshape(-1), np.float32(1))  # Sums stray above 1.
        # Products with 15 are exact in float64, so that no bin takes its neighbor's.
        exact = sure.astype(np.float64)
        bins = 3 * np.maximum(np.ceil(exact * BINS).astype(np.intp) - 1, 0) + kind
        doubts = np.maximum((1 - sure).view(np.int32) >> 16, _NONE) - _NONE
        self._pixels += _histogram(bins, BINS)
        self._sums += _histogram(bins, BINS, exact)
        self._doubts += _histogram(3 * doubts + kind, _DOUBTS)

    @property
    def pixels(self) -> np.ndarray:
        """Of each bin of the confidence, int64 `[15]`."""
        return self._pixels.sum(axis=1)

    @property
    def right(self) -> np.ndarray:
        """Those of each bin that are right, int64 `[15]`."""
        return self._pixels[:, 1]

    @property
    def confidence(self) -> np.ndarray:
        """Mean confidence of each bin, float64 `[15]`; NaN of an empty one."""
        return metrics.ratio(self._sums.sum(axis=1), self.pixels)

    @property
    def accuracy(self) -> np.ndarray:
        """Share of each bin's pixels that are right, `[15]`; NaN of an empty one."""
        return metrics.ratio(self.right, self.pixels)

    @property
    def ece(self) -> float:
        """Expected calibration error: mean over the pixels of their bin's error."""
        gaps = np.abs(self.right - self._sums.sum(axis=1))
        return float(metrics.ratio(gaps.sum(), self.pixels.sum()))

    @property
    def risk_coverage(self) -> tuple[np.ndarray, np.ndarray]:
        """Share of the pixels that are kept, the surest first, and of those the wrong.

        Of the ends of all bins that are not empty, float64 `[n]` each, coverage
        ascending to 1. Pixels of a bin, which differ by less than 1 % in their doubt,
        are as one.
        """
        filled = self._doubts[self._doubts.any(axis=1)]
        wrong, kept = np.cumsum(filled[:, 0]), np.cumsum(filled.sum(axis=1))
        return kept / max(kept[-1:].sum(), 1), metrics.ratio(wrong, kept)

    @property
    def area(self) -> float:
        """Area below the risk-coverage curve: risk, on the mean over all coverages."""
        coverage, risk = self.risk_coverage
        if not len(coverage):
            return float("nan")
        widths = np.diff(coverage, prepend=0.0)
        before = np.concatenate([risk[:1], risk[:-1]])
        return float(np.sum(widths * (risk + before) / 2))

    def summary(self) -> dict[str, Any]:
        """What `metrics.json` holds: the scores, the bins, and points of the curve."""
        coverage, risk = self.risk_coverage
        points = np.arange(1, _COVERAGES + 1) / _COVERAGES
        values = np.interp(points, coverage, risk) if len(coverage) else []
        return {
            "ece": metrics.number(self.ece),
            "risk_coverage_area": metrics.number(self.area),
            "bins": [
                {
                    "confidence": metrics.number(confidence),
                    "accuracy": metrics.number(accuracy),
                    "pixels": int(pixels),
                }
                for confidence, accuracy, pixels in zip(
                    self.confidence, self.accuracy, self.pixels, strict=True
                )
            ],
            "risk_coverage": [
                [float(point), float(value)]
                for point, value in zip(points, values, strict=False)
            ],
        }


def _histogram(
    places: np.ndarray, bins: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Sums of the wrong and of the right of each bin, `[bins, 2]`.

    Args:
        places: Of pixels: 3 times the bin, and 0 of void, 1 of wrong, 2 of right ones.
        bins: How many.
        weights: What is summed; by default the number of pixels.
    """
    sums = np.bincount(places, weights, minlength=3 * bins)
    return sums.reshape(bins, 3)[:, 1:]
