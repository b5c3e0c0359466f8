"""Fully convolutional networks: 32s, 16s, 8s, and 8s trained at once.

Reference: Long, Shelhamer, Darrell 2015, section 4, https://arxiv.org/abs/1411.4038,
and the released networks, which fix all deconvolutions and start all scores at zero.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

from keras import initializers, layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.heads.fully_connected import FC, Fc6, fully_connected
from deeplab_tf.models.heads.head import Head, HeadFunction
from deeplab_tf.models.layers.blocks import Features, Style, Tensor
from deeplab_tf.models.layers.initializers import BilinearKernel
from deeplab_tf.models.layers.resize import CropLike
from deeplab_tf.models.vgg_form import HALVE, Form


class Skip(NamedTuple):
    """Scores of an earlier pool, added once the coarser ones are twice as large.

    Attributes:
        tap: The pool.
        offset: Rows and columns by which the zeros around the image shift its map
            against the other one: the difference of the image positions of their first
            cells, over their spacing.
        scale: Fixed factor before the scores; 1 for none.
    """

    tap: str
    offset: int
    scale: float = 1.0


def head(
    features: Features,
    num_classes: int,
    config: ModelConfig,
    style: Style,
    *,
    skips: tuple[Skip, ...] = (),
    offset: int,
    learned: bool = False,
) -> Tensor:
    """Logits at image size, `[N, H, W, num_classes]`.

    Args:
        features: Pools of VGG-16 with the image padded by 100; any size from 1x1.
        num_classes: Channels of the logits.
        config: The width, as a factor.
        style: Of the layers.
        skips: From coarse to fine.
        offset: Where the image begins in the last, upsampled map.
        learned: Deconvolutions before the last learn, from the bilinear start.
    """
    valid = style.with_padding("valid")
    x = fully_connected(features["pool5"], config, valid, Fc6())
    x = score(x, num_classes, name="fr")
    for skip in skips:
        name = "2" if skip.tap == "pool4" else f"_{skip.tap}"
        biased = learned and skip.tap == "pool4"  # As CRF-RNN's trunk was released.
        x = upscore(x, 2, name=name, learned=learned, biased=biased)
        side = _scale(features[skip.tap], skip)
        side = score(side, num_classes, name=skip.tap)
        side = CropLike(skip.offset, name=f"logits.crop_{skip.tap}")([side, x])
        x = layers.Add(name=f"logits.fuse_{skip.tap}")([x, side])
    stride = 32 // 2 ** len(skips)
    x = upscore(x, stride, name=str(stride))
    return CropLike(offset, name="logits.crop")([x, features["images"]])


def score(x: Tensor, num_classes: int, *, name: str) -> Tensor:
    """A 1x1 classifier that starts at zero."""
    return layers.Conv2D(
        num_classes, 1, kernel_initializer="zeros", name=f"logits.score_{name}"
    )(x)


def upscore(
    x: Tensor, stride: int, *, name: str, learned: bool = False, biased: bool = False
) -> Tensor:
    """Bilinear interpolation as a deconvolution, `stride (n - 1) + 2 stride` long."""
    return layers.Conv2DTranspose(
        x.shape[-1],
        2 * stride,
        strides=stride,
        use_bias=biased,
        kernel_initializer=BilinearKernel(),
        trainable=learned,
        name=f"logits.upscore{name}",
    )(x)


def _scale(x: Tensor, skip: Skip) -> Tensor:
    """The pool times a fixed factor a channel, that lets all strides learn at once."""
    if skip.scale == 1.0:
        return x
    return layers.DepthwiseConv2D(
        1,
        use_bias=False,
        depthwise_initializer=initializers.Constant(skip.scale),
        trainable=False,
        name=f"vgg_16.scale_{skip.tap}",
    )(x)


_POOL4, _POOL3 = Skip("pool4", 5), Skip("pool3", 9)
_AT_ONCE = (_POOL4._replace(scale=0.01), _POOL3._replace(scale=0.0001))


fcn8s = functools.partial(head, skips=(_POOL4, _POOL3), offset=31)


def _row(function: HeadFunction) -> Head:
    # The zeros around let an image of one pixel pass, too.
    return Head(
        function,
        pretrained=(FC, "vgg_16/scale"),
        vgg_form=Form((HALVE,) * 5, pad=100),
        multiple=1,
    )


HEADS: Mapping[str, Head] = {
    "fcn32s": _row(functools.partial(head, offset=19)),
    "fcn16s": _row(functools.partial(head, skips=(_POOL4,), offset=27)),
    "fcn8s": _row(fcn8s),
    "fcn8s_at_once": _row(functools.partial(head, skips=_AT_ONCE, offset=31)),
}
