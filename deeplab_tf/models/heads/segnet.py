"""SegNet's decoders: each pool undone by its indices, then made dense.

Reference: Badrinarayanan et al. 2017, section 3, https://arxiv.org/abs/1511.00561, and
the released prototxts.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

from keras import initializers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.heads.head import Head
from deeplab_tf.models.layers.blocks import Features, Style, Tensor, biased_conv, width
from deeplab_tf.models.layers.unpooling import Unpool, conv
from deeplab_tf.models.vgg_form import HALVE, Form


class Decoders(NamedTuple):
    """What differs between SegNet and SegNet-Basic.

    Attributes:
        filters: Of the convolutions after each unpooling, from coarse to fine; pools
            are numbered down to 1.
        kernel_size: Of them.
        activation: After their batch norm.
        classifier: Kernel size of the last layer.
    """

    filters: tuple[tuple[int, ...], ...]
    kernel_size: int
    activation: bool
    classifier: int


def head(
    features: Features,
    num_classes: int,
    config: ModelConfig,
    style: Style,
    *,
    decoders: Decoders,
) -> Tensor:
    """Logits at image size, `[N, H, W, num_classes]`, of an image of any size.

    Args:
        features: "conv1", "indices1" and so on, and "c5", the last pool.
        num_classes: Channels of the logits.
        config: The width, as a factor.
        style: Of the layers.
        decoders: Which form.
    """
    style = dataclasses.replace(style, kernel=initializers.HeNormal)
    x = features["c5"]
    for block, filters in zip(
        range(len(decoders.filters), 0, -1), decoders.filters, strict=True
    ):
        name = f"segnet.decode{block}"
        places = [features[f"indices{block}"], features[f"conv{block}"]]
        x = Unpool(name=f"{name}.unpool")([x, *places])
        for i, count in enumerate(filters, start=1):
            x = conv(
                x,
                width(count, config),
                decoders.kernel_size,
                style=style,
                activation=decoders.activation,
                name=f"{name}.conv{i}",
            )
    return biased_conv(
        x, num_classes, decoders.classifier, style=style, name="logits.classifier"
    )


_VGG = Decoders(
    ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,)), 3, True, 3
)
_BASIC = Decoders(((64,),) * 4, 7, False, 1)


# Released networks take their statistics from the training images, once trained.
_ON_VGG = Head(
    functools.partial(head, decoders=_VGG),
    scopes=("logits", "segnet/"),
    vgg_form=Form((HALVE,) * 5, indices=True),
    multiple=1,
    batch_norm_decay=0.95,
)

HEADS: Mapping[str, Head] = {
    "segnet": _ON_VGG,
    "segnet_basic": dataclasses.replace(
        _ON_VGG, function=functools.partial(head, decoders=_BASIC), vgg_form=None
    ),
}
