"""Small pictures of an image: what it is, should be, and is taken for."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.visualizing import drawing, thumbnails

_FINER = 2  # Pictures are drawn so many times as large, and then made smaller.
_OUTLINE = (255, 255, 255), (214, 0, 110)  # Around the outline, and itself.
_LEAST = 0.005  # Share of the pixels from which on a class is in the legend.


class Panel(NamedTuple):
    """A JPEG of some width and height, and what it shows."""

    title: str
    content: bytes
    size: tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """Panels of an image, and the ids of the classes that they show.

    Attributes:
        panels: From left to right.
        classes: True or predicted ids, ascending, of more than a trace.
    """

    panels: Sequence[Panel]
    classes: Sequence[int]


def draw(prediction: Prediction, spec: DatasetSpec, *, side: int) -> Picture:
    """Image, truth, prediction and errors.

    Args:
        prediction: With a label.
        spec: Of the classes.
        side: Pixels of the longer side of a panel, at most.
    """
    image, label, classes = _reduce(prediction, _FINER * side)
    ignored = label == spec.ignore_label
    panels = {
        "image": image,
        "truth": drawing.overlay(image, _hidden(label, spec), spec.palette),
        "prediction": drawing.overlay(image, classes, spec.palette),
        "errors": drawing.errors(image, classes, label, ignored),
    }
    return _picture(panels, label, classes, spec, side)


def draw_region(
    prediction: Prediction, region: np.ndarray, spec: DatasetSpec, *, side: int
) -> Picture:
    """Image, label and prediction, with a region outlined.

    Args:
        prediction: With a label.
        region: Its pixels, bool `[H, W]`.
        spec: Of the classes.
        side: Pixels of the longer side of a panel, at most.
    """
    image, label, classes = _reduce(prediction, _FINER * side)
    size = image.shape[1], image.shape[0]
    mask = cv2.resize(region.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    lines = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    panels = {
        "image": image,
        "label": drawing.overlay(image, _hidden(label, spec), spec.palette),
        "prediction": drawing.overlay(image, classes, spec.palette),
    }
    width = max(2, round(max(size) / side)) + 1
    for title, panel in panels.items():
        outlined = panel.copy()
        for color, more in zip(_OUTLINE, (3, 0), strict=True):
            cv2.drawContours(outlined, lines, -1, color, width + more)
        panels[title] = outlined
    return _picture(panels, label, classes, spec, side)


def _hidden(label: np.ndarray, spec: DatasetSpec) -> np.ndarray:
    """The label with pixels that do not count as what no class is."""
    return np.where(label == spec.ignore_label, 255, label)


def _reduce(
    prediction: Prediction, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, label and classes as large as they are drawn, and small ones larger.

    Lines are of some pixels, and would cover what is small.
    """
    assert prediction.label is not None
    image = np.asarray(thumbnails.shrink(prediction.image, side=side))
    factor = max(1, side // (2 * max(image.shape)) + 1)
    size = factor * image.shape[1], factor * image.shape[0]
    image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    label, classes = (
        cv2.resize(ids.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        for ids in (prediction.label, prediction.classes)
    )
    return image, label, classes


def _picture(
    panels: dict[str, np.ndarray],
    label: np.ndarray,
    classes: np.ndarray,
    spec: DatasetSpec,
    side: int,
) -> Picture:
    both = np.bincount(np.concatenate([label.ravel(), classes.ravel()]), minlength=256)
    shares = both[: spec.num_classes] / max(label.size, 1)
    shown = [int(i) for i in np.flatnonzero(shares >= _LEAST) if i != spec.ignore_label]
    drawn = []
    for title, pixels in panels.items():
        small = thumbnails.shrink(pixels, side=side)
        drawn.append(Panel(title, thumbnails.jpeg(small), small.size))
    return Picture(panels=drawn, classes=shown)
