"""Drawing: polygons, discs and lines -> masks of class ids.

Coordinates are in pixels, x to the right and y down; the pixel in row i and column j
is the square from (j, i) to (j + 1, i + 1). A shape is the pixels whose centers lie
inside: so its area is that of its outline, and two that share an edge leave no gap and
do not overlap.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from deeplab_tf.data.open_image import MAX_PIXELS

Size = tuple[int, int]  # Height, width.
_FARTHEST = 1e6  # Pixels; no image is so large.


class NoPixels(Exception):
    """Why a shape covers no pixel, as "which have too few points"."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Region:
    """Some pixels of a mask.

    Attributes:
        top: First row of a window.
        left: First column of it.
        inside: Which of its pixels, bool `[h, w]`.
    """

    top: int
    left: int
    inside: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the window."""
        height, width = self.inside.shape
        return (
            slice(self.top, self.top + height),
            slice(self.left, self.left + width),
        )


class Canvas:
    """A mask on which regions are painted; the later one lies on top.

    Attributes:
        overlaps: Pixels that were painted over with another id.
    """

    def __init__(self, size: Size) -> None:
        self._ids = np.full(size, -1, np.int32)
        self.overlaps = 0

    def paint(self, region: Region, label: int) -> None:
        """Gives the pixels of a region an id."""
        window = self._ids[region.window]
        hidden = region.inside & (window >= 0) & (window != label)
        self.overlaps += int(hidden.sum())
        window[region.inside] = label

    def ids(self, uncovered: int) -> np.ndarray:
        """The mask, uint8 `[H, W]`; `uncovered` where nothing was painted."""
        return np.where(self._ids < 0, uncovered, self._ids).astype(np.uint8)


def draw(outline: Callable[[], Region], points: np.ndarray, fewest: int) -> Region:
    """The pixels of a shape.

    Args:
        outline: Gives them.
        points: Of the shape, `[N, 2]`.
        fewest: How many it needs.

    Raises:
        NoPixels: It has none.
    """
    if len(points) < fewest:
        raise NoPixels("which have too few points")
    if not (np.abs(points) < _FARTHEST).all():
        raise NoPixels("whose coordinates are no places")
    region = outline()
    if not region.inside.any():
        raise NoPixels("which lie outside or cover no pixel")
    return region


def to_points(values: Any) -> np.ndarray:
    """Pairs of numbers as an array `[N, 2]`.

    Raises:
        ValueError: They are none.
    """
    try:
        return np.array(values, float).reshape(len(values), 2)
    except (ValueError, TypeError):
        raise ValueError("points that are not pairs of numbers") from None


def to_size(height: Any, width: Any) -> Size:
    """Height and width of an image.

    Raises:
        ValueError: They are none.
    """
    sides = (height, width)
    if not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"an image of height {height} and width {width}")
    if height * width > MAX_PIXELS:
        raise ValueError(f"an image of {width}x{height} pixels: more than {MAX_PIXELS}")
    return height, width


def polygon(points: np.ndarray, size: Size) -> Region:
    """The inside of a closed outline, by the even-odd rule.

    Args:
        points: Corners, x and y, `[N, 2]`.
        size: Of the mask.
    """
    top, left, height, width = _window(points, 0, size)
    flips = np.zeros((height, width + 1), bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        low, high = _centers(min(y0, y1), max(y0, y1))
        rows = np.arange(max(low - top, 0), min(high - top, height))
        if not rows.size:
            continue
        crossings = x0 + (rows + top + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        columns = np.ceil(crossings - 0.5).clip(left, left + width).astype(int) - left
        flips[rows, columns] ^= True
    inside = np.logical_xor.accumulate(flips, axis=1)[:, :width]
    return Region(top=top, left=left, inside=inside)


def disc(center: np.ndarray, radius: float, size: Size) -> Region:
    """A disc; center is x and y, `[2]`."""
    return discs(center[np.newaxis], radius, size)


def discs(centers: np.ndarray, radius: float, size: Size) -> Region:
    """Discs of one radius; centers are x and y, `[N, 2]`."""
    return _thicken(centers, centers, radius, size)


def line(points: np.ndarray, width: float, size: Size) -> Region:
    """A line from point to point, `[N, 2]`, with round ends; width in pixels."""
    return _thicken(points[:-1], points[1:], width / 2, size)


def rectangle(corners: np.ndarray, size: Size) -> Region:
    """A rectangle along the axes, by two opposite corners, `[2, 2]`."""
    (x0, y0), (x1, y1) = corners
    return polygon(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]), size)


def ellipse(
    center: Sequence[float], radii: Sequence[float], degrees: float, size: Size
) -> Region:
    """An ellipse; its first axis is turned clockwise from x by an angle in degrees."""
    middle = np.array(center, float)
    top, left, height, width = _window(middle[np.newaxis], max(radii), size)
    y = top + np.arange(height)[:, np.newaxis] + 0.5 - middle[1]
    x = left + np.arange(width) + 0.5 - middle[0]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = (x * cos + y * sin) / radii[0], (y * cos - x * sin) / radii[1]
    return Region(top=top, left=left, inside=first**2 + second**2 <= 1)


def clip(inside: np.ndarray, top: int, left: int, size: Size) -> Region:
    """What of a small mask lies in the image, when laid at a place."""
    above, before = max(0, -top), max(0, -left)
    rows, columns = max(0, size[0] - top), max(0, size[1] - left)
    return Region(
        top=max(0, top), left=max(0, left), inside=inside[above:rows, before:columns]
    )


def _thicken(starts: np.ndarray, ends: np.ndarray, radius: float, size: Size) -> Region:
    """What is near to segments, `[N, 2]` each: at most `radius` away."""
    top, left, height, width = _window(np.concatenate([starts, ends]), radius, size)
    y = top + np.arange(height)[:, np.newaxis] + 0.5
    x = left + np.arange(width) + 0.5
    inside = np.zeros((height, width), bool)
    for (x0, y0), (x1, y1) in zip(starts, ends, strict=True):
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / (length or 1)
        along = np.clip(along, 0, 1)
        away = (x - x0 - along * (x1 - x0)) ** 2 + (y - y0 - along * (y1 - y0)) ** 2
        inside |= away <= radius**2
    return Region(top=top, left=left, inside=inside)


def _window(points: np.ndarray, margin: float, size: Size) -> tuple[int, int, int, int]:
    """Top, left, height and width of what has all points and a margin around them."""
    (left, top), (right, bottom) = points.min(0) - margin, points.max(0) + margin
    edges = [
        int(np.clip(edge, 0, side))
        for edge, side in (
            (np.floor(top), size[0]),
            (np.floor(left), size[1]),
            (np.ceil(bottom), size[0]),
            (np.ceil(right), size[1]),
        )
    ]
    return edges[0], edges[1], edges[2] - edges[0], edges[3] - edges[1]


def _centers(low: float, high: float) -> tuple[int, int]:
    """The first row whose center is not above `low`, and the first not above `high`."""
    return int(np.ceil(low - 0.5)), int(np.ceil(high - 0.5))
