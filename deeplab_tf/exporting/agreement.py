"""How far an export agrees with its network, and whether that is enough."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import metrics
from deeplab_tf.exporting.function import LOGITS
from deeplab_tf.exporting.saved_model import CLASSES, PROBABILITIES
from deeplab_tf.prediction.predictions import Prediction

# By precision: the mean share of equal pixels below which an export has failed.
THRESHOLDS = {"none": 0.999, "float16": 0.99, "dynamic": 0.99, "int8": 0.97}
# By precision: what it changes of a probability, where nothing is wrong.
_ROUNDING = {"none": 1e-4, "float16": 2e-3, "dynamic": 0.01, "int8": 0.02}
_MAX_GAP = 0.01  # Between two probabilities in float32.
_MAX_LOSS = 0.02  # Of mIoU, in int8.


class Agreement:
    """Pixels that an export and its network predict alike, picture by picture.

    Args:
        quantize: Precision of the export.
        num_classes: Of the network.
        ignore_label: Of the labels.
    """

    def __init__(self, quantize: str, num_classes: int, ignore_label: int) -> None:
        self.quantize, self._ignore = quantize, ignore_label
        self.equal: list[float] = []  # Shares, by picture.
        self._decided = self._equal_decided = self._pixels = 0
        self._largest, self._mean_gaps = 0.0, list[float]()
        self._by_network, self._by_export = (
            np.zeros((num_classes, num_classes), np.int64) for _ in range(2)
        )

    def add(self, outputs: Mapping[str, Any], expected: Prediction) -> None:
        """Compares one picture.

        Args:
            outputs: What the export gives of it, by name, `[1, H, W]` and `[1, H, W,
                C]`.
            expected: Of the network, with probabilities.
        """
        probabilities = expected.probabilities
        assert probabilities is not None
        equal = classes_of(outputs) == expected.classes
        is_decided = _margins(probabilities) > _ROUNDING[self.quantize]
        self.equal.append(float(equal.mean()))
        self._pixels += equal.size
        self._decided += int(is_decided.sum())
        self._equal_decided += int((equal & is_decided).sum())
        if PROBABILITIES in outputs:
            gaps = np.abs(np.asarray(outputs[PROBABILITIES])[0] - probabilities)
            gaps = np.nan_to_num(gaps, nan=1.0)  # What is no number differs wholly.
            self._largest = max(self._largest, float(gaps.max()))
            self._mean_gaps.append(float(gaps.mean()))

    def add_label(
        self, label: np.ndarray, by_network: np.ndarray, by_export: np.ndarray
    ) -> None:
        """Counts the classes of a picture by its label, all `[H, W]`."""
        for matrix, classes in (
            (self._by_network, by_network),
            (self._by_export, by_export),
        ):
            matrix += metrics.confusion_matrix(
                label, classes, len(matrix), self._ignore
            )

    @property
    def mean(self) -> float:
        """Share of equal pixels, of the mean picture."""
        return float(np.mean(self.equal))

    @property
    def undecided(self) -> float:
        """Share of pixels whose two likeliest classes differ by rounding alone."""
        return 1 - self._decided / self._pixels

    @property
    def mious(self) -> tuple[float, float] | None:
        """Of the network and of the export, where there were labels."""
        if not self._by_network.any():
            return None
        return metrics.mean_iou(self._by_network), metrics.mean_iou(self._by_export)

    def describe(self) -> dict[str, Any]:
        """What the report says."""
        return {
            "equal_pixels": {"mean": self.mean, "worst": min(self.equal)},
            "equal_pixels_needed": THRESHOLDS[self.quantize],
            "undecided_pixels": self.undecided,
            "probabilities": {
                "largest_difference": self._largest,
                "mean_difference": float(np.mean(self._mean_gaps)),
            }
            if self._mean_gaps
            else None,
            "miou": dict(zip(("network", "export"), self.mious, strict=True))
            if self.mious
            else None,
        }

    def check(self, minimum: float | None = None) -> None:
        """Raises where an export is not what its network is; warns where that is asked.

        Args:
            minimum: Share of equal pixels that is enough.

        Raises:
            InputError: Says by how much they differ.
        """
        failure = self._failure(THRESHOLDS[self.quantize])
        if failure and minimum is None and self._is_rounding():
            logging.warning(
                "the network's own rounding decides %.1f %% of the pixels, as random "
                "weights do: there its two likeliest classes are equally likely. %.2f "
                "%% of all pixels are equal, and %.2f %% of those that are decided",
                100 * self.undecided,
                100 * self.mean,
                100 * self._equal_decided / max(1, self._decided),
            )
            return
        if minimum is not None:
            if failure and self.mean >= minimum:
                logging.warning("%s; --min_agreement=%g takes it", failure, minimum)
                return
            failure = failure or self._failure(minimum)
        if failure:
            raise InputError(f"{failure}; nothing was written")

    def _failure(self, threshold: float) -> str:
        """What is not as it should be; empty where all is well."""
        mious, is_float = self.mious, self.quantize == "none"
        loss = mious[0] - mious[1] if mious else 0.0
        if self.mean < threshold or (is_float and self._largest > _MAX_GAP):
            return (
                f"the export differs from the network: {self.mean:.2%} of the pixels "
                f"are equal ({threshold:.1%} is needed), probabilities differ by up to "
                f"{self._largest:.2g}"
            )
        if self.quantize == "int8" and loss > _MAX_LOSS:
            return (
                f"the export loses {loss:.3f} of mIoU against the network "
                f"({_MAX_LOSS:g} is allowed); calibrate it on other pictures"
            )
        return ""

    def _is_rounding(self) -> bool:
        """Whether those pixels explain it, whose classes differ by rounding alone."""
        threshold = THRESHOLDS[self.quantize]
        if self.quantize == "none" and self._largest > _MAX_GAP:
            return False
        return (
            self.undecided > 1 - threshold
            and self._equal_decided >= threshold * self._decided
        )


def _margins(probabilities: np.ndarray) -> np.ndarray:
    """By how much the likeliest class is likelier than the next one, `[H, W]`."""
    likeliest = probabilities.argmax(axis=-1)[..., np.newaxis]
    others = probabilities.copy()
    np.put_along_axis(others, likeliest, 0, axis=-1)
    first = np.take_along_axis(probabilities, likeliest, axis=-1)[..., 0]
    return first - others.max(axis=-1)


def classes_of(outputs: Mapping[str, Any]) -> np.ndarray:
    """Class ids of the first picture, int `[H, W]`, of whatever outputs there are."""
    if CLASSES in outputs:
        return np.asarray(outputs[CLASSES])[0]
    scores = outputs[PROBABILITIES] if PROBABILITIES in outputs else outputs[LOGITS]
    return np.argmax(np.asarray(scores)[0], axis=-1)
