"""ResNet v1 of 18, 50 and 101 layers, with a 7x7 root or, "beta", three 3x3.

Reference: He et al. 2015, https://arxiv.org/abs/1512.03385. As in TF-slim, the stride
of a block sits in the 3x3 convolution of its last unit.
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

from keras import initializers, layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.config.fields import text
from deeplab_tf.errors import FlagError
from deeplab_tf.models import atrous
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.backbones.backbone import GRAY, MEAN_RGB, Backbone
from deeplab_tf.models.layers.blocks import Features, Style, Tensor, activate, conv


class ResNetBlock(NamedTuple):
    """Units of one width; the last has the stride."""

    units: int
    filters: int
    stride: int


class Depth(NamedTuple):
    """A ResNet: the scope of its names, its unit and its blocks."""

    scope: str
    unit: Callable[[Tensor, int, StrideRate, Style, str], tuple[Tensor, Tensor]]
    blocks: tuple[ResNetBlock, ...]


def features(
    images: Tensor,
    config: ModelConfig,
    style: Style,
    *,
    depth: Depth,
    widths: tuple[int, ...] = (64,),
) -> Features:
    """Features of a ResNet; a tap is the last convolution of a unit, before the sum.

    Where blocks are cascaded, "cascade" is what the last of them gives, as is "c5".

    Args:
        images: `[N, H, W, 3]`.
        config: Output stride, multi-grid and cascaded blocks.
        style: Of the layers.
        depth: Which ResNet.
        widths: See `root`.
    """
    depth = cascade_blocks(depth, config.cascade or 0)
    first, pool, blocks = plan(depth, config)
    x = root(images, widths, at=first, style=style, scope=depth.scope)
    name = f"{depth.scope}.pool1"
    x = layers.MaxPooling2D(3, pool.stride, padding="same", name=name)(x)
    outputs: Features = {}
    for b, stride_rates in enumerate(blocks, start=1):
        for u, at in enumerate(stride_rates, start=1):
            name = f"{depth.scope}.block{b}.unit_{u}"
            x, tap = depth.unit(x, depth.blocks[b - 1].filters, at, style, name)
            if b < 4 and u == len(stride_rates) - 1:  # The last before the stride.
                outputs[f"c{b + 1}"] = tap
    if config.cascade is not None:
        outputs["cascade"] = x
    return outputs | {"c5": x}


def cascade_blocks(depth: Depth, count: int) -> Depth:
    """With copies of the last block behind it, each at half the size of the one before.

    Reference: Chen et al. 2017, section 3.2, https://arxiv.org/abs/1706.05587; whether
    the shortcuts of a copy begin with a projection, it does not tell: here they do not.
    """
    *earlier, last = depth.blocks
    copies = (last._replace(stride=2),) * count
    return depth._replace(blocks=(*earlier, *copies, last))


def plan(
    depth: Depth, config: ModelConfig
) -> tuple[StrideRate, StrideRate, list[list[StrideRate]]]:
    """Strides and rates of root, pooling and the units of each block.

    The multi-grid multiplies the rates of the last block, and of cascaded ones: Chen et
    al. 2017, section 3.2.1, https://arxiv.org/abs/1706.05587.
    """
    strides = [[1] * (units - 1) + [stride] for units, _, stride in depth.blocks]
    nominal = [2, 2, *itertools.chain.from_iterable(strides)]
    first, pool, *stride_rates = atrous.plan(nominal, config.output_stride)
    factors = grid(config, depth.blocks[-1].units)
    factors *= 1 + (config.cascade or 0)
    grids = (1,) * (len(stride_rates) - len(factors)) + factors
    rest = iter(map(apply_multi_grid, stride_rates, grids))
    return first, pool, [[next(rest) for _ in block] for block in strides]


def grid(config: ModelConfig, units: int) -> tuple[int, ...]:
    """The multi-grid of a block: a factor for the rate of each unit."""
    factors = config.multi_grid or (1,) * units
    if len(factors) != units:
        raise FlagError(f"--multi_grid={text(factors)}: {units} rates are needed")
    return factors


def apply_multi_grid(at: StrideRate, factor: int) -> StrideRate:
    """`at` with `factor` times its rate.

    Raises:
        FlagError: It strides, too.
    """
    if at.stride > 1 and factor > 1:
        raise FlagError(
            f"--multi_grid: a unit cannot stride and dilate {factor} times; take a "
            "smaller --output_stride"
        )
    return StrideRate(at.stride, at.rate * factor)


def root(
    images: Tensor, widths: tuple[int, ...], *, at: StrideRate, style: Style, scope: str
) -> Tensor:
    """A 7x7 convolution of one width, or 3x3 ones of several; the first strides."""
    if len(widths) == 1:
        return conv(images, *widths, 7, at=at, style=style, name=f"{scope}.conv1")
    x = images
    for i, width in enumerate(widths, start=1):
        x = conv(x, width, 3, at=at, style=style, name=f"{scope}.conv1_{i}")
        at = StrideRate()
    return x


def bottleneck(
    x: Tensor,
    filters: int,
    at: StrideRate,
    style: Style,
    scope: str,
    *,
    early: bool = False,
) -> tuple[Tensor, Tensor]:
    """1x1, 3x3 and 1x1 beside a shortcut: the activated sum, and the last of them.

    The 3x3 has the stride or, if `early`, the first 1x1.
    """
    name, narrow = f"{scope}.bottleneck_v1", max(1, filters // 4)
    first, second = StrideRate(), at
    if early:
        first, second = StrideRate(at.stride), StrideRate(1, at.rate)
    y = conv(x, narrow, 1, at=first, style=style, name=f"{name}.conv1")
    y = conv(y, narrow, 3, at=second, style=style, name=f"{name}.conv2")
    y = conv(y, filters, 1, style=style, name=f"{name}.conv3", activation=False)
    return _add_shortcut(x, y, at, style, name), y


def lite_bottleneck(
    x: Tensor, filters: int, at: StrideRate, style: Style, scope: str
) -> tuple[Tensor, Tensor]:
    """Two 3x3 beside a shortcut, the unit of ResNet-18."""
    name = f"{scope}.lite_bottleneck_v1"
    inner = StrideRate(1, at.rate)
    y = conv(x, filters, 3, at=inner, style=style, name=f"{name}.conv1")
    last = f"{name}.conv2"
    y = conv(y, filters, 3, at=at, style=style, name=last, activation=False)
    return _add_shortcut(x, y, at, style, name), y


def _add_shortcut(
    x: Tensor, y: Tensor, at: StrideRate, style: Style, name: str
) -> Tensor:
    filters, scope = y.shape[-1], f"{name}.shortcut"
    if x.shape[-1] != filters:
        own = StrideRate(at.stride)
        x = conv(x, filters, 1, at=own, style=style, name=scope, activation=False)
    elif at.stride > 1:
        x = layers.MaxPooling2D(1, at.stride, name=scope)(x)
    y = layers.Add(name=f"{name}.add")([x, y])
    return activate(y, style=style, name=f"{name}.relu")


def _kernel() -> initializers.Initializer:
    """TF-slim's variance scaling, whose factor 1.3 stands for the truncation."""
    keras_correction = 0.87962566103423978
    return initializers.VarianceScaling(2 * 1.3 * keras_correction**2)


