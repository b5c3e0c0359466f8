"""The layers that all networks are made of, named after the official scopes.

A layer's name is its scope in the official checkpoints with `.` for `/`, since Keras
forbids slashes; so every TF1 variable name follows from a layer (`checkpoints.tf1`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import initializers, layers, ops

from deeplab_tf import resize
from deeplab_tf.models.atrous import Step

Tensor = Any  # A KerasTensor; Keras ships no types.
Features = dict[str, Tensor]
Initializer = Callable[[], initializers.Initializer]

# A fresh one for each layer: Keras repeats the values of a shared one.
xavier: Initializer = initializers.GlorotUniform


def truncated_normal(stddev: float) -> Initializer:
    """Normal values within two standard deviations, which are not corrected for it."""
    return functools.partial(initializers.TruncatedNormal, stddev=stddev)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """What the layers of a family have in common.

    Attributes:
        epsilon: Of batch norm.
        decay: Of its moving statistics.
        kernel: Initial values of convolutions,
        depthwise: of depthwise ones,
        pointwise: and of those that follow them in a separable convolution.
        activation: Ceiling of the ReLU.
        padding: Zeros around a strided convolution: "same" as TensorFlow places them,
            by the parity of the input; "fixed" as the kernel alone asks.
        frozen: Normalize by the moving statistics in training, too.
        replicas: Devices over which the batch is spread.
    """

    epsilon: float = 1e-5
    decay: float = 0.9997
    kernel: Initializer = xavier
    depthwise: Initializer = truncated_normal(0.33)
    pointwise: Initializer = truncated_normal(0.06)
    activation: Literal["relu", "relu6"] = "relu"
    padding: Literal["same", "fixed"] = "same"
    frozen: bool = False
    replicas: int = 1


def conv(
    x: Tensor,
    filters: int,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    step: Step = Step(),
    activation: bool = True,
) -> Tensor:
    """Convolution, batch norm and, unless declined, activation."""
    x, padding = _pad(x, kernel_size, style, step, name)
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=step.stride,
        dilation_rate=step.rate,
        padding=padding,
        use_bias=False,
        kernel_initializer=style.kernel(),
        name=name,
    )(x)
    return normalized(x, style=style, name=name, activation=activation)


def depthwise_conv(
    x: Tensor,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    step: Step = Step(),
    activation: bool = True,
) -> Tensor:
    """Depthwise convolution, batch norm and, unless declined, activation."""
    x, padding = _pad(x, kernel_size, style, step, name)
    x = layers.DepthwiseConv2D(
        kernel_size,
        strides=step.stride,
        dilation_rate=step.rate,
        padding=padding,
        use_bias=False,
        depthwise_initializer=style.depthwise(),
        name=name,
    )(x)
    return normalized(x, style=style, name=name, activation=activation)


def separable_conv(
    x: Tensor,
    filters: int,
    *,
    style: Style,
    name: str,
    step: Step = Step(),
    activation: bool = True,
) -> Tensor:
    """3x3 depthwise, then 1x1 pointwise, each with batch norm and activation.

    Reference: Chen et al. 2018, section 3.1, https://arxiv.org/abs/1802.02611.
    """
    x = depthwise_conv(
        x, 3, style=style, name=f"{name}_depthwise", step=step, activation=activation
    )
    style = dataclasses.replace(style, kernel=style.pointwise)
    return conv(
        x, filters, 1, style=style, name=f"{name}_pointwise", activation=activation
    )


def normalized(x: Tensor, *, style: Style, name: str, activation: bool) -> Tensor:
    """Batch norm of the layer `name` and, if asked, activation."""
    x = FrozenableBatchNorm(
        momentum=style.decay,
        epsilon=style.epsilon,
        frozen=style.frozen,
        replicas=style.replicas,
        name=f"{name}.BatchNorm",
    )(x)
    return activated(x, style=style, name=f"{name}.relu") if activation else x


def activated(x: Tensor, *, style: Style, name: str) -> Tensor:
    """ReLU, or ReLU6 where the style has it."""
    ceiling = 6.0 if style.activation == "relu6" else None
    return layers.ReLU(max_value=ceiling, name=name)(x)


def resize_like(x: Tensor, like: Tensor, *, name: str) -> Tensor:
    """`x`, bilinearly resized to height and width of `like`."""
    return ResizeLike(name=name)([x, like])


def _pad(
    x: Tensor, kernel_size: int, style: Style, step: Step, name: str
) -> tuple[Tensor, str]:
    if step.stride == 1 or style.padding == "same" or kernel_size == 1:
        return x, "same"
    extent = step.rate * (kernel_size - 1)
    pads = (extent // 2, extent - extent // 2)
    return layers.ZeroPadding2D((pads, pads), name=f"{name}.pad")(x), "valid"


@keras.saving.register_keras_serializable("deeplab_tf")
class ResizeLike(layers.Layer):
    """Bilinear, corner-aligned: `[x, like]` -> `x` at height and width of `like`."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        x, like = inputs
        return resize.bilinear(x, ops.shape(like)[1:3])

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        x, like = input_shape
        return (x[0], *like[1:3], x[3])


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
        if self.frozen or not training:
            return self._fused(inputs, training=False)[0]
        if self.synchronized:
            x, mean, variance = self._over_replicas(inputs)
        else:
            x, mean, variance = self._fused(inputs, training=True)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return x

    def _fused(self, x: Tensor, *, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Output, mean and unbiased variance, from TensorFlow's one kernel for it.

        Keras composes batch norm of many passes over memory: a training step of
        MobileNetV2 takes 1.2 to 1.5 times as long on a CPU (docs/design.md).
        """
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.gamma,
            offset=self.beta,
            mean=self.moving_mean,
            variance=self.moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )[:3]

    def _over_replicas(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = ops.cast(inputs, "float32")
        mean, variance = ops.moments(x, (0, 1, 2), synchronized=True)
        count = ops.cast(ops.prod(ops.shape(x)[:3]) * self.replicas, "float32")
        x = ops.batch_normalization(
            x, mean, variance, -1, self.beta, self.gamma, self.epsilon
        )
        unbiased = variance * count / ops.maximum(count - 1.0, 1.0)
        return ops.cast(x, self.compute_dtype), mean, unbiased

    def _move(self, statistic: Any, value: Tensor) -> None:
        statistic.assign(statistic * self.momentum + value * (1.0 - self.momentum))

    def get_config(self) -> dict:
        config = super().get_config()
        del config["synchronized"]
        return config | {"frozen": self.frozen, "replicas": self.replicas}
