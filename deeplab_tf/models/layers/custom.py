"""Layers that Keras lacks."""

from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops

from deeplab_tf import resize
from deeplab_tf.models.layers import backend_ops
from deeplab_tf.models.layers.backend_ops import Tensor


@keras.saving.register_keras_serializable("deeplab_tf")
class ResizeLike(layers.Layer):
    """Bilinear, corner-aligned: `[x, like]` -> `x` at height and width of `like`."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, like = inputs
        return backend_ops.resized(x, ops.shape(like)[1:3])

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
        return backend_ops.resized(x, size)

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


@keras.saving.register_keras_serializable("deeplab_tf")
class BilinearKernel(initializers.Initializer):
    """The kernel of a deconvolution that interpolates each channel for itself.

    Reference: Long et al. 2015, section 3.3, https://arxiv.org/abs/1411.4038.
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        size, _, channels, _ = shape
        half = (size + 1) // 2
        center = half - 1 if size % 2 else half - 0.5
        line = 1 - np.abs(np.arange(size) - center) / half
        kernel = np.einsum("i,j,cd->ijcd", line, line, np.eye(channels))
        return ops.convert_to_tensor(kernel, dtype or "float32")


@keras.saving.register_keras_serializable("deeplab_tf")
class IdentityMaps(initializers.Initializer):
    """A kernel that passes maps on, each a group of channels, beside a little noise.

    Reference: Yu, Koltun 2015, equations 4 and 5, https://arxiv.org/abs/1511.07122. A
    convolution of as many channels as maps is then the identity; one with more divides
    each map among its channels, and the last one adds them up.

    Args:
        maps: Which divides the channels before and after.
        noise: Its deviation, over the weight that passes a map on.
    """

    def __init__(self, maps: int, noise: float = 0.01):
        self.maps, self.noise = maps, noise

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        dtype = dtype or "float32"
        height, width, before, after = shape
        share = self.maps / after
        group = [np.arange(count) * self.maps // count for count in (before, after)]
        same = np.zeros(shape, bool)
        same[height // 2, width // 2] = group[0][:, np.newaxis] == group[1]
        spread = initializers.RandomNormal(stddev=self.noise * share)
        return ops.where(same, ops.cast(share, dtype), spread(shape, dtype))

    def get_config(self) -> dict:
        return {"maps": self.maps, "noise": self.noise}


@keras.saving.register_keras_serializable("deeplab_tf")
class Clip(layers.Layer):
    """Values between `-bound` and `bound`.

    Args:
        bound: More than 0.
        **settings: Of a layer.
    """

    def __init__(self, bound: float, **settings: Any):
        super().__init__(**settings)
        self.bound = bound

    def call(self, inputs: Tensor) -> Tensor:
        return ops.clip(inputs, -self.bound, self.bound)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        return super().get_config() | {"bound": self.bound}


@keras.saving.register_keras_serializable("deeplab_tf")
class FrozenableBatchNorm(layers.BatchNormalization):
    """Batch norm as TensorFlow 1 trains it.

    Keras 3 lets a model's `training` override that of a layer, so "frozen" is a
    property of the layer: statistics stay, scale and offset learn. The moving variance
    takes the unbiased variance of the batch, where Keras takes the biased one.

    Args:
        frozen: Normalize by the moving statistics in training, too.
        replicas: Devices over which the batch is spread; statistics are of all of it.
        **settings: Of `keras.layers.BatchNormalization`.
    """

    def __init__(self, *, frozen: bool = False, replicas: int = 1, **settings: Any):
        settings["synchronized"] = replicas > 1
        super().__init__(**settings)
        self.frozen = frozen
        self.replicas = replicas

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        training = bool(training) and not self.frozen
        if backend_ops.on_tensorflow() and not (training and self.synchronized):
            found = backend_ops.fused_batch_norm(inputs, self, training=training)
        else:
            found = backend_ops.composed_batch_norm(
                inputs, self, training=training, replicas=self.replicas
            )
        x, mean, variance = found
        if training:
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
        return x

    def _move(self, statistic: Any, value: Tensor) -> None:
        statistic.assign(statistic * self.momentum + value * (1.0 - self.momentum))

    def get_config(self) -> dict:
        config = super().get_config()
        del config["synchronized"]
        return config | {"frozen": self.frozen, "replicas": self.replicas}
