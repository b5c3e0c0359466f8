"""DeepLab v2: classifiers at several rates, added.

Reference: Chen et al. 2016, section 3.2, https://arxiv.org/abs/1606.00915. As released,
without the average pooling before fc6 that v1 has.
"""

import dataclasses
import functools
from collections.abc import Mapping

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.heads.deeplab_v1 import LARGE_FOV_FORM, score
from deeplab_tf.models.heads.fully_connected import FC, Fc6, fully_connected
from deeplab_tf.models.heads.head import Head
from deeplab_tf.models.heads.logits import logits
from deeplab_tf.models.layers.blocks import Features, Style, Tensor


def head(
    features: Features,
    num_classes: int,
    config: ModelConfig,
    style: Style,
    *,
    rates: tuple[int, ...],
) -> Tensor:
    """Logits at the output stride, a sum over `atrous_rates`, by default `rates`.

    On VGG a branch is fc6, fc7 and a classifier (ASPP-L; 2,4,8,12 are ASPP-S), on
    others a 3x3 classifier.
    """
    rates = config.atrous_rates or rates
    if "pool5" not in features:
        bare = dataclasses.replace(
            config,
            aspp_with_batch_norm=False,
            logits_kernel_size=3,
            atrous_rates=rates,
        )
        return logits(features["c5"], num_classes, bare)
    branches = []
    for i, rate in enumerate(rates, start=1):
        suffix = f"_{i}" if len(rates) > 1 else ""
        fc6 = Fc6(3, rate, 1024)
        x = fully_connected(features["pool5"], config, style, fc6, suffix=suffix)
        branches.append(score(x, num_classes, style, name=f"fc8{suffix}"))
    return branches[0] if len(branches) == 1 else layers.Add(name="logits")(branches)


def _row(*rates: int) -> Head:
    return Head(
        functools.partial(head, rates=rates),
        pretrained=(FC,),
        vgg_form=LARGE_FOV_FORM,
        frozen_batch_norm=True,
    )


HEADS: Mapping[str, Head] = {
    "deeplab_v2_aspp": _row(6, 12, 18, 24),
    "deeplab_v2_largefov": _row(12),
}