def _variants(depth: Depth, widths: tuple[int, ...], mean_pixel: tuple) -> dict:
    style = Style(epsilon=1e-5, decay=0.95, kernel=_kernel, padding="fixed")
    plain = functools.partial(features, depth=depth)
    beta = functools.partial(features, depth=depth, widths=widths)
    return {
        depth.scope: Backbone(
            features=plain, style=style, mean=MEAN_RGB, mean_pixel=mean_pixel
        ),
        f"{depth.scope}_beta": Backbone(features=beta, style=style),
    }


def _deep(units: tuple[int, int, int, int]) -> tuple[ResNetBlock, ...]:
    filters, strides = (256, 512, 1024, 2048), (2, 2, 2, 1)
    return tuple(map(ResNetBlock, units, filters, strides))


R18 = Depth(
    "resnet_v1_18",
    lite_bottleneck,
    (
        ResNetBlock(2, 64, 2),
        ResNetBlock(2, 128, 2),
        ResNetBlock(2, 256, 2),
        ResNetBlock(2, 512, 1),
    ),
)
R50 = Depth("resnet_v1_50", bottleneck, _deep((3, 4, 6, 3)))
R101 = Depth("resnet_v1_101", bottleneck, _deep((3, 4, 23, 3)))

VARIANTS = {
    # The official code pads the images of resnet_v1_18 with gray, those of 50 and 101
    # with the mean.
    **_variants(R18, (16, 16, 32), GRAY),
    **_variants(R50, (64, 64, 128), MEAN_RGB),
    **_variants(R101, (64, 64, 128), MEAN_RGB),
}
