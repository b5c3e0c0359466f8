"""Settings -> network: normalize -> backbone -> head, one `keras.Model`."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import keras
from absl import logging
from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.backbones.backbone import MEAN_RGB, Backbone
from deeplab_tf.models.custom import ResizeTo
from deeplab_tf.models.drop_path import Dropping
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
    dropping: Dropping | None = None,
) -> keras.Model:
    """A network from images to logits.

    Args:
        config: The network.
        num_classes: Channels of the logits.
        input_size: Height, width; None for any.
        frozen_batch_norm: Train with the moving statistics as they are.
        replicas: Devices over which a training batch is spread.
        dropping: Of paths in the cells of a NAS network, in training.

    Returns:
        Images `[N, H, W, 3]`, RGB in 0...255 -> logits `[N, h, w, num_classes]` at the
        output stride, or that of the decoder. Bring them to image size with
        `resize.bilinear`.

    Raises:
        FlagError: An unknown variant, or settings that cannot be had together.
    """
    if dropping and not find_backbone(config).has_paths:
        raise FlagError(
            f"--drop_path_keep_prob: {config.model_variant} has no paths to drop, a "
            "NAS network has; leave it at 1"
        )
    _warn_of_rates(config)
    training = {"frozen": frozen_batch_norm, "replicas": replicas, "dropping": dropping}
    make = functools.partial(_network, config, num_classes, training)
    if config.image_pyramid in ((), (1.0,)):
        return make(input_size)
    if config.dense_prediction_cell_json:
        raise FlagError(
            "--image_pyramid and --dense_prediction_cell_json do not go together: the "
            "official code has a cell of its own for each scale"
        )
    return _on_a_pyramid(make((None, None)), config, input_size)


def _network(
    config: ModelConfig,
    num_classes: int,
    training: Mapping[str, Any],
    input_size: tuple[int | None, int | None],
) -> keras.Model:
    """Of an image at one scale; `training` is what changes the style of all layers."""
    backbone = find_backbone(config)
    own, head_style = backbone.style, Style()
    if config.use_bounded_activation:
        head_style = _bounded(head_style)
        own = _bounded(own) if backbone.is_boundable else own
    style = _changed(head_style, config, training)
    images = keras.Input((*input_size, 3), name="images")
    features = backbone.features(
        _normalized(images, backbone), config, _changed(own, config, training)
    )
    head = HEADS["deeplab_v3plus" if config.decoder_output_stride else "deeplab_v3"]
    logits = head(features, num_classes, config, style)
    # Scores stay in float32 where the layers before compute in less.
    logits = layers.Activation("linear", dtype="float32", name="logits.float32")(logits)
    return keras.Model(images, logits, name=config.model_variant)


def _on_a_pyramid(
    network: keras.Model, config: ModelConfig, input_size: tuple[int | None, int | None]
) -> keras.Model:
    """The network on its input at several scales, the logits merged.

    Reference: Chen et al. 2016, section 4.1.2, https://arxiv.org/abs/1606.00915.
    """
    images = keras.Input((*input_size, 3), name="images")
    size = max(1.0, *config.image_pyramid) / config.logits_stride
    found = []
    for scale in config.image_pyramid:
        scaled = ResizeTo(scale, name=f"image.{scale:g}")([images, images])
        logits = network(scaled)
        found.append(ResizeTo(size, name=f"logits.{scale:g}")([logits, images]))
    merge = layers.Maximum if config.merge_method == "max" else layers.Average
    merged = merge(name="merged_logits")(found) if len(found) > 1 else found[0]
    return keras.Model(images, merged, name=f"{config.model_variant}.pyramid")


def each_scale(model: keras.Model, config: ModelConfig) -> keras.Model:
    """The network with logits of each scale of an image pyramid beside the merged ones.

    All of them learn: Chen et al. 2016, section 4.1.2.
    """
    if len(config.image_pyramid) < 2:
        return model
    names = [f"logits.{scale:g}" for scale in config.image_pyramid]
    outputs = [model.get_layer(name).output for name in names]
    return keras.Model(model.input, [*outputs, model.output], name=model.name)


def find_backbone(config: ModelConfig) -> Backbone:
    """The backbone of `model_variant`.

    Raises:
        FlagError: There is none of that name.
    """
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


def _bounded(style: Style) -> Style:
    """For quantization, where a pad layer would stand apart from its convolution."""
    return dataclasses.replace(style, activation="relu6", bounded=True, padding="same")


def _changed(style: Style, config: ModelConfig, training: Mapping[str, Any]) -> Style:
    decay = config.batch_norm_decay
    decay = style.decay if decay is None else decay
    return dataclasses.replace(style, decay=decay, **training)


def _normalized(images: Tensor, backbone: Backbone) -> Tensor:
    if backbone.subtracts_mean:
        offset = [-mean for mean in MEAN_RGB]
        return layers.Rescaling(1.0, offset=offset, name="normalized")(images)
    return layers.Rescaling(2.0 / 255.0, offset=-1.0, name="normalized")(images)
