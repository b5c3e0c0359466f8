"""Atrous spatial pyramid pooling.

Reference: Chen et al. 2017, section 3.3, https://arxiv.org/abs/1706.05587.
"""

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.atrous import Step
from deeplab_tf.models.layers import (
    Features,
    Style,
    Tensor,
    conv,
    resize_like,
    separable_conv,
)


def encode(features: Features, config: ModelConfig, style: Style) -> Tensor:
    """What logits or decoder start from: the ASPP, or the bare features without it."""
    x = features["c5"]
    return aspp(x, config, style) if config.aspp_with_batch_norm else x


def aspp(x: Tensor, config: ModelConfig, style: Style) -> Tensor:
    """Looks at features through several fields of view at once.

    Args:
        x: Features, `[N, h, w, C]`.
        config: Rates, filters, and which branches there are.
        style: Of the layers.

    Returns:
        `[N, h, w, aspp_convs_filters]`.
    """
    filters = config.aspp_convs_filters
    branches = [conv(x, filters, 1, style=style, name="aspp0")]
    for i, rate in enumerate(config.atrous_rates, start=1):
        name, step = f"aspp{i}", Step(1, rate)
        if config.aspp_with_separable_conv:
            branch = separable_conv(x, filters, style=style, name=name, step=step)
        else:
            branch = conv(x, filters, 3, style=style, name=name, step=step)
        branches.append(branch)
    if config.add_image_level_feature:
        # First, as official checkpoints have it.
        branches.insert(0, image_pooling(x, config, style))
    if len(branches) > 1:
        x = layers.Concatenate(name="aspp.concat")(branches)
    else:
        (x,) = branches
    x = conv(x, filters, 1, style=style, name="concat_projection")
    return layers.Dropout(0.1, name="concat_projection_dropout")(x)


def image_pooling(x: Tensor, config: ModelConfig, style: Style) -> Tensor:
    """The image's mean features, or means over windows, at every position."""
    pooled = _pooled(x, config)
    filters = config.aspp_convs_filters
    pooled = conv(pooled, filters, 1, style=style, name="image_pooling")
    return resize_like(pooled, x, name="image_pooling.resize")


def _pooled(x: Tensor, config: ModelConfig) -> Tensor:
    if config.image_pooling_crop_size is None:
        return layers.GlobalAveragePooling2D(keepdims=True, name="image_pooling.mean")(
            x
        )
    stride = config.output_stride
    window = [(side - 1) // stride + 1 for side in config.image_pooling_crop_size]
    for side, length in zip(window, x.shape[1:3], strict=True):
        if length is not None and side > length:
            size = ",".join(map(str, config.image_pooling_crop_size))
            raise FlagError(
                f"--image_pooling_crop_size={size} is larger than the image"
            )
    return layers.AveragePooling2D(
        window, config.image_pooling_stride, name="image_pooling.mean"
    )(x)
