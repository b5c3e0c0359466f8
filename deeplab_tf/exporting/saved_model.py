"""SavedModel of a frozen network, with two signatures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.config import InferenceConfig
from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.prediction.predictor import Predictor

Predict = Callable[[np.ndarray], Mapping[str, Any]]  # Images uint8 `[N, H, W, 3]`.
IMAGES = "ImageTensor"
CLASSES, PROBABILITIES = "SemanticPredictions", "SemanticProbabilities"


def concrete_function(predictor: Predictor, inference: InferenceConfig) -> Any:
    """Images uint8 `[N, H, W, 3]` -> a `BatchPrediction`, at their size."""

    @tf.function(autograph=False)
    def predict(ImageTensor: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(
            predictor.predict_batch(
                ImageTensor,
                scales=inference.eval_scales,
                flip=inference.add_flipped_images,
            )
        )

    signature = tf.TensorSpec((None, None, None, 3), tf.uint8, IMAGES)
    return predict.get_concrete_function(signature)


class Serving(tf.Module):
    """What is saved: the frozen function, fed with pixels or with files' bytes.

    Args:
        frozen: Of `compat.variables_to_constants`.
        assets: Files to save with it.
    """

    def __init__(self, frozen: Any, assets: list[Path]) -> None:
        super().__init__()
        self._frozen = frozen
        self._assets = [tf.saved_model.Asset(str(path)) for path in assets]

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, IMAGES)],
        autograph=False,
    )
    def pixels(self, ImageTensor: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images of one size."""
        classes, probabilities = self._frozen(ImageTensor)[:2]
        return {CLASSES: classes, PROBABILITIES: probabilities}

    @tf.function(
        input_signature=[tf.TensorSpec((None,), tf.string, "image_bytes")],
        autograph=False,
    )
    def encoded(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """JPEG or PNG files of images of one size."""
        pixels = tf.map_fn(
            tfrecord.decode_image,
            image_bytes,
            fn_output_signature=tf.TensorSpec((None, None, 3), tf.uint8),
        )
        return self.pixels(pixels)


def save(serving: Serving, folder: Path) -> None:
    """Writes the SavedModel."""
    signatures = {
        "serving_default": serving.pixels,
        "serving_bytes": serving.encoded,
    }
    tf.saved_model.save(serving, str(folder), signatures=signatures)


def load(folder: Path) -> list[Predict]:
    """Functions of a SavedModel, by pixels and by files: images -> what it predicts."""
    signatures = tf.saved_model.load(str(folder)).signatures
    return [
        lambda pixels: signatures["serving_default"](tf.constant(pixels)),
        lambda pixels: signatures["serving_bytes"](
            tf.constant([image_files.png(image) for image in pixels])
        ),
    ]
