"""VGG-16 at any output stride, or in the form in which a network took it over.

Reference: Simonyan, Zisserman 2014, https://arxiv.org/abs/1409.1556. The head brings
the form (`vgg_form`); the convolutions and so the weights are the same in all.
"""

from keras import initializers, layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models import atrous
from deeplab_tf.models.backbones.backbone import CAFFE_MEAN, Backbone
from deeplab_tf.models.layers import unpooling
from deeplab_tf.models.layers.blocks import (
    Features,
    StrideRate,
    Style,
    Tensor,
    biased_conv,
    width,
)
from deeplab_tf.models.layers.reflect_pad import Mirror
from deeplab_tf.models.vgg_form import HALVE, Form, Pool

_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # Filters, convolutions.


def features(images: Tensor, config: ModelConfig, style: Style) -> Features:
    """Features of VGG-16.

    Args:
        images: `[N, H, W, 3]`.
        config: Width, and the output stride where no form decides it.
        style: Of the layers, and the form.

    Returns:
        "conv1" to "conv5" and "pool1" to "pool5", each before and after pooling, beside
        "c2" to "c5"; for SegNet "indices1" to "indices5", too.
    """
    form = style.vgg_form
    if form is None:
        outputs = _atrous(images, config, style)
    elif form.indices:
        outputs = _with_indices(images, config, style)
    else:
        outputs = _in_form(images, form, config, style)
    levels = {"c2": "conv3", "c3": "conv4", "c4": "conv5", "c5": "pool5"}
    return outputs | {level: outputs[name] for level, name in levels.items()}


def _in_form(images: Tensor, form: Form, config: ModelConfig, style: Style) -> Features:
    """The trunk as a network was published."""
    x, outputs = images, {}
    if form.pad:
        x = layers.ZeroPadding2D(form.pad, name="vgg_16.pad")(x)
    if form.valid:
        # fc6 included, a network loses 186 pixels on each side.
        x = Mirror(186, 8, spare=form.spare, name="mirror")(x)
        style = style.with_padding("valid")
    # Its zeros are among those above: OpenVINO forgets a convolution's behind zeros.
    first = style.with_padding("valid") if form.pad else style
    pools = (style.training_form and form.training_pools) or form.pools
    for block, pool in enumerate(pools, start=1):
        rate = form.rate if block == 5 else 1
        start = first if block == 1 else None
        x = _block(x, block, config, style, rate=rate, first=start)
        outputs[f"conv{block}"] = x
        if pool:
            x = _max_pool(x, pool, name=f"vgg_16.pool{block}")
        outputs[f"pool{block}"] = x
    return outputs


def _with_indices(images: Tensor, config: ModelConfig, style: Style) -> Features:
    """The trunk with batch norm, and with the places of the maxima."""
    x, outputs = images, {}
    for block, (filters, count) in enumerate(_BLOCKS, start=1):
        for i in range(1, count + 1):
            name = f"vgg_16.conv{block}.conv{block}_{i}"
            x = unpooling.conv(x, width(filters, config), 3, style=style, name=name)
        outputs[f"conv{block}"] = x
        pool = unpooling.PoolWithIndices(name=f"vgg_16.pool{block}")
        x, outputs[f"indices{block}"] = pool(x)
        outputs[f"pool{block}"] = x
    return outputs


def _atrous(images: Tensor, config: ModelConfig, style: Style) -> Features:
    """The trunk at any output stride: pools that keep the size dilate what follows."""
    x, outputs = images, {}
    for block, at in enumerate(atrous.plan((2,) * 5, config.output_stride), start=1):
        outputs[f"conv{block}"] = x = _block(x, block, config, style, rate=at.rate)
        name = f"vgg_16.pool{block}"
        if at.stride > 1:
            x = _max_pool(x, HALVE, name=name)
        else:
            x = _dense_pool(x, at.rate, name=name)
        outputs[f"pool{block}"] = x
    return outputs


def _block(
    x: Tensor,
    block: int,
    config: ModelConfig,
    style: Style,
    *,
    rate: int,
    first: Style | None = None,
) -> Tensor:
    """Convolutions of 3x3, the first of which may have a style of its own."""
    filters, count = _BLOCKS[block - 1]
    for i in range(1, count + 1):
        x = biased_conv(
            x,
            width(filters, config),
            3,
            style=first if first and i == 1 else style,
            at=StrideRate(1, rate),
            activation=True,
            name=f"vgg_16.conv{block}.conv{block}_{i}",
        )
    return x


def _max_pool(x: Tensor, pool: Pool, *, name: str) -> Tensor:
    if pool.before or pool.after:
        pads = (pool.before, pool.after)
        x = layers.ZeroPadding2D((pads, pads), name=f"{name}.pad")(x)
    return layers.MaxPooling2D(pool.kernel_size, pool.stride, name=name)(x)


def _dense_pool(x: Tensor, rate: int, *, name: str) -> Tensor:
    """The maximum of 2x2 pixels that lie `rate` apart, at every pixel."""
    for axis, shift in (("rows", (rate, 0)), ("columns", (0, rate))):
        pads = tuple((0, length) for length in shift)
        crops = tuple((length, 0) for length in shift)
        moved = layers.ZeroPadding2D(pads, name=f"{name}.{axis}.pad")(x)
        moved = layers.Cropping2D(crops, name=f"{name}.{axis}.moved")(moved)
        x = layers.Maximum(name=f"{name}.{axis}")([x, moved])
    return x


VARIANTS = {
    "vgg_16": Backbone(
        features=features,
        style=Style(kernel=initializers.HeNormal, padding="fixed"),
        mean=CAFFE_MEAN,
        mean_pixel=CAFFE_MEAN,
    )
}
