"""The function that every export starts from, with the ends of its file."""

import dataclasses
from typing import Any

import tensorflow as tf

from deeplab_tf.compat import variables_to_constants
from deeplab_tf.config import InferenceConfig
from deeplab_tf.config.export import Output
from deeplab_tf.exporting.saved_model import CLASSES, IMAGES, PROBABILITIES
from deeplab_tf.prediction.predictor import Predictor

LOGITS = "Logits"
NAMES = {"classes": CLASSES, "probabilities": PROBABILITIES, "logits": LOGITS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ends:
    """What a file takes and gives.

    Attributes:
        size: Height, width of the images; None of any.
        batch: Images at a time; None of any number.
        outputs: What it gives, in order.
    """

    size: tuple[int, int] | None = None
    batch: int | None = None
    outputs: tuple[Output, ...] = ("classes", "probabilities")

    @property
    def names(self) -> list[str]:
        """Of the outputs, as the file has them."""
        return [NAMES[output] for output in self.outputs]

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Of the images."""
        return (self.batch, *(self.size or (None, None)), 3)


def trace(predictor: Predictor, inference: InferenceConfig, ends: Ends) -> Any:
    """A concrete function: uint8 `[N, H, W, 3]` -> the outputs, at their size.

    Classes are int32 `[N, H, W]`; probabilities, and logits, as a CRF starts from, are
    float32 `[N, H, W, C]`.
    """
    beside: list[Output] = [output for output in ends.outputs if output != "classes"]

    @tf.function(autograph=False)
    def predict(ImageTensor: tf.Tensor) -> list[tf.Tensor]:
        values: dict[str, tf.Tensor] = {}
        for output in beside or list[Output](["classes"]):
            results = predictor.predict_any_size(
                ImageTensor,
                scales=inference.eval_scales,
                flip=inference.add_flipped_images,
                output=output,
            )
            values |= zip(("classes", output), results, strict=False)
        return [values[output] for output in ends.outputs]

    signature = tf.TensorSpec(ends.shape, tf.uint8, IMAGES)
    return predict.get_concrete_function(signature)


def freeze(predictor: Predictor, inference: InferenceConfig, ends: Ends) -> Any:
    """The same with the variables as constants."""
    return variables_to_constants(trace(predictor, inference, ends))
