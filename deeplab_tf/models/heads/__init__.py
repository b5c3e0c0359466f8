"""Heads by name of the architecture: what makes logits of features."""

from collections.abc import Mapping

from deeplab_tf.models.heads import (
    aspp,
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
from deeplab_tf.models.heads.head import AUXILIARY, LOGITS, Head

HEADS: Mapping[str, Head] = {
    **fcn.HEADS,
    **deeplab_v1.HEADS,
    **deeplab_v2.HEADS,
    **dilation.HEADS,
    **crf_rnn_networks.HEADS,
    **segnet.HEADS,
    "deeplab_v3": Head(deeplab_v3.head, scopes=("logits", *aspp.SCOPES)),
    "deeplab_v3_cascade": Head(deeplab_v3_cascade.head),
    "deeplab_v3plus": Head(
        deeplab_v3plus.head, scopes=("logits", *aspp.SCOPES, "decoder")
    ),
    "unet": Head(unet.head, pretrained=("unet/up",), multiple=1),
    "pspnet": Head(
        pspnet.head,
        auxiliary=pspnet.auxiliary,
        scopes=("logits", "pyramid_pooling", AUXILIARY),
        float32=LOGITS,
        batch_norm_decay=0.95,
    ),
    "refinenet": Head(
        refinenet.head, scopes=("logits", "refine/"), frozen_batch_norm=True
    ),
    "gcn": Head(gcn.head),
}


def last_layers() -> tuple[str, ...]:
    """Scopes of the last layers of every head, since a checkpoint may be of another."""
    return tuple({scope: None for head in HEADS.values() for scope in head.scopes})
