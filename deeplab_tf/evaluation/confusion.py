"""The confusion matrix of a split: of all pixels, and of those of each trimap."""

from collections.abc import Sequence

import numpy as np

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import metrics, trimap
from deeplab_tf.prediction.predictions import Prediction


class Confusion:
    """Pixels by true and predicted class, image by image.

    Attributes:
        spec: Of the data set.
        matrix: Of all pixels, int64 `[C, C]`.
        trimaps: By width of the trimap, the same of its pixels.
        num_images: How many were added.
    """

    def __init__(self, spec: DatasetSpec, widths: Sequence[int] = ()) -> None:
        shape = (spec.num_classes, spec.num_classes)
        self.spec = spec
        self.matrix = np.zeros(shape, np.int64)
        self.trimaps = {width: np.zeros(shape, np.int64) for width in widths}
        self.num_images = 0

    def add(self, prediction: Prediction, classes: np.ndarray | None = None) -> None:
        """Counts the pixels of an image.

        Args:
            prediction: With a label.
            classes: Predicted ids `[H, W]` in place of its own.

        Raises:
            InputError: The label is of other classes.
        """
        label = prediction.label
        assert label is not None
        classes = prediction.classes if classes is None else classes
        self.matrix += self._count(prediction.name, label, classes)
        self.num_images += 1
        if self.trimaps:
            distances = trimap.distance(label)
        for width, matrix in self.trimaps.items():
            near = trimap.within(label, distances, width, self.spec.ignore_label)
            matrix += self._count(prediction.name, near, classes)

    def _count(self, name: str, label: np.ndarray, classes: np.ndarray) -> np.ndarray:
        try:
            return metrics.confusion_matrix(
                label, classes, self.spec.num_classes, self.spec.ignore_label
            )
        except ValueError as error:
            raise InputError(
                f"label of {name}: {error}; --validate_labels=full says what would do"
            ) from None
