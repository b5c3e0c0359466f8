"""Settings -> network: normalize -> backbone -> head, one `keras.Model`."""

import dataclasses

import keras
from absl import logging
from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.backbones.backbone import MEAN_RGB, Backbone
from deeplab_tf.models.heads import HEADS
from deeplab_tf.models.layers import Style, Tensor
from deeplab_tf.settings import text


def build(
    config: ModelConfig,
    num_classes: int,
    *,
    input_size: tuple[int | None, int | None] = (None, None),
    frozen_batch_norm: bool = False,
    replicas: int = 1,
) -> keras.Model:
    """A network from images to logits.

    Args:
        config: The network.
        num_classes: Channels of the logits.
        input_size: Height, width; None for any.
        frozen_batch_norm: Train with the moving statistics as they are.
        replicas: Devices over which a training batch is spread.

    Returns:
        Images `[N, H, W, 3]`, RGB in 0...255 -> logits `[N, h, w, num_classes]` at the
        output stride, or that of the decoder. Bring them to image size with
        `resize.bilinear`.

    Raises:
        FlagError: An unknown variant, or settings that cannot be had together.
    """
    backbone = find_backbone(config)
    _warn_of_rates(config)
    style = _changed(Style(), config, frozen_batch_norm, replicas)
    images = keras.Input((*input_size, 3), name="images")
    features = backbone.features(
        _normalized(images, backbone),
        config,
        _changed(backbone.style, config, frozen_batch_norm, replicas),
    )
    head = HEADS["deeplab_v3plus" if config.decoder_output_stride else "deeplab_v3"]
    logits = head(features, num_classes, config, style)
    # Scores stay in float32 where the layers before compute in less.
    logits = layers.Activation("linear", dtype="float32", name="logits.float32")(logits)
    return keras.Model(images, logits, name=config.model_variant)


def find_backbone(config: ModelConfig) -> Backbone:
    """The backbone of `model_variant`.

    Raises:
        FlagError: There is none of that name, or it lacks a setting.
    """
    for field in dataclasses.fields(config):
        if field.name in _UNAVAILABLE and getattr(config, field.name) != field.default:
            raise FlagError(f"--{field.name} is not available yet: leave it out")
    if config.model_variant not in BACKBONES:
        raise FlagError(
            f"--model_variant={config.model_variant}: one of "
            f"{', '.join(BACKBONES)} is needed"
        )
    return BACKBONES[config.model_variant]


def _warn_of_rates(config: ModelConfig) -> None:
    """Rates of the other output stride halve or double what the ASPP sees."""
    usual = {8: (12, 24, 36), 16: (6, 12, 18)}
    stride, rates = config.output_stride, config.atrous_rates
    if stride in usual and rates != usual[stride] and rates in usual.values():
        logging.warning(
            "--atrous_rates are usually %s at --output_stride=%d, not %s",
            text(usual[stride]),
            stride,
            text(rates),
        )


_UNAVAILABLE = {
    "aspp_with_concat_projection",
    "aspp_with_squeeze_and_excitation",
    "decoder_output_is_logits",
    "decoder_use_sum_merge",
    "dense_prediction_cell_json",
    "image_pyramid",
    "image_se_uses_qsigmoid",
    "nas_remove_os32_stride",
    "nas_stem_output_num_conv_filters",
    "nas_use_classification_head",
    "use_bounded_activation",
}


def _changed(style: Style, config: ModelConfig, frozen: bool, replicas: int) -> Style:
    decay = config.batch_norm_decay
    return dataclasses.replace(
        style,
        decay=style.decay if decay is None else decay,
        frozen=frozen,
        replicas=replicas,
    )


def _normalized(images: Tensor, backbone: Backbone) -> Tensor:
    if backbone.subtracts_mean:
        offset = [-mean for mean in MEAN_RGB]
        return layers.Rescaling(1.0, offset=offset, name="normalized")(images)
    return layers.Rescaling(2.0 / 255.0, offset=-1.0, name="normalized")(images)
