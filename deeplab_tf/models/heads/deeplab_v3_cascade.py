"""DeepLab v3, cascaded: copies of the last block, and a classifier.

Reference: Chen et al. 2017, section 3.2, https://arxiv.org/abs/1706.05587. The blocks
are the feature extractor's own (`backbones.resnet`); the paper does not tell what
follows them: here a 1x1 classifier.
"""

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.heads.logits import logits
from deeplab_tf.models.layers.blocks import Features, Style, Tensor


def head(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits at the output stride, `[N, h, w, num_classes]`."""
    return logits(features["cascade"], num_classes, config)
