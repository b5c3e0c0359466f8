"""Heads by name of the architecture: what makes logits of features."""

from collections.abc import Callable, Mapping

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.heads import (
    crf_rnn_networks,
    deeplab_v1,
    deeplab_v2,
    deeplab_v3,
    deeplab_v3_cascade,
    deeplab_v3plus,
    dilation,
    fcn,
    gcn,
    pspnet,
    refinenet,
    segnet,
    unet,
)
from deeplab_tf.models.layers.blocks import Features, Style, Tensor

Head = Callable[[Features, int, ModelConfig, Style], Tensor]

HEADS: Mapping[str, Head] = {
    **fcn.HEADS,
    **deeplab_v1.HEADS,
    **deeplab_v2.HEADS,
    **dilation.HEADS,
    **crf_rnn_networks.HEADS,
    **segnet.HEADS,
    "deeplab_v3": deeplab_v3.head,
    "deeplab_v3_cascade": deeplab_v3_cascade.head,
    "deeplab_v3plus": deeplab_v3plus.head,
    "unet": unet.head,
    "pspnet": pspnet.head,
    "refinenet": refinenet.head,
    "gcn": gcn.head,
}

# Logits from earlier features, which only the training sees.
AUXILIARY: Mapping[str, Head] = {"pspnet": pspnet.auxiliary}
