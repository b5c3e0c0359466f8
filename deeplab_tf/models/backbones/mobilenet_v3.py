"""MobileNetV3 for segmentation: the last stage has half of its channels.

Reference: Howard et al. 2019, tables 1 and 2 and section 6.4,
https://arxiv.org/abs/1905.02244.
"""

import functools

from deeplab_tf.models.backbones.backbone import Backbone
from deeplab_tf.models.backbones.mobilenet import (
    STYLE,
    InvertedResidual,
    MobileNet,
    features,
)

_relu = functools.partial(InvertedResidual, activation="relu")
_swish = functools.partial(InvertedResidual, activation="hard_swish")
_LARGE = MobileNet(
    scope="MobilenetV3",
    root=16,
    blocks=(
        _relu(16, expansion=1),
        *(_relu(24, 2, 4), _relu(24, 1, 3)),
        _relu(40, 2, 3, 5, squeezed=True),
        *[_relu(40, 1, 3, 5, squeezed=True)] * 2,
        *(_swish(80, 2), _swish(80, 1, 2.5), *[_swish(80, 1, 184 / 80)] * 2),
        *[_swish(112, squeezed=True)] * 2,
        _swish(80, 2, 3, 5, squeezed=True),
        *[_swish(80, 1, 6, 5, squeezed=True)] * 2,
    ),
    last=480,
    activation="hard_swish",
    taps={5: "c3"},
)
_SMALL = MobileNet(
    scope="MobilenetV3",
    root=16,
    blocks=(
        _relu(16, 2, 1, squeezed=True),
        *(_relu(24, 2, 72 / 16), _relu(24, 1, 88 / 24)),
        _swish(40, 2, 4, 5, squeezed=True),
        *[_swish(40, 1, 6, 5, squeezed=True)] * 2,
        *[_swish(48, 1, 3, 5, squeezed=True)] * 2,
        _swish(48, 2, 3, 5, squeezed=True),
        *[_swish(48, 1, 6, 5, squeezed=True)] * 2,
    ),
    last=288,
    activation="hard_swish",
    taps={2: "c3"},
)
VARIANTS = {
    name: Backbone(features=functools.partial(features, network=network), style=STYLE)
    for name, network in {
        "mobilenet_v3_large_seg": _LARGE,
        "mobilenet_v3_small_seg": _SMALL,
    }.items()
}
