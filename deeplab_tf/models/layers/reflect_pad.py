"""Reflection padding: what valid convolutions lose, added in advance.

With it a network without padding takes an image of any size and keeps its place.
"""

from typing import Any

import keras
from keras import layers, ops

from deeplab_tf.models.layers.backend_ops import Tensor


@keras.saving.register_keras_serializable("deeplab_tf")
class Mirror(layers.Layer):
    """`[N, H, W, C]` with its reflection around, `margin` pixels on each side.

    The border pixel is not repeated, as OpenCV's BORDER_REFLECT_101; where an image is
    smaller than the margin, reflections are reflected again. Between the margins, a
    side is the smallest `multiple * n + rest` that holds the image and `spare` pixels.

    Args:
        margin: What the network loses on each side.
        multiple: Its stride.
        rest: What its result has beyond whole strides.
        spare: Pixels after the image for which it has to have a result.
        **settings: Of a layer.
    """

    def __init__(
        self,
        margin: int,
        multiple: int,
        *,
        rest: int = 0,
        spare: int = 0,
        **settings: Any,
    ):
        super().__init__(**settings)
        self.margin, self.multiple = margin, multiple
        self.rest, self.spare = rest, spare

    def call(self, x: Tensor) -> Tensor:
        for axis in (1, 2):
            length = ops.shape(x)[axis]
            # Positions in a line that runs there and back: 0 1 2 3 2 1, 0 1 2 ...
            period = ops.maximum(2 * length - 2, 1)
            # From a positive one on: in ONNX, the rest of a negative one is negative.
            start = period - ops.mod(self.margin, period)
            places = ops.mod(start + ops.arange(self._length(length)), period)
            x = ops.take(x, ops.minimum(places, period - places), axis=axis)
        return x

    def _length(self, length: Any) -> Any:
        """Of the mirrored side."""
        wanted = length + self.spare - self.rest
        strides = (wanted + self.multiple - 1) // self.multiple
        return strides * self.multiple + self.rest + 2 * self.margin

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        sides = (side and self._length(side) for side in input_shape[1:3])
        return (input_shape[0], *sides, input_shape[3])

    def get_config(self) -> dict:
        return super().get_config() | {
            "margin": self.margin,
            "multiple": self.multiple,
            "rest": self.rest,
            "spare": self.spare,
        }
