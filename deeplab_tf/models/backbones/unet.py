"""The contracting path of U-Net: pairs of 3x3 convolutions that read no padding.

Reference: Ronneberger et al. 2015, section 2, https://arxiv.org/abs/1505.04597. What
they lose, 92 pixels a side, is mirrored around the image, as section 2 does for tiles.
"""

from keras import initializers, layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.backbones.backbone import Backbone
from deeplab_tf.models.layers.blocks import Features, Style, Tensor, biased_conv, width
from deeplab_tf.models.layers.dropout import Dropout
from deeplab_tf.models.layers.reflect_pad import Mirror


def features(images: Tensor, config: ModelConfig, style: Style) -> Features:
    """Features of the path.

    Args:
        images: `[N, H, W, 3]`, or of other channels.
        config: The width, as a factor.
        style: Of the layers.

    Returns:
        "down1" to "down4" before each pooling, and "c5", the bottom.
    """
    # Every pool then has an even size, and the result, 184 less, holds the image.
    x, outputs = Mirror(92, 16, rest=4, name="mirror")(images), {}
    for level in range(1, 6):
        name = f"unet.down{level}"
        for i in (1, 2):
            x = biased_conv(
                x,
                width(32 * 2**level, config),
                3,
                style=style,
                activation=True,
                name=f"{name}.conv{i}",
            )
        if level > 3:
            x = Dropout(0.5, name=f"{name}.dropout")(x)
        outputs[f"down{level}"] = x
        if level < 5:
            x = layers.MaxPooling2D(2, name=f"{name}.pool")(x)
    outputs["c5"] = outputs.pop("down5")
    return outputs


VARIANTS = {
    "unet": Backbone(
        features=features,
        style=Style(kernel=initializers.HeNormal, padding="valid"),
        only_for="unet",
    )
}
