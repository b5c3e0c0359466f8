"""DeepLab v3+: a decoder brings the borders back from earlier features.

Reference: Chen et al. 2018, section 3.2, https://arxiv.org/abs/1802.02611.
"""

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.heads.aspp import encode
from deeplab_tf.models.heads.logits import logits
from deeplab_tf.models.layers import (
    Features,
    Style,
    Tensor,
    conv,
    resize_like,
    separable_conv,
)

_LEVELS = {4: "c2", 8: "c3", 16: "c4"}


def head(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits at the least decoder stride, `[N, H/4, W/4, num_classes]`."""
    x = encode(features, config, style)
    for stage, stride in enumerate(config.decoder_output_stride):
        if stride > config.output_stride:
            raise FlagError(
                f"--decoder_output_stride={stride} is above "
                f"--output_stride={config.output_stride}"
            )
        suffix = f"_{stage}" if stage else ""
        x = decode(x, features[_LEVELS[stride]], config, style, suffix=suffix)
    return logits(x, num_classes, config)


def decode(
    x: Tensor, low_level: Tensor, config: ModelConfig, style: Style, *, suffix: str
) -> Tensor:
    """Refines `x` at the size of `low_level`: `[N, H, W, decoder_filters]`.

    Reference: 48 channels of the low level, then two 3x3 convolutions: section 4.1.
    """
    name = f"decoder.feature_projection0{suffix}"
    low_level = conv(low_level, 48, 1, style=style, name=name)
    x = resize_like(x, low_level, name=f"decoder.resize{suffix}")
    x = layers.Concatenate(name=f"decoder.concat{suffix}")([x, low_level])
    for i in range(2):
        if config.decoder_use_separable_conv:
            name = f"decoder.decoder_conv{i}{suffix}"
            x = separable_conv(x, config.decoder_filters, style=style, name=name)
        else:
            repeated = f"decoder_conv0{suffix}"
            name = f"decoder.{repeated}.{repeated}_{i + 1}"
            x = conv(x, config.decoder_filters, 3, style=style, name=name)
    return x
