"""Atrous spatial pyramid pooling.

Reference: Chen et al. 2017, section 3.3, https://arxiv.org/abs/1706.05587.
"""

import dataclasses

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.heads import dense_prediction_cell
from deeplab_tf.models.layers.blocks import (
    Features,
    Style,
    Tensor,
    biased_conv,
    conv,
    global_mean,
    quick_sigmoid,
    resize_like,
    separable_conv,
)
from deeplab_tf.models.layers.dropout import Dropout

# Of all that `encode` makes.
SCOPES = ("image_pooling", "aspp", "concat_projection", dense_prediction_cell.SCOPE)


def encode(features: Features, config: ModelConfig, style: Style) -> Tensor:
    """Encoder output before logits or decoder: ASPP, searched cell or bare features."""
    x = features["c5"]
    if config.dense_prediction_cell_json:
        return dense_prediction_cell.cell(x, config, style)
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
        name, at = f"aspp{i}", StrideRate(1, rate)
        if config.aspp_with_separable_conv:
            branch = separable_conv(x, filters, style=style, name=name, at=at)
        else:
            branch = conv(x, filters, 3, style=style, name=name, at=at)
        branches.append(branch)
    gated = config.aspp_with_squeeze_and_excitation and config.add_image_level_feature
    if config.add_image_level_feature and not gated:
        # First, as official checkpoints have it.
        branches.insert(0, image_pooling(x, config, style))
    merged = _merge(branches, config, style)
    return _gate(merged, x, config, style) if gated else merged


def _merge(branches: list[Tensor], config: ModelConfig, style: Style) -> Tensor:
    if len(branches) > 1:
        x = layers.Concatenate(name="aspp.concat")(branches)
    else:
        (x,) = branches
    if not config.aspp_with_concat_projection:
        return x
    x = conv(x, config.aspp_convs_filters, 1, style=style, name="concat_projection")
    return Dropout(0.1, name="concat_projection_dropout")(x)


def _gate(merged: Tensor, x: Tensor, config: ModelConfig, style: Style) -> Tensor:
    """Weighs the branches by what image pooling sees, as MobileNetV3's head does.

    Reference: Howard et al. 2019, section 5.2, https://arxiv.org/abs/1905.02244.
    """
    filters = config.aspp_convs_filters
    if merged.shape[-1] != filters:
        raise FlagError(
            "--aspp_with_squeeze_and_excitation with --atrous_rates needs "
            "--aspp_with_concat_projection"
        )
    gate = _pool_image(x, config)
    gate = biased_conv(gate, filters, 1, style=style, name="image_pooling")
    if config.image_se_uses_qsigmoid:
        gate = quick_sigmoid(gate, name="image_pooling.gate")
    else:
        gate = layers.Activation("sigmoid", name="image_pooling.gate")(gate)
    gate = resize_like(gate, merged, name="image_pooling.resize")
    return layers.Multiply(name="aspp.gated")([merged, gate])


def image_pooling(x: Tensor, config: ModelConfig, style: Style) -> Tensor:
    """The image's mean features, or means over windows, at every position."""
    pooled = _pool_image(x, config)
    # A plain ReLU, also where activations are bounded.
    style = dataclasses.replace(style, activation="relu")
    filters = config.aspp_convs_filters
    pooled = conv(pooled, filters, 1, style=style, name="image_pooling")
    return resize_like(pooled, x, name="image_pooling.resize")


def _pool_image(x: Tensor, config: ModelConfig) -> Tensor:
    if config.image_pooling_crop_size is None:
        return global_mean(x, name="image_pooling.mean")
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
