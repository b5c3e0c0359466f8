"""Logits: the last layer, one score a class."""

from keras import initializers, layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.layers.blocks import Tensor


def logits(x: Tensor, num_classes: int, config: ModelConfig) -> Tensor:
    """Scores `[N, h, w, num_classes]` of features `x`.

    After an ASPP, one 1x1 convolution. Without one, DeepLab v2's sum of a convolution a
    rate: Chen et al. 2016, section 3.1, https://arxiv.org/abs/1606.00915.
    """
    kernel_size, rates = config.logits_kernel_size, config.atrous_rates
    if config.aspp_with_batch_norm or not rates:
        if kernel_size != 1:
            raise FlagError(
                f"--logits_kernel_size={kernel_size} needs --atrous_rates and "
                "--aspp_with_batch_norm=false"
            )
        rates = (1,)
    branches = [
        layers.Conv2D(
            num_classes,
            kernel_size,
            dilation_rate=rate,
            padding="same",
            kernel_initializer=initializers.TruncatedNormal(stddev=0.01),
            name="logits.semantic" + (f"_{i}" if i else ""),
        )(x)
        for i, rate in enumerate(rates)
    ]
    return branches[0] if len(branches) == 1 else layers.Add(name="logits")(branches)
