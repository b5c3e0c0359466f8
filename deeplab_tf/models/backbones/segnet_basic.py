"""The encoder of SegNet-Basic: four 7x7 convolutions, each pooled with indices.

Reference: Badrinarayanan et al. 2017, section 3.1, https://arxiv.org/abs/1511.00561,
and the released prototxt, which takes the image as it is, normalized across channels.
"""

from keras import initializers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.backbones.backbone import CAFFE_MEAN, Backbone
from deeplab_tf.models.layers.blocks import Features, Style, Tensor, width
from deeplab_tf.models.layers.unpooling import LocalResponseNorm, PoolWithIndices, conv


def features(images: Tensor, config: ModelConfig, style: Style) -> Features:
    """Features of the encoder.

    Args:
        images: `[N, H, W, 3]`.
        config: The width, as a factor.
        style: Of the layers.

    Returns:
        "conv1" to "conv4", "pool1" to "pool4" and "indices1" to "indices4": each before
        and after pooling, and where the maxima were; "c5" is the last pool.
    """
    x = LocalResponseNorm(name="segnet_basic.norm")(images)
    outputs = {}
    for block in range(1, 5):
        name = f"segnet_basic.conv{block}"
        x = conv(x, width(64, config), 7, style=style, name=name)
        outputs[f"conv{block}"] = x
        x, indices = PoolWithIndices(name=f"segnet_basic.pool{block}")(x)
        outputs |= {f"pool{block}": x, f"indices{block}": indices}
    return outputs | {"c5": x}


VARIANTS = {
    "segnet_basic": Backbone(
        features=features,
        style=Style(kernel=initializers.HeNormal),
        mean=(0.0, 0.0, 0.0),  # Images as they are.
        mean_pixel=CAFFE_MEAN,
        only_for="segnet_basic",
    )
}
