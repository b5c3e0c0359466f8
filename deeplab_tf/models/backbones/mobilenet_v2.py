"""MobileNetV2 without its last, 1280-channel convolution.

Reference: Sandler et al. 2018, https://arxiv.org/abs/1801.04381; widths and strides as
in the official DeepLab (`final_endpoint="layer_18"`).
"""

from typing import NamedTuple

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models import atrous
from deeplab_tf.models.atrous import Step
from deeplab_tf.models.backbones.backbone import Backbone
from deeplab_tf.models.layers import (
    Features,
    Style,
    Tensor,
    conv,
    depthwise_conv,
    truncated_normal,
)

_SCOPE = "MobilenetV2"
_TAPS = {2: "c2", 5: "c3", 12: "c4"}  # Blocks whose depthwise output a decoder takes.


class Block(NamedTuple):
    """An inverted residual: nominal channels and stride, expansion of the input."""

    filters: int
    stride: int
    expansion: int = 6


_BLOCKS = (
    Block(16, 1, expansion=1),
    *(Block(24, 2), Block(24, 1)),
    *(Block(32, 2), *[Block(32, 1)] * 2),
    *(Block(64, 2), *[Block(64, 1)] * 3),
    *[Block(96, 1)] * 3,
    *(Block(160, 2), *[Block(160, 1)] * 2),
    Block(320, 1),
)


def features(images: Tensor, config: ModelConfig, style: Style) -> Features:
    """Features of a MobileNetV2 of any width; "c5" is linear, 320 channels wide."""
    if config.multi_grid:
        raise FlagError(
            "--multi_grid: a ResNet or Xception has it, a MobileNet has not"
        )
    root, *steps = atrous.plan([2, *(b.stride for b in _BLOCKS)], config.output_stride)
    x = conv(
        images, _width(32, config), 3, style=style, step=root, name=f"{_SCOPE}.Conv"
    )
    found: Features = {}
    for i, (block, step) in enumerate(zip(_BLOCKS, steps, strict=True)):
        name = f"{_SCOPE}.expanded_conv" + (f"_{i}" if i else "")
        x, wide = _inverted_residual(
            x, block, _width(block.filters, config), step=step, style=style, name=name
        )
        if i in _TAPS:
            found[_TAPS[i]] = wide
    return found | {"c5": x}


def _inverted_residual(
    x: Tensor, block: Block, filters: int, *, step: Step, style: Style, name: str
) -> tuple[Tensor, Tensor]:
    """The block's output, and what its depthwise convolution gave."""
    shortcut, wide = x, x
    if block.expansion > 1:
        expanded = divisible(x.shape[-1] * block.expansion, 8)
        wide = conv(x, expanded, 1, style=style, name=f"{name}.expand")
    wide = depthwise_conv(wide, 3, style=style, step=step, name=f"{name}.depthwise")
    x = conv(wide, filters, 1, style=style, name=f"{name}.project", activation=False)
    # A block that lost its stride to the rate adds its input, too.
    if step.stride == 1 and shortcut.shape[-1] == filters:
        x = layers.Add(name=f"{name}.add")([x, shortcut])
    return x, wide


def _width(filters: int, config: ModelConfig) -> int:
    full = config.depth_multiplier == 1.0
    divisor = config.divisible_by or (8 if full else 1)
    return divisible(filters * config.depth_multiplier, divisor, least=8 if full else 1)


def divisible(channels: float, divisor: int, *, least: int | None = None) -> int:
    """The nearest multiple of `divisor` that is not below 90 % of `channels`."""
    rounded = int(channels + divisor / 2) // divisor * divisor
    rounded = max(least or divisor, rounded)
    return rounded + divisor if rounded < 0.9 * channels else rounded


_STYLE = Style(
    epsilon=1e-3,
    decay=0.997,
    kernel=truncated_normal(0.09),
    depthwise=truncated_normal(0.09),
    activation="relu6",
)
VARIANTS = {"mobilenet_v2": Backbone(features=features, style=_STYLE)}
