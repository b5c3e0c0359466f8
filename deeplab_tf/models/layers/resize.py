"""Corner-aligned resizing and cropping to the size of another map."""

from typing import Any

import keras
from keras import layers, ops

from deeplab_tf import resize
from deeplab_tf.models.layers import backend_ops
from deeplab_tf.models.layers.backend_ops import Tensor


@keras.saving.register_keras_serializable("deeplab_tf")
class ResizeLike(layers.Layer):
    """Bilinear, corner-aligned: `[x, like]` -> `x` at height and width of `like`."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, like = inputs
        return backend_ops.resize_bilinear(x, ops.shape(like)[1:3])

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        x, like = input_shape
        return (x[0], *like[1:3], x[3])


@keras.saving.register_keras_serializable("deeplab_tf")
class ResizeTo(layers.Layer):
    """`[x, images]` -> `x` at `factor` times the size of the images, corner-aligned.

    Args:
        factor: Of `resize.scale_length`.
        **settings: Of a layer.
    """

    def __init__(self, factor: float, **settings: Any):
        super().__init__(**settings)
        self.factor = factor

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, images = inputs
        size = [
            resize.scale_length(side, self.factor) for side in ops.shape(images)[1:3]
        ]
        return backend_ops.resize_bilinear(x, size)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        x, images = input_shape
        size = [side and resize.scale_length(side, self.factor) for side in images[1:3]]
        return (x[0], *size, x[3])

    def get_config(self) -> dict:
        return super().get_config() | {"factor": self.factor}


@keras.saving.register_keras_serializable("deeplab_tf")
class CropLike(layers.Layer):
    """`[x, like]` -> the part of `x` from row and column `offset`, as large as `like`.

    Args:
        offset: 0 or more.
        **settings: Of a layer.
    """

    def __init__(self, offset: int, **settings: Any):
        super().__init__(**settings)
        self.offset = offset

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, like = inputs
        height, width = ops.shape(like)[1:3]
        return x[:, self.offset : self.offset + height, self.offset :][:, :, :width]

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        x, like = input_shape
        return (x[0], *like[1:3], x[3])

    def get_config(self) -> dict:
        return super().get_config() | {"offset": self.offset}
