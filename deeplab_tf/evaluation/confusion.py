"""What is counted over a split: all pixels, and those of each trimap."""

from collections.abc import Sequence

import numpy as np

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import metrics, trimap
from deeplab_tf.prediction.predictions import Predicted


class Counts:
    """Pixels by true and predicted class, image by image.

    Attributes:
        spec: Of the data set.
        confusion: Of all pixels, int64 `[C, C]`.
        bands: By width of the trimap, the same of its pixels.
        num_images: How many were added.
    """

    def __init__(self, spec: DatasetSpec, widths: Sequence[int] = ()) -> None:
        self.spec = spec
        self.confusion = _none(spec)
        self.bands = {width: _none(spec) for width in widths}
        self.num_images = 0

    def add(self, found: Predicted, classes: np.ndarray) -> None:
        """Counts an image whose pixels are taken to be `classes`, `[H, W]`.

        Raises:
            InputError: The label is of other classes.
        """
        name, label = found.name, found.label
        self.confusion += self._confusion(name, label, classes)
        self.num_images += 1
        if self.bands:
            distances = trimap.distance(label)
        for width, confusion in self.bands.items():
            near = trimap.within(label, distances, width, self.spec.ignore_label)
            confusion += self._confusion(name, near, classes)

    def _confusion(
        self, name: str, label: np.ndarray, classes: np.ndarray
    ) -> np.ndarray:
        try:
            return metrics.confusion_matrix(
                label, classes, self.spec.num_classes, self.spec.ignore_label
            )
        except ValueError as error:
            raise InputError(f"label of {name}: {error}") from None


def _none(spec: DatasetSpec) -> np.ndarray:
    return np.zeros((spec.num_classes, spec.num_classes), np.int64)
