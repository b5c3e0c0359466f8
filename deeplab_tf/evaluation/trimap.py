"""Trimap: the band around the boundaries of the truth, in which refinement shows.

Kohli et al. 2009; Krähenbühl and Koltun 2011, https://arxiv.org/abs/1210.5644; Chen et
al. 2015, https://arxiv.org/abs/1412.7062, who count pixels near void ones, which
surround the objects of PASCAL VOC. Here a pixel is in the band of width w if another
label, void or of another class, lies within w pixels of it, from center to center; so
data sets without void have a band, too. Void pixels themselves never count, and the
border of the image is no boundary.
"""

import cv2
import numpy as np


def distance(label: np.ndarray) -> np.ndarray:
    """Pixels to the nearest of another label, float32 `[H, W]`; inf without one."""
    distances = np.full(label.shape, np.inf, np.float32)
    values = np.unique(label)
    if len(values) < 2:
        return distances
    for value in values:
        own = label == value
        # OpenCV measures from each pixel that is not 0 to the nearest that is.
        to_others = cv2.distanceTransform(
            own.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        distances[own] = to_others[own]
    return distances


def within(
    label: np.ndarray, distances: np.ndarray, width: float, ignore_label: int
) -> np.ndarray:
    """The label, `ignore_label` where the nearest boundary is farther than `width`."""
    return np.where(distances <= width, label, ignore_label)
