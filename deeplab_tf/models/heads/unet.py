"""The expanding path of U-Net, which meets the contracting one at each size.

Reference: Ronneberger et al. 2015, section 2, https://arxiv.org/abs/1505.04597.
"""

import dataclasses

import numpy as np
from keras import initializers, layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.layers.blocks import Features, Style, Tensor, biased_conv, width
from deeplab_tf.models.layers.initializers import normal
from deeplab_tf.models.layers.resize import CropLike

_CROPS = {4: 4, 3: 16, 2: 40, 1: 88}  # What the way down and up again has lost.


def head(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits at image size, `[N, H, W, num_classes]`.

    Args:
        features: "down1" to "down4" and "c5", of the mirrored image.
        num_classes: Channels of the logits.
        config: The width, as a factor.
        style: Of the layers.
    """
    style = dataclasses.replace(style, kernel=initializers.HeNormal, padding="valid")
    x = features["c5"]
    for level, crop in _CROPS.items():
        name = f"unet.up{level}"
        x = _up_conv(x, width(32 * 2**level, config), name=name)
        side = layers.Cropping2D(crop, name=f"{name}.crop")(features[f"down{level}"])
        x = layers.Concatenate(name=f"{name}.concat")([side, x])
        for i in (1, 2):
            x = biased_conv(
                x,
                width(32 * 2**level, config),
                3,
                style=style,
                activation=True,
                name=f"{name}.conv{i}",
            )
    x = biased_conv(x, num_classes, 1, style=style, name="logits.classifier")
    return CropLike(0, name="logits.crop")([x, features["images"]])


def _up_conv(x: Tensor, filters: int, *, name: str) -> Tensor:
    """Up-convolution of 2x2, in which every pixel has one cell of `x` to read."""
    spread = normal(float(np.sqrt(2 / x.shape[-1])))
    return layers.Conv2DTranspose(
        filters, 2, strides=2, kernel_initializer=spread(), name=f"{name}.double"
    )(x)
