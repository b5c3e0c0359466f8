"""DeepLab v1 as released: base, 7x7, large field of view, and multi-scale branches.

Reference: Chen et al. 2014, https://arxiv.org/abs/1412.7062. Paper and released code
differ in the pools (3x3 but in the base network) and in how branches join: the paper
concatenates features before the classifier, the code adds classifiers: one function.
"""

import dataclasses
import functools
from collections.abc import Mapping

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.heads.fully_connected import FC, Fc6, fully_connected
from deeplab_tf.models.heads.head import Head
from deeplab_tf.models.layers.blocks import (
    Features,
    Style,
    Tensor,
    biased_conv,
    resize_like,
    width,
)
from deeplab_tf.models.layers.dropout import Dropout
from deeplab_tf.models.layers.initializers import normal
from deeplab_tf.models.layers.resize import CropLike, ResizeTo
from deeplab_tf.models.vgg_form import Form, Pool

BASE, LARGE_FOV = Fc6(4, 4), Fc6(3, 12, 1024)
_BRANCHES = {"normalized": 8, "pool1": 4, "pool2": 2, "pool3": 1, "pool4": 1}


def base(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """fc6 of 4x4 at rate 4, with pools that put no cell on the image's corner.

    In training, cell i is at pixel 8 i + 1, and logits are at the output stride;
    otherwise cells begin 8 pixels earlier, and logits are at image size.
    """
    x = head(features, num_classes, config, style, fc6=BASE)
    if style.training_form:
        return x
    x = ResizeTo(8, name="logits.zoom")([x, x])
    return CropLike(7, name="logits.crop")([x, features["images"]])


def head(
    features: Features,
    num_classes: int,
    config: ModelConfig,
    style: Style,
    *,
    fc6: Fc6 = LARGE_FOV,
) -> Tensor:
    """Logits at stride 8: fc6 dilated, fc7, classifier."""
    x = features["pool5"]
    if fc6 == LARGE_FOV:
        x = layers.ZeroPadding2D(1, name="vgg_16.pool5a.pad")(x)
        x = layers.AveragePooling2D(3, 1, name="vgg_16.pool5a")(x)
    x = fully_connected(x, config, style, fc6)
    return score(x, num_classes, style, name="fc8")


def multi_scale(
    features: Features,
    num_classes: int,
    config: ModelConfig,
    style: Style,
    *,
    fc6: Fc6 = LARGE_FOV,
) -> Tensor:
    """Scores of the image and of each pool beside those of fc7.

    Section 4.3. In training, branches stride to the output stride; otherwise each is at
    its own resolution, and the sum at image size.
    """
    main = head(features, num_classes, config, style, fc6=fc6)
    scores = {"fc8": main} | {
        tap: _branch(features[tap], num_classes, config, style, tap)
        for tap in _BRANCHES
    }
    if not style.training_form:
        scores = {
            tap: resize_like(x, features["images"], name=f"logits.{tap}_resized")
            for tap, x in scores.items()
        }
    return layers.Add(name="logits.sum")(list(scores.values()))


def _branch(
    x: Tensor, num_classes: int, config: ModelConfig, style: Style, tap: str
) -> Tensor:
    """3x3 and 1x1 convolutions to 128 channels, and a classifier."""
    first = StrideRate(_BRANCHES[tap]) if style.training_form else StrideRate()
    for i, (kernel_size, at) in enumerate(((3, first), (1, StrideRate())), start=1):
        # Released with 0.005 for the 1x1 after pool4.
        spread = 0.005 if (tap, i) == ("pool4", 2) else 0.001
        x = biased_conv(
            x,
            width(128, config),
            kernel_size,
            style=dataclasses.replace(style, kernel=normal(spread), padding="fixed"),
            at=at,
            activation=True,
            name=f"msc.{tap}_{i}",
        )
        x = Dropout(0.5, name=f"msc.{tap}_{i}.dropout")(x)
    return score(x, num_classes, style, name=f"msc_{tap}")


def score(x: Tensor, num_classes: int, style: Style, *, name: str) -> Tensor:
    """The classifier, which starts small."""
    style = dataclasses.replace(style, kernel=normal(0.01))
    return biased_conv(x, num_classes, 1, style=style, name=f"logits.{name}")


_HALVE_3X3, _KEEP_3X3 = Pool(3, 2, 1, 2), Pool(3, 1, 1, 1)
# As released, section 3.1: two pools keep the size.
LARGE_FOV_FORM = Form((_HALVE_3X3,) * 3 + (_KEEP_3X3,) * 2, rate=2)
# The base network alone has pools of 2x2, padded by one.
_HALVED = (Pool(2, 2, 1, 1),) * 3
_BASE_FORM = Form(
    (*_HALVED, Pool(2, 1, 1, 1), _KEEP_3X3),
    training_pools=(*_HALVED, Pool(2, 1, 0, 0), _KEEP_3X3),
    rate=2,
)
_LARGE = Head(head, pretrained=(FC,), vgg_form=LARGE_FOV_FORM)
_MULTI_SCALE = dataclasses.replace(
    _LARGE, function=multi_scale, pretrained=(FC, "msc"), frozen=("vgg_16",)
)

HEADS: Mapping[str, Head] = {
    "deeplab_v1": dataclasses.replace(
        _LARGE, function=base, vgg_form=_BASE_FORM, multiple=1, label_grid=(1, 8)
    ),
    "deeplab_v1_7x7": dataclasses.replace(
        _LARGE, function=functools.partial(head, fc6=Fc6(7, 4))
    ),
    "deeplab_v1_msc": dataclasses.replace(
        _MULTI_SCALE, function=functools.partial(multi_scale, fc6=BASE)
    ),
    "deeplab_v1_largefov": _LARGE,
    "deeplab_v1_msc_largefov": dataclasses.replace(
        _MULTI_SCALE, frozen=("vgg_16", "logits/fc8")
    ),
}
