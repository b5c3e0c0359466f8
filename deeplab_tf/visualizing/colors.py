"""Colors of classes that the eye tells apart, measured in CIELAB."""

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from deeplab_tf.data.image_files import IGNORED
from deeplab_tf.data.spec import Color

# In CIELAB, where 2.3 is just noticed: the first that all classes can keep is taken.
_DISTANCES = (30.0, 25.0, 20.0, 16.0, 13.0, 10.0)
_BLACK: Color = (0, 0, 0)  # A background's, which overlays leave as it is.


def lab(colors: Sequence[Color]) -> np.ndarray:
    """CIELAB of sRGB colors (D65), float32 `[N, 3]`: L in 0...100, a and b."""
    rgb = np.array(colors, np.float32).reshape(1, -1, 3) / 255
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0]


def least_distance(palette: Sequence[Color]) -> float:
    """CIE76 distance of the two nearest of the palette and `IGNORED`."""
    values = lab([*palette, IGNORED])
    gaps = np.linalg.norm(values[:, np.newaxis] - values, axis=-1)
    return float(gaps[np.triu_indices(len(values), 1)].min())


@functools.cache
def contrast(palette: tuple[Color, ...]) -> tuple[Color, ...]:
    """The palette, with each color moved that is too near to an earlier one.

    Any two colors, that of what is ignored among them, are apart in CIELAB by at least
    30 up to 32 classes, 25 up to 64, 16 up to 151 and 13 up to 256: a color stays if it
    can, or else the nearest that is far enough takes its place. A black background
    stays black, and no other class comes near to that.
    """
    for distance in _DISTANCES:
        if colors := _move_apart(palette, distance):
            return colors
    return palette


def _move_apart(palette: Sequence[Color], distance: float) -> tuple[Color, ...]:
    """Empty where a class finds no place."""
    levels = range(0, 256, 15)
    grid = [(r, g, b) for r in levels for g in levels for b in levels]
    candidates = [*palette, *grid]
    places = lab(candidates)
    gaps = np.full(len(candidates), np.inf)  # To the nearest that is taken.

    def take(place: np.ndarray) -> None:
        np.minimum(gaps, np.linalg.norm(places - place, axis=-1), out=gaps)

    for place in lab([IGNORED, _BLACK]):
        take(place)
    colors: list[Color] = []
    for label, color in enumerate(palette):
        if color == _BLACK and _BLACK not in colors:
            colors.append(color)
            continue
        # Its own color is the nearest to itself.
        away = np.linalg.norm(places - places[label], axis=-1)
        best = int(np.where(gaps >= distance, away, np.inf).argmin())
        if gaps[best] < distance:
            return ()
        colors.append(candidates[best])
        take(places[best])
    return tuple(colors)
