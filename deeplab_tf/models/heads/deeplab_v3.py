"""DeepLab v3: the ASPP's features, classified at the output stride.

Reference: Chen et al. 2017, https://arxiv.org/abs/1706.05587.
"""

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.heads.aspp import encode
from deeplab_tf.models.heads.logits import logits
from deeplab_tf.models.layers.blocks import Features, Style, Tensor


def head(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits at the output stride, `[N, h, w, num_classes]`."""
    return logits(encode(features, config, style), num_classes, config)
