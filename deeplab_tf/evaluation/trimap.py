"""Trimap: the band around the boundaries of the truth, in which refinement shows.

Kohli et al. 2009; Krähenbühl and Koltun 2011, https://arxiv.org/abs/1210.5644; Chen et
al. 2015, https://arxiv.org/abs/1412.7062, who count pixels near void ones, which
surround the objects of PASCAL VOC. Here a pixel is in the band of width w if another
label, void or of another class, lies within w pixels of it, from center to center; so
data sets without void have a band, too. Void pixels themselves never count, and the
border of the image is no boundary.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np


def distance(label: np.ndarray) -> np.ndarray:
    """Pixels to the nearest of another label, float32 `[H, W]`; inf without one."""
    distances = np.full(label.shape, np.inf, np.float32)
    values = np.unique(label)
    if len(values) < 2:
        return distances
    for value in values:
        own = (label == value).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(own)
        # The nearest of another label touches one of this label.
        window = np.s_[max(0, y - 1) : y + height + 1, max(0, x - 1) : x + width + 1]
        # OpenCV measures from each pixel that is not 0 to the nearest that is.
        to_others = cv2.distanceTransform(
            own[window], cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        np.copyto(distances[window], to_others, where=own[window] > 0)
    return distances


def rings(
    distances: np.ndarray, widths: Iterable[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each width, ascending, and what it adds to the band: bool `[H, W]`."""
    inner = 0
    for width in sorted(widths):
        yield width, (distances > inner) & (distances <= width)
        inner = width
