"""What the MobileNets are made of: inverted residuals, of any width.

Reference: Sandler et al. 2018, https://arxiv.org/abs/1801.04381; Howard et al. 2019,
https://arxiv.org/abs/1905.02244.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models import atrous
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.layers.blocks import (
    Activation,
    Features,
    Style,
    Tensor,
    biased_conv,
    conv,
    depthwise_conv,
    global_mean,
    quick_sigmoid,
)
from deeplab_tf.models.layers.initializers import truncated_normal

STYLE = Style(
    epsilon=1e-3,
    decay=0.997,
    kernel=truncated_normal(0.09),
    depthwise=truncated_normal(0.09),
    activation="relu6",
)


class InvertedResidual(NamedTuple):
    """An inverted residual: wider inside than outside.

    Attributes:
        filters: Nominal channels of the result.
        stride: Nominal stride.
        expansion: Channels inside over channels of the input.
        kernel_size: Of the depthwise convolution.
        activation: Inside.
        squeezed: Channels inside are weighed by their means.
        fused: One convolution expands and looks around, in place of two.
        residual: The input is added where its shape allows.
    """

    filters: int
    stride: int = 1
    expansion: float = 6
    kernel_size: int = 3
    activation: Activation = "relu6"
    squeezed: bool = False
    fused: bool = False
    residual: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class MobileNet:
    """A MobileNet.

    Attributes:
        scope: Of its weights.
        root: Nominal channels of the first convolution.
        blocks: What follows.
        last: Nominal channels of a 1x1 convolution at the end; 0 for none.
        activation: Of first and last convolution.
        divisor: Of all channels at any width; by default 8 at width 1, else none.
        taps: Number of a block -> level at which a decoder takes what is inside.
    """

    scope: str
    root: int
    blocks: tuple[InvertedResidual, ...]
    last: int = 0
    activation: Activation = "relu6"
    divisor: int | None = None
    taps: Mapping[int, str] = dataclasses.field(default_factory=dict)


def features(
    images: Tensor, config: ModelConfig, style: Style, *, network: MobileNet
) -> Features:
    """Features of a MobileNet of any width."""
    if config.multi_grid:
        raise FlagError(
            "--multi_grid: a ResNet or Xception has it, a MobileNet has not"
        )
    strides = [2, *(block.stride for block in network.blocks)]
    root, *stride_rates = atrous.plan(strides, config.output_stride)
    outer = dataclasses.replace(style, activation=network.activation)
    width = functools.partial(_width, config=config, divisor=network.divisor)
    filters = width(network.root)
    name = f"{network.scope}.Conv"
    x = conv(images, filters, 3, style=outer, at=root, name=name)
    outputs: Features = {}
    for i, (block, at) in enumerate(zip(network.blocks, stride_rates, strict=True)):
        name = f"{network.scope}.expanded_conv" + (f"_{i}" if i else "")
        block = block._replace(filters=width(block.filters))
        x, wide = _inverted_residual(x, block, at=at, style=style, name=name)
        if i in network.taps:
            outputs[network.taps[i]] = wide
    if network.last:
        filters = width(network.last)
        x = conv(x, filters, 1, style=outer, name=f"{network.scope}.Conv_1")
    return outputs | {"c5": x}


def _inverted_residual(
    x: Tensor, block: InvertedResidual, *, at: StrideRate, style: Style, name: str
) -> tuple[Tensor, Tensor]:
    """The block's output, and what its depthwise convolution gave."""
    style = dataclasses.replace(style, activation=block.activation)
    shortcut, wide = x, x
    expanded = divisible(x.shape[-1] * block.expansion, 8)
    if block.expansion > 1:
        # Of a fused block, the convolution that expands has size and stride.
        kernel_size = block.kernel_size if block.fused else 1
        own = at if block.fused else StrideRate()
        wide = conv(
            x, expanded, kernel_size, style=style, at=own, name=f"{name}.expand"
        )
    if not block.fused:
        wide = depthwise_conv(
            wide, block.kernel_size, style=style, at=at, name=f"{name}.depthwise"
        )
    inside = (
        _squeeze_and_excite(wide, style=style, name=name) if block.squeezed else wide
    )
    x = conv(
        inside, block.filters, 1, style=style, name=f"{name}.project", activation=False
    )
    # A block that lost its stride to the rate adds its input, too.
    same = at.stride == 1 and shortcut.shape[-1] == block.filters
    if same and block.residual:
        x = layers.Add(name=f"{name}.add")([x, shortcut])
    return x, wide


def _squeeze_and_excite(x: Tensor, *, style: Style, name: str) -> Tensor:
    """Channels, each weighed by what the means of all of them tell.

    Reference: Hu et al. 2018, https://arxiv.org/abs/1709.01507.
    """
    channels, name = x.shape[-1], f"{name}.squeeze_excite"
    gate = global_mean(x, name=f"{name}.mean")
    fewer = divisible(channels / 4, 8)
    gate = biased_conv(gate, fewer, 1, style=style, name=f"{name}.Conv")
    gate = layers.ReLU(name=f"{name}.relu")(gate)
    gate = biased_conv(gate, channels, 1, style=style, name=f"{name}.Conv_1")
    gate = quick_sigmoid(gate, name=f"{name}.gate")
    return layers.Multiply(name=f"{name}.scaled")([x, gate])


def _width(filters: int, *, config: ModelConfig, divisor: int | None) -> int:
    usual = 8 if config.depth_multiplier == 1.0 else 1
    least = divisor or usual
    divisor = config.divisible_by or least
    return divisible(filters * config.depth_multiplier, divisor, least=least)


def divisible(channels: float, divisor: int, *, least: int | None = None) -> int:
    """The nearest multiple of `divisor` that is not below 90 % of `channels`."""
    rounded = int(channels + divisor / 2) // divisor * divisor
    rounded = max(least or divisor, rounded)
    return rounded + divisor if rounded < 0.9 * channels else rounded
