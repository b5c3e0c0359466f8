"""Boundary IoU: IoU of the bands along the inside of each class's boundaries.

Cheng et al. 2021, Boundary IoU: Improving Object-Centric Image Segmentation Evaluation,
https://arxiv.org/abs/2103.16562, section 4. The band of a mask is the mask without its
erosion by d pixels with a square, d being 2 % of the image's diagonal; as in the
authors' code, d is rounded and at least 1, and the border of the image is a boundary.
"""

import math

import cv2
import numpy as np

from deeplab_tf.evaluation import metrics

RATIO = 0.02  # Of the diagonal.


class BoundaryIou:
    """Pixels of the bands of each class, image by image.

    Void pixels leave the truth and the prediction before the bands are taken: what is
    beside void ends there in both, so a prediction that is right wherever it counts
    has 1. Intersections and unions are summed over the images, and divided once, as
    those of the IoU; the paper leaves semantic segmentation of a data set open.

    Attributes:
        intersection: Pixels in the bands of truth and prediction, int64 `[C]`.
        union: Pixels in either, int64 `[C]`.

    Args:
        num_classes: C.
        ignore_label: Of void pixels, also where it is the id of a class.
    """

    def __init__(self, num_classes: int, ignore_label: int) -> None:
        self.intersection = np.zeros(num_classes, np.int64)
        self.union = np.zeros(num_classes, np.int64)
        self._ignore_label = ignore_label

    def add(self, label: np.ndarray, classes: np.ndarray) -> None:
        """Counts the pixels of an image.

        Args:
            label: True ids `[H, W]`, of classes or void.
            classes: Predicted ids `[H, W]`.
        """
        count = len(self.union)
        dtype = (
            np.uint8 if count < 256 else np.uint16
        )  # `count` itself stands for void.
        void = label == self._ignore_label
        truth, predicted = label.astype(dtype), classes.astype(dtype)
        truth[void] = predicted[void] = count
        width = distance(label.shape)
        true_band, band = within(truth, width), within(predicted, width)
        both = true_band & band & (truth == predicted)
        hits, of_truth, of_prediction = (
            np.bincount(ids[chosen], minlength=count + 1)[:count]
            for ids, chosen in ((truth, both), (truth, true_band), (predicted, band))
        )
        self.intersection += hits
        self.union += of_truth + of_prediction - hits

    @property
    def iou(self) -> np.ndarray:
        """Of each class, `[C]`; NaN for one that occurs nowhere."""
        return metrics.ratio(self.intersection, self.union)

    @property
    def miou(self) -> float:
        """Mean of the classes that occur or are predicted; NaN without one."""
        return metrics.mean_of_known(self.iou)


def distance(size: tuple[int, ...]) -> int:
    """Width d of the band, in pixels, for an image of height, width."""
    return max(1, round(RATIO * math.hypot(*size)))


def within(ids: np.ndarray, width: int) -> np.ndarray:
    """Pixels that lose their own class when all classes are eroded, bool `[H, W]`.

    Those for which another id, or the outside, is at most `width` pixels away in rows
    and in columns: where the least and the greatest id of the square around differ. So
    two passes serve all classes.

    Args:
        ids: uint8 or uint16 `[H, W]`.
        width: Of the band, in pixels.
    """
    square = np.ones((2 * width + 1,) * 2, np.uint8)
    # OpenCV leaves out what is outside of the image.
    band = cv2.erode(ids, square) != cv2.dilate(ids, square)
    band[:width] = band[-width:] = True
    band[:, :width] = band[:, -width:] = True
    return band
