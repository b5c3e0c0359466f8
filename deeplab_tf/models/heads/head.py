"""What a head is: scores of features, and what only it knows of its network."""

import dataclasses
from collections.abc import Callable

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.layers.blocks import Features, Style, Tensor
from deeplab_tf.models.vgg_form import Form

HeadFunction = Callable[[Features, int, ModelConfig, Style], Tensor]

AUXILIARY = "auxiliary/"  # Scope of what training alone has.
# Scopes of the layers that hold scores of classes, whatever the head.
LOGITS = ("logits", f"{AUXILIARY}logits")


@dataclasses.dataclass(frozen=True)
class Head:
    """A head with the facts of its network.

    Scopes are what official names of weights begin with, as "decoder". Every layer with
    weights that the head makes is in one of `scopes` or of `pretrained`.

    Attributes:
        function: (features, number of classes, settings, style) -> logits `[N, h, w,
            num_classes]`, at any stride.
        auxiliary: Logits from earlier features, which training alone has; its layers
            are in the scope `AUXILIARY`.
        scopes: Of the last layers, logits among them: those that start anew with
            --initialize_last_layer=false, and that the multiplier of gradients is for.
        pretrained: Of its layers that count as the feature extractor's for both, as
            VGG's fc6 does.
        float32: Of the layers that stay float32 in mixed precision: scores, with all
            that adds and resizes them.
        vgg_form: Of VGG-16, where the head needs another than that at any stride.
        multiple: Sides of images, less one, should be one of it; by default of the
            output stride.
        label_grid: First pixel, and distance to the next, of those that its training
            form scores; by default it scores a grid from corner to corner.
        frozen: Scopes of weights that training leaves as they are.
        frozen_batch_norm: Statistics, scale and offset of the feature extractor stay.
        batch_norm_decay: Of moving statistics, in place of that of each family.
    """

    function: HeadFunction
    _: dataclasses.KW_ONLY
    auxiliary: HeadFunction | None = None
    scopes: tuple[str, ...] = ("logits",)
    pretrained: tuple[str, ...] = ()
    float32: tuple[str, ...] = ("logits",)
    vgg_form: Form | None = None
    multiple: int | None = None
    label_grid: tuple[int, int] | None = None
    frozen: tuple[str, ...] = ()
    frozen_batch_norm: bool = False
    batch_norm_decay: float | None = None
