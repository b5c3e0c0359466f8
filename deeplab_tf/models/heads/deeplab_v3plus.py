"""DeepLab v3+: a decoder brings the borders back from earlier features.

Reference: Chen et al. 2018, section 3.2, https://arxiv.org/abs/1802.02611.
"""

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.heads.aspp import encode
from deeplab_tf.models.heads.logits import logits
from deeplab_tf.models.layers.blocks import (
    Features,
    Style,
    Tensor,
    biased_conv,
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
        if _LEVELS[stride] not in features:
            raise FlagError(
                f"--decoder_output_stride={stride}: {config.model_variant} has no "
                "features for a decoder there"
            )
        suffix = f"_{stage}" if stage else ""
        x = decode(x, features[_LEVELS[stride]], config, style, suffix=suffix)
    if not config.decoder_output_is_logits:
        return logits(x, num_classes, config)
    if config.decoder_filters != num_classes:
        raise FlagError(
            f"--decoder_output_is_logits needs --decoder_filters={num_classes}, the "
            "number of classes"
        )
    return x


def decode(
    x: Tensor, low_level: Tensor, config: ModelConfig, style: Style, *, suffix: str
) -> Tensor:
    """Refines `x` at the size of `low_level`: `[N, H, W, decoder_filters]`.

    Reference: 48 channels of the low level, then two 3x3 convolutions: section 4.1.
    The sum in place of them: Howard et al. 2019, section 6.4,
    https://arxiv.org/abs/1905.02244.
    """
    by_sum = config.decoder_use_sum_merge
    name = f"decoder.feature_projection0{suffix}"
    filters = config.decoder_filters if by_sum else 48
    project = biased_conv if config.decoder_output_is_logits else conv
    low_level = project(low_level, filters, 1, style=style, name=name)
    x = resize_like(x, low_level, name=f"decoder.resize{suffix}")
    if by_sum:
        x = _conv(x, config, style, suffix=suffix)
        return layers.Add(name=f"decoder.sum{suffix}")([x, low_level])
    x = layers.Concatenate(name=f"decoder.concat{suffix}")([x, low_level])
    for i in range(2):
        x = _conv(x, config, style, suffix=suffix, repeated=i)
    return x


def _conv(
    x: Tensor,
    config: ModelConfig,
    style: Style,
    *,
    suffix: str,
    repeated: int | None = None,
) -> Tensor:
    """The one convolution before a sum, or one of the two after concatenation."""
    filters, once = config.decoder_filters, repeated is None
    if config.decoder_use_separable_conv and not config.decoder_output_is_logits:
        name = "decoder_split_sep_conv0" if once else f"decoder_conv{repeated}"
        return separable_conv(x, filters, style=style, name=f"decoder.{name}{suffix}")
    name = f"decoder_conv0{suffix}"
    if repeated is not None:
        name = f"{name}.{name}_{repeated + 1}"
    name = f"decoder.{name}"
    if config.decoder_output_is_logits:
        return biased_conv(x, filters, 1 if once else 3, style=style, name=name)
    return conv(x, filters, 3, style=style, name=name)
