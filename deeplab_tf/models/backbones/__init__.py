"""Backbones: feature extractors by name."""

from collections.abc import Mapping

from deeplab_tf.models.backbones import (
    mobilenet_edgetpu,
    mobilenet_v2,
    mobilenet_v3,
    nas,
    resnet,
    resnet_caffe,
    segnet_basic,
    unet,
    vgg,
    xception,
)
from deeplab_tf.models.backbones.backbone import Backbone

BACKBONES: Mapping[str, Backbone] = {
    **mobilenet_v2.VARIANTS,
    **mobilenet_v3.VARIANTS,
    **mobilenet_edgetpu.VARIANTS,
    **nas.VARIANTS,
    **resnet.VARIANTS,
    **resnet_caffe.VARIANTS,
    **segnet_basic.VARIANTS,
    **unet.VARIANTS,
    **vgg.VARIANTS,
    **xception.VARIANTS,
}
