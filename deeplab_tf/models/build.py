"""Settings -> network: normalize -> backbone -> head, one `keras.Model`."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import keras
from absl import logging
from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.config.fields import text
from deeplab_tf.errors import FlagError, InputError, one_of
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.backbones.backbone import Backbone
from deeplab_tf.models.heads import HEADS
from deeplab_tf.models.layers.blocks import Features, Style, Tensor
from deeplab_tf.models.layers.dropout import DropPathSchedule
from deeplab_tf.models.multi_scale import on_a_pyramid
from deeplab_tf.models.weight_names import layers_of, scope


def build(
    config: ModelConfig,
    num_classes: int,
    *,
    input_size: tuple[int | None, int | None] = (None, None),
    frozen_batch_norm: bool = False,
    replicas: int = 1,
    drop_path: DropPathSchedule | None = None,
    training_form: bool = False,
) -> keras.Model:
    """A network from images to logits.

    Args:
        config: The network.
        num_classes: Channels of the logits.
        input_size: Height, width; None for any.
        frozen_batch_norm: Train with the moving statistics as they are.
        replicas: Devices over which a training batch is spread.
        drop_path: Schedule of paths in the cells of a NAS network, in training.
        training_form: The graph that learns, where it differs from the one that
            predicts with the same weights; auxiliary logits are outputs, too.

    Returns:
        Images `[N, H, W, 3]`, RGB in 0...255 -> logits `[N, h, w, num_classes]` at
        `config.logits_stride`. Bring them to image size with `resize.bilinear`.

    Raises:
        FlagError: An unknown variant, or settings that cannot be had together.
    """
    _check_keras()
    backbone = find_backbone(config)
    if drop_path and not backbone.has_paths:
        raise FlagError(
            f"--drop_path_keep_prob: {config.model_variant} has no paths to drop, a "
            "NAS network has; leave it at 1"
        )
    if backbone.only_for not in ("", config.head):
        raise FlagError(
            f"--model_variant={config.model_variant} is for "
            f"--architecture={backbone.only_for}, not for {config.head}"
        )
    _warn_of_rates(config)
    training = {
        "frozen": frozen_batch_norm,
        "replicas": replicas,
        "drop_path": drop_path,
        "training_form": training_form,
    }
    make = functools.partial(_network, config, num_classes, training)
    if config.image_pyramid in ((), (1.0,)):
        return make(input_size)
    _check_pyramid(config, training_form=training_form)
    return on_a_pyramid(make((None, None)), config, input_size)


def _check_pyramid(config: ModelConfig, *, training_form: bool) -> None:
    if training_form and HEADS[config.head].auxiliary:
        raise FlagError(
            f"--image_pyramid: {config.head} learns from auxiliary logits at one "
            "scale; leave it out"
        )
    if config.dense_prediction_cell_json:
        raise FlagError(
            "--image_pyramid and --dense_prediction_cell_json do not go together: the "
            "official code has a cell of its own for each scale"
        )


def _network(
    config: ModelConfig,
    num_classes: int,
    training: Mapping[str, Any],
    input_size: tuple[int | None, int | None],
) -> keras.Model:
    """Of an image at one scale; `training` is what changes the style of all layers."""
    backbone, head = find_backbone(config), HEADS[config.head]
    own, head_style = backbone.style, Style()
    if config.use_bounded_activation:
        head_style = _bound(head_style)
        own = _bound(own) if backbone.is_boundable else own
    style, own = (_adapt(each, config, training) for each in (head_style, own))
    own = dataclasses.replace(own, vgg_form=head.vgg_form)
    if head.frozen_batch_norm:
        own = dataclasses.replace(own, frozen=True, fixed=True)
    images = keras.Input((*input_size, 3), name="images")
    normalized = _normalize(images, backbone)
    features = backbone.features(normalized, config, own)
    features |= {"images": images, "normalized": normalized}
    logits = [
        # Scores stay in float32 where the layers before compute in less.
        layers.Activation("linear", dtype="float32", name=f"{name}.float32")(scores)
        for name, scores in _scores(features, num_classes, config, style).items()
    ]
    outputs = logits if len(logits) > 1 else logits[0]
    model = keras.Model(images, outputs, name=_name(config))
    _freeze(model, head.frozen)
    return model


def _scores(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> dict[str, Tensor]:
    """Logits of what learns, by name; those of the network itself come last."""
    head = HEADS[config.head]
    functions = {"logits": head.function}
    if style.training_form and head.auxiliary:
        functions = {"auxiliary": head.auxiliary} | functions
    try:
        return {
            name: function(features, num_classes, config, style)
            for name, function in functions.items()
        }
    except KeyError as missing:
        raise FlagError(
            f"--model_variant={config.model_variant} has no features {missing}, which "
            f"--architecture={config.head} needs; {config.facts.model_variant} has"
        ) from None


def _freeze(model: keras.Model, scopes: tuple[str, ...]) -> None:
    """Lets weights stay that the architecture does not train."""
    for layer in layers_of(model):
        if scope(layer).startswith(scopes):
            layer.trainable = False


def _name(config: ModelConfig) -> str:
    return f"{config.architecture}.{config.model_variant}".lstrip(".")


def _check_keras() -> None:
    """Raises where `keras.json` or the program has set what layers here do not know."""
    for name, needed in (("image_data_format", "channels_last"), ("floatx", "float32")):
        value = getattr(keras.config, name)()
        if value != needed:
            raise InputError(
                f"Keras has {name} {value}, by ~/.keras/keras.json or the program; "
                f'{needed} is needed: keras.config.set_{name}("{needed}")'
            )


def find_backbone(config: ModelConfig) -> Backbone:
    """The backbone of `model_variant`.

    Raises:
        FlagError: There is none of that name.
    """
    if config.model_variant not in BACKBONES:
        raise FlagError(
            f"--model_variant={config.model_variant}: "
            f"{one_of(config.model_variant, BACKBONES)}"
        )
    return BACKBONES[config.model_variant]


def multiple(config: ModelConfig) -> int:
    """Corners stay aligned where the sides of images are a multiple of it plus one."""
    own = find_backbone(config).multiple or HEADS[config.head].multiple
    return own or config.output_stride


def _warn_of_rates(config: ModelConfig) -> None:
    """Rates of the other output stride halve or double what the ASPP sees."""
    usual = {8: (12, 24, 36), 16: (6, 12, 18)}
    stride, rates = config.output_stride, config.atrous_rates
    if config.head not in ("deeplab_v3", "deeplab_v3plus"):
        return
    if stride in usual and rates != usual[stride] and rates in usual.values():
        logging.warning(
            "--atrous_rates are usually %s at --output_stride=%d, not %s",
            text(usual[stride]),
            stride,
            text(rates),
        )


def _bound(style: Style) -> Style:
    """For quantization, where a pad layer would stand apart from its convolution."""
    return dataclasses.replace(style, activation="relu6", bounded=True, padding="same")


def _adapt(style: Style, config: ModelConfig, training: Mapping[str, Any]) -> Style:
    own = HEADS[config.head].batch_norm_decay
    decays = (config.batch_norm_decay, own, style.decay)
    decay = next(decay for decay in decays if decay is not None)
    return dataclasses.replace(style, decay=decay, **training)


def _normalize(images: Tensor, backbone: Backbone) -> Tensor:
    if backbone.mean:
        offset = [-mean for mean in backbone.mean]
        return layers.Rescaling(1.0, offset=offset, name="normalized")(images)
    return layers.Rescaling(2.0 / 255.0, offset=-1.0, name="normalized")(images)
