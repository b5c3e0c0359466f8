"""ResNets of 50, 101 and 152 layers as Caffe had them, and with PSPNet's root.

Reference: He et al. 2015, https://arxiv.org/abs/1512.03385. The first unit of a block
has its stride, in the first 1x1 convolution, but in "resnet_101_deep" and
"resnet_152_deep" in the 3x3, as PSPNet's of 101 layers were released. Names within are
those of `resnet`.

The first pool rounds down. Caffe's rounds up, which is the same for the sides of 4k + 1
pixels that its networks were given; from others it makes a row beyond the image.
"""

import functools

from keras import initializers, layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models import atrous
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.backbones import resnet
from deeplab_tf.models.backbones.backbone import CAFFE_MEAN, Backbone
from deeplab_tf.models.layers.blocks import Features, Style, Tensor, width

_STRIDES = (2, 2, 1, 2, 2, 2)  # Of root, pool and blocks.
_DEEP = (64, 64, 128)


def features(
    images: Tensor,
    config: ModelConfig,
    style: Style,
    *,
    scope: str,
    units: tuple[int, ...],
    root: tuple[int, ...] = (64,),
    late: bool = False,
) -> Features:
    """Features of a ResNet: the activated sums at the end of each block.

    Args:
        images: `[N, H, W, 3]`.
        config: Output stride, multi-grid and width.
        style: Of the layers.
        scope: Of the names.
        units: Of each block.
        root: See `resnet.root`.
        late: The 3x3 of a unit has the stride.
    """
    channels = tuple(width(each, config) for each in root)
    x = resnet.root(images, channels, at=StrideRate(2), style=style, scope=scope)
    x = layers.ZeroPadding2D(1, name=f"{scope}.pool1.pad")(x)
    x = layers.MaxPooling2D(3, 2, name=f"{scope}.pool1")(x)
    outputs: Features = {}
    for b, stride_rates in enumerate(plan(units, config), start=1):
        filters = width(128 * 2**b, config)
        for u, at in enumerate(stride_rates, start=1):
            name = f"{scope}.block{b}.unit_{u}"
            x, _ = resnet.bottleneck(x, filters, at, style, name, early=not late)
        outputs[f"c{b + 1}"] = x
    return outputs


def plan(units: tuple[int, ...], config: ModelConfig) -> list[list[StrideRate]]:
    """Strides and rates of the units of each block.

    A block that loses its stride dilates from its first unit on: Chen et al. 2016,
    section 3.1, https://arxiv.org/abs/1606.00915, and PSPNet, as released.
    """
    blocks = []
    planned = atrous.plan(_STRIDES, config.output_stride)
    for count, stride, at in zip(units, _STRIDES[2:], planned[2:], strict=True):
        rate = at.rate * stride // at.stride
        blocks.append(
            [StrideRate(at.stride, rate), *[StrideRate(1, rate)] * (count - 1)]
        )
    grid = resnet.grid(config, units[-1])
    blocks[-1] = list(map(resnet.apply_multi_grid, blocks[-1], grid))
    return blocks


def _variant(
    scope: str,
    units: tuple[int, ...],
    root: tuple[int, ...] = (64,),
    late: bool = False,
) -> Backbone:
    return Backbone(
        features=functools.partial(
            features, scope=scope, units=units, root=root, late=late
        ),
        style=Style(
            epsilon=1e-5, decay=0.95, kernel=initializers.HeNormal, padding="fixed"
        ),
        mean=CAFFE_MEAN,
        mean_pixel=CAFFE_MEAN,
    )


_R50, _R101, _R152 = (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)

VARIANTS = {
    "resnet_50": _variant("resnet_50", _R50),
    "resnet_101": _variant("resnet_101", _R101),
    "resnet_152": _variant("resnet_152", _R152),
    "resnet_50_deep": _variant("resnet_50", _R50, _DEEP),
    "resnet_101_deep": _variant("resnet_101", _R101, _DEEP, late=True),
    "resnet_152_deep": _variant("resnet_152", _R152, _DEEP, late=True),
}
