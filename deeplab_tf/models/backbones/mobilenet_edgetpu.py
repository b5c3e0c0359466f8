"""MobileNet-EdgeTPU: plain convolutions where a matrix unit is faster with them.

Reference: Gupta and Akin 2020, https://arxiv.org/abs/2003.02838.
"""

import functools

from deeplab_tf.models.backbones.backbone import Backbone
from deeplab_tf.models.backbones.mobilenet import (
    STYLE,
    InvertedResidual,
    MobileNet,
    features,
)

_fused = functools.partial(InvertedResidual, activation="relu", fused=True)
_plain = functools.partial(InvertedResidual, activation="relu", expansion=4)
_NETWORK = MobileNet(
    scope="MobilenetEdgeTPU",
    root=32,
    blocks=(
        _fused(16, expansion=1),
        *(_fused(32, 2, 8), *[_fused(32, 1, 4)] * 3),
        *(_fused(48, 2, 8), *[_fused(48, 1, 4)] * 3),
        *(_plain(96, 2, expansion=8), *[_plain(96)] * 3),
        *(_plain(96, expansion=8, residual=False), *[_plain(96)] * 3),
        *(
            _plain(160, 2, expansion=8, kernel_size=5),
            *[_plain(160, kernel_size=5)] * 3,
        ),
        _plain(192, expansion=8),
    ),
    last=1280,
    activation="relu",
    divisor=8,
)
VARIANTS = {
    "mobilenet_edgetpu": Backbone(
        features=functools.partial(features, network=_NETWORK), style=STYLE
    )
}
