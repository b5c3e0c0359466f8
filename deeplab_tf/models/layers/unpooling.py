"""Max unpooling: SegNet's pooling that keeps where its maxima were, and what undoes it.

Reference: Badrinarayanan et al. 2017, sections 3 and 3.1,
https://arxiv.org/abs/1511.00561. An index is a place within its window of 2x2 pixels, 0
to 3 in row-major order, where Caffe and TensorFlow count through the whole map: so it
needs no scattering, whatever the device or the format of an export.
"""

from typing import Any

import keras
from keras import layers, ops

from deeplab_tf.models.layers.backend_ops import Tensor
from deeplab_tf.models.layers.blocks import Style, activate, batch_norm, biased_conv


def conv(
    x: Tensor,
    filters: int,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    activation: bool = True,
) -> Tensor:
    """Convolution with a bias, batch norm and, unless declined, activation."""
    x = biased_conv(x, filters, kernel_size, style=style, name=name)
    # The released networks start the offset at 0.001.
    x = batch_norm(x, style=style, name=f"{name}.BatchNorm", offset=0.001)
    return activate(x, style=style, name=f"{name}.relu") if activation else x


@keras.saving.register_keras_serializable("deeplab_tf")
class PoolWithIndices(layers.Layer):
    """Maxima of 2x2 pixels and their indices, `[N, ceil(H/2), ceil(W/2), C]` both.

    The first of equal pixels is the maximum, and the only one with a gradient. A window
    that hangs over the border sees no more than is there.
    """

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # A pixel beyond the border is that at the border, so never greater. (Of -inf in
        # its place, ONNX makes numbers that are none, since it selects by products.)
        end = ((0, 0), (0, 1), (0, 1), (0, 0))
        best, *others = _windows(ops.pad(x, end, mode="symmetric"))
        index = ops.zeros_like(best)
        for place, pixel in enumerate(others, start=1):
            greater = pixel > best
            best = ops.where(greater, pixel, best)
            index = ops.where(greater, ops.cast(place, index.dtype), index)
        return best, ops.cast(index, "uint8")  # LiteRT selects no uint8.

    def compute_output_spec(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sides = (side and (side + 1) // 2 for side in x.shape[1:3])
        shape = (x.shape[0], *sides, x.shape[3])
        return (
            keras.KerasTensor(shape, self.compute_dtype),
            keras.KerasTensor(shape, "uint8"),
        )


def _windows(x: Tensor) -> list[Tensor]:
    """Every window's four pixels, row-major; `x` has a row and a column to spare."""
    return [
        x[:, rows, columns]
        for rows in (slice(0, -1, 2), slice(1, None, 2))
        for columns in (slice(0, -1, 2), slice(1, None, 2))
    ]


@keras.saving.register_keras_serializable("deeplab_tf")
class Unpool(layers.Layer):
    """`[x, index, like]` -> `x` at its indices among zeros, as large as `like`."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, index, like = inputs
        _, height, width, _ = ops.shape(like)
        index = ops.cast(index, x.dtype)
        corners = [
            ops.where(index == ops.cast(place, x.dtype), x, ops.zeros_like(x))
            for place in range(4)
        ]
        rows = [ops.stack(corners[start : start + 2], axis=3) for start in (0, 2)]
        windows = ops.stack(rows, axis=2)  # [N, h, 2, w, 2, C]
        shape = ops.shape(x)
        x = ops.reshape(windows, (shape[0], 2 * shape[1], 2 * shape[2], shape[3]))
        return x[:, :height, :width]

    def compute_output_spec(self, inputs: list[Tensor]) -> Tensor:
        x, _, like = inputs
        shape = (x.shape[0], *like.shape[1:3], x.shape[3])
        return keras.KerasTensor(shape, self.compute_dtype)


@keras.saving.register_keras_serializable("deeplab_tf")
class LocalResponseNorm(layers.Layer):
    """`x / (1 + alpha / size * s)^beta`, s the squares of `size` channels around.

    Caffe divides alpha by the size, `tf.nn.local_response_normalization` does not.

    Args:
        size: Odd.
        alpha: How much they weigh.
        beta: 0.75 as published.
        **settings: Of a layer.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        **settings: Any,
    ):
        super().__init__(**settings)
        self.size, self.alpha, self.beta = size, alpha, beta

    def call(self, x: Tensor) -> Tensor:
        x = ops.cast(x, "float32")  # Half precision has no squares of pixels.
        half, channels = self.size // 2, x.shape[-1]
        squares = ops.pad(x * x, ((0, 0), (0, 0), (0, 0), (half, half)))
        around = sum(squares[..., i : i + channels] for i in range(self.size))
        y = x * (1.0 + self.alpha / self.size * around) ** -self.beta
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        own = {"size": self.size, "alpha": self.alpha, "beta": self.beta}
        return super().get_config() | own
