"""Convolutions with batch norm and activation, named after the official scopes.

A layer's name is its scope in the official checkpoints with `.` for `/`, since Keras
forbids slashes; so every TF1 variable name follows from a layer (`weight_names`).
"""

import dataclasses
from typing import Any, Literal

import keras
from keras import initializers, layers, ops

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.layers.backend_ops import Tensor
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.layers.dropout import DropPathSchedule
from deeplab_tf.models.layers.initializers import Initializer, truncated_normal, xavier
from deeplab_tf.models.layers.resize import ResizeLike
from deeplab_tf.models.vgg_form import Form

Features = dict[str, Tensor]
Activation = Literal["relu", "relu6", "hard_swish"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """Style of layers: what those of a family have in common.

    Attributes:
        epsilon: Of batch norm.
        decay: Of its moving statistics.
        kernel: Initial values of convolutions,
        depthwise: of depthwise ones,
        pointwise: and of those that follow them in a separable convolution.
        activation: After batch norm.
        bounded: Where there is none, values are clipped to -6...6, for quantization.
        padding: Zeros around a strided convolution: "same" as TensorFlow places them,
            by the parity of the input; "fixed" as the kernel alone asks. "valid": none
            around any convolution.
        frozen: Normalize by the moving statistics in training, too.
        fixed: Scale and offset of batch norm do not learn.
        replicas: Devices over which the batch is spread.
        drop_path: Schedule of the paths of a cell, in training.
        training_form: Build the graph that learns, where it is another.
        vgg_form: Of VGG-16, where a head brings one.
    """

    epsilon: float = 1e-5
    decay: float = 0.9997
    kernel: Initializer = xavier
    depthwise: Initializer = truncated_normal(0.33)
    pointwise: Initializer = truncated_normal(0.06)
    activation: Activation = "relu"
    bounded: bool = False
    padding: Literal["same", "fixed", "valid"] = "same"
    frozen: bool = False
    fixed: bool = False
    replicas: int = 1
    drop_path: DropPathSchedule | None = None
    training_form: bool = False
    vgg_form: Form | None = None

    def with_padding(self, padding: Literal["same", "fixed", "valid"]) -> "Style":
        """The same with other zeros."""
        return dataclasses.replace(self, padding=padding)


def conv(
    x: Tensor,
    filters: int,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    at: StrideRate = StrideRate(),
    activation: bool = True,
) -> Tensor:
    """Convolution, batch norm and, unless declined, activation."""
    x = bare_conv(x, filters, kernel_size, style=style, name=name, at=at)
    return normalize(x, style=style, name=name, activation=activation)


def bare_conv(
    x: Tensor,
    filters: int,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    at: StrideRate = StrideRate(),
) -> Tensor:
    """Convolution without bias."""
    return _conv2d(
        x, filters, kernel_size, style=style, name=name, at=at, use_bias=False
    )


def depthwise_conv(
    x: Tensor,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    at: StrideRate = StrideRate(),
    activation: bool = True,
) -> Tensor:
    """Depthwise convolution, batch norm and, unless declined, activation."""
    x, padding = pad(x, kernel_size, style=style, at=at, name=name)
    x = layers.DepthwiseConv2D(
        kernel_size,
        strides=at.stride,
        dilation_rate=at.rate,
        padding=padding,
        use_bias=False,
        depthwise_initializer=style.depthwise(),
        name=name,
    )(x)
    return normalize(x, style=style, name=name, activation=activation)


def separable_conv(
    x: Tensor,
    filters: int,
    *,
    style: Style,
    name: str,
    at: StrideRate = StrideRate(),
    activation: bool = True,
) -> Tensor:
    """3x3 depthwise, then 1x1 pointwise, each with batch norm and activation.

    Reference: Chen et al. 2018, section 3.1, https://arxiv.org/abs/1802.02611.
    """
    x = depthwise_conv(
        x, 3, style=style, name=f"{name}_depthwise", at=at, activation=activation
    )
    style = dataclasses.replace(style, kernel=style.pointwise)
    return conv(
        x, filters, 1, style=style, name=f"{name}_pointwise", activation=activation
    )


def normalize(x: Tensor, *, style: Style, name: str, activation: bool) -> Tensor:
    """Batch norm of the layer `name` and, if asked, activation."""
    x = batch_norm(x, style=style, name=f"{name}.BatchNorm")
    if activation:
        return activate(x, style=style, name=f"{name}.{style.activation}")
    return Clip(6.0, name=f"{name}.clip")(x) if style.bounded else x


def batch_norm(x: Tensor, *, style: Style, name: str, offset: float = 0.0) -> Tensor:
    """Batch norm in a scope of its own, from that initial offset."""
    return FrozenableBatchNorm(
        beta_initializer=initializers.Constant(offset),
        momentum=style.decay,
        epsilon=style.epsilon,
        frozen=style.frozen,
        trainable=not style.fixed,
        replicas=style.replicas,
        name=name,
    )(x)


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


def activate(x: Tensor, *, style: Style, name: str) -> Tensor:
    """The activation of the style."""
    if style.activation == "hard_swish":
        return layers.Activation("hard_swish", name=name)(x)
    ceiling = 6.0 if style.activation == "relu6" else None
    return layers.ReLU(max_value=ceiling, name=name)(x)


def biased_conv(
    x: Tensor,
    filters: int,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    at: StrideRate = StrideRate(),
    activation: bool = False,
) -> Tensor:
    """Convolution with a bias, without batch norm and, unless asked for, activation."""
    x = _conv2d(x, filters, kernel_size, style=style, name=name, at=at, use_bias=True)
    return activate(x, style=style, name=f"{name}.relu") if activation else x


def _conv2d(
    x: Tensor,
    filters: int,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    at: StrideRate,
    use_bias: bool,
) -> Tensor:
    x, padding = pad(x, kernel_size, style=style, at=at, name=name)
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=at.stride,
        dilation_rate=at.rate,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer=style.kernel(),
        name=name,
    )(x)


def width(filters: int, config: ModelConfig) -> int:
    """Channels of a layer in a network whose width `depth_multiplier` changes."""
    return max(1, int(filters * config.depth_multiplier))


def global_mean(x: Tensor, *, name: str) -> Tensor:
    """Means over height and width, `[N, 1, 1, C]`."""
    return layers.GlobalAveragePooling2D(keepdims=True, name=name)(x)


def quick_sigmoid(x: Tensor, *, name: str) -> Tensor:
    """`relu6(x + 3) * 0.16667`, the gate of MobileNetV3; not quite a sixth."""
    x = layers.Rescaling(1.0, offset=3.0, name=f"{name}.shift")(x)
    x = layers.ReLU(max_value=6.0, name=f"{name}.relu6")(x)
    return layers.Rescaling(0.16667, name=name)(x)


def resize_like(x: Tensor, like: Tensor, *, name: str) -> Tensor:
    """`x`, bilinearly resized to height and width of `like`."""
    return ResizeLike(name=name)([x, like])


def pad(
    x: Tensor, kernel_size: int, *, style: Style, at: StrideRate, name: str
) -> tuple[Tensor, str]:
    """What a convolution of that size reads, and its `padding` for Keras."""
    if style.padding == "valid":
        return x, "valid"
    if at.stride == 1 or style.padding == "same" or kernel_size == 1:
        return x, "same"
    extent = at.rate * (kernel_size - 1)
    pads = (extent // 2, extent - extent // 2)
    return layers.ZeroPadding2D((pads, pads), name=f"{name}.pad")(x), "valid"
