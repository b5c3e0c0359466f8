"""MobileNetV2 without its last, 1280-channel convolution.

Reference: Sandler et al. 2018, https://arxiv.org/abs/1801.04381; up to layer 18, whose
320 channels are linear.
"""

import functools

from deeplab_tf.models.backbones.backbone import Backbone
from deeplab_tf.models.backbones.mobilenet import (
    STYLE,
    InvertedResidual,
    MobileNet,
    features,
)

_NETWORK = MobileNet(
    scope="MobilenetV2",
    root=32,
    blocks=(
        InvertedResidual(16, expansion=1),
        *(InvertedResidual(24, 2), InvertedResidual(24)),
        *(InvertedResidual(32, 2), *[InvertedResidual(32)] * 2),
        *(InvertedResidual(64, 2), *[InvertedResidual(64)] * 3),
        *[InvertedResidual(96)] * 3,
        *(InvertedResidual(160, 2), *[InvertedResidual(160)] * 2),
        InvertedResidual(320),
    ),
    taps={2: "c2", 5: "c3", 12: "c4"},
)
VARIANTS = {
    "mobilenet_v2": Backbone(
        features=functools.partial(features, network=_NETWORK), style=STYLE
    )
}
