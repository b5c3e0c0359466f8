"""The layers that all networks are made of, named after the official scopes.

A layer's name is its scope in the official checkpoints with `.` for `/`, since Keras
forbids slashes; so every TF1 variable name follows from a layer (`models.names`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

from keras import initializers, layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.atrous import Step
from deeplab_tf.models.layers.custom import (
    Clip,
    FrozenableBatchNorm,
    ResizeLike,
    Tensor,
)
from deeplab_tf.models.layers.drop_path import Dropping
from deeplab_tf.models.vgg_form import Form

Features = dict[str, Tensor]
Activation = Literal["relu", "relu6", "hard_swish"]
Initializer = Callable[[], initializers.Initializer]

# A fresh one for each layer: Keras repeats the values of a shared one.
xavier: Initializer = initializers.GlorotUniform


def truncated_normal(stddev: float) -> Initializer:
    """Normal values within two standard deviations, which are not corrected for it."""
    return functools.partial(initializers.TruncatedNormal, stddev=stddev)


def normal(stddev: float) -> Initializer:
    """Normal values."""
    return functools.partial(initializers.RandomNormal, stddev=stddev)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Style:
    """What the layers of a family have in common.

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
        dropping: Of the paths of a cell, in training.
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
    dropping: Dropping | None = None
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
    step: Step = Step(),
    activation: bool = True,
) -> Tensor:
    """Convolution, batch norm and, unless declined, activation."""
    x = bare_conv(x, filters, kernel_size, style=style, name=name, step=step)
    return normalized(x, style=style, name=name, activation=activation)


def bare_conv(
    x: Tensor,
    filters: int,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    step: Step = Step(),
) -> Tensor:
    """Convolution without bias."""
    return _convolved(
        x, filters, kernel_size, style=style, name=name, step=step, use_bias=False
    )


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
    x, padding = padded(x, kernel_size, style=style, step=step, name=name)
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
    x = batch_norm(x, style=style, name=f"{name}.BatchNorm")
    if activation:
        return activated(x, style=style, name=f"{name}.{style.activation}")
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


def activated(x: Tensor, *, style: Style, name: str) -> Tensor:
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
    step: Step = Step(),
    activation: bool = False,
) -> Tensor:
    """Convolution with a bias, without batch norm and, unless asked for, activation."""
    x = _convolved(
        x, filters, kernel_size, style=style, name=name, step=step, use_bias=True
    )
    return activated(x, style=style, name=f"{name}.relu") if activation else x


def _convolved(
    x: Tensor,
    filters: int,
    kernel_size: int,
    *,
    style: Style,
    name: str,
    step: Step,
    use_bias: bool,
) -> Tensor:
    x, padding = padded(x, kernel_size, style=style, step=step, name=name)
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=step.stride,
        dilation_rate=step.rate,
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


def padded(
    x: Tensor, kernel_size: int, *, style: Style, step: Step, name: str
) -> tuple[Tensor, str]:
    """What a convolution of that size reads, and its `padding` for Keras."""
    if style.padding == "valid":
        return x, "valid"
    if step.stride == 1 or style.padding == "same" or kernel_size == 1:
        return x, "same"
    extent = step.rate * (kernel_size - 1)
    pads = (extent // 2, extent - extent // 2)
    return layers.ZeroPadding2D((pads, pads), name=f"{name}.pad")(x), "valid"
