"""Heads by name: what makes logits of features."""

from collections.abc import Callable, Mapping

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.heads import deeplab_v3, deeplab_v3plus
from deeplab_tf.models.layers import Features, Style, Tensor

Head = Callable[[Features, int, ModelConfig, Style], Tensor]

HEADS: Mapping[str, Head] = {
    "deeplab_v3": deeplab_v3.head,
    "deeplab_v3plus": deeplab_v3plus.head,
}
