"""Feature extractors by name."""

from collections.abc import Mapping

from deeplab_tf.models.backbones import mobilenet_v2, resnet, xception
from deeplab_tf.models.backbones.backbone import Backbone

BACKBONES: Mapping[str, Backbone] = {
    **mobilenet_v2.VARIANTS,
    **resnet.VARIANTS,
    **xception.VARIANTS,
}
