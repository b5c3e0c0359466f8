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

    def add(
        self, prediction: Prediction, classes: np.ndarray | None = None
    ) -> np.ndarray:
        """Counts the pixels of an image.

        Args:
            prediction: With a label.
            classes: Predicted ids `[H, W]` in place of its own.

        Returns:
            Its confusion matrix, int64 `[C, C]`.

        Raises:
            InputError: The label is of other classes.
        """
        label = prediction.label
        assert label is not None
        classes = prediction.classes if classes is None else classes
        matrix = self._count(prediction.name, label, classes)
        self.matrix += matrix
        self.num_images += 1
        if self.trimaps:
            self._add_trimaps(prediction.name, label, classes)
        return matrix

    def _add_trimaps(self, name: str, label: np.ndarray, classes: np.ndarray) -> None:
        """Counts each pixel once: a band is the one before it, and a ring."""
        band = np.zeros_like(self.matrix)
        for width, ring in trimap.rings(trimap.distance(label), self.trimaps):
            band += self._count(name, label[ring], classes[ring])
            self.trimaps[width] += band

    def _count(self, name: str, label: np.ndarray, classes: np.ndarray) -> np.ndarray:
        try:
            return metrics.confusion_matrix(
                label, classes, self.spec.num_classes, self.spec.ignore_label
            )
        except ValueError as error:
            raise InputError(
                f"label of {name}: {error}; --validate_labels=full says what would do"
            ) from None
