"""fc6 and fc7: the last layers of VGG's image classifier, as convolutions."""

from typing import NamedTuple

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.layers.blocks import Style, Tensor, biased_conv, width
from deeplab_tf.models.layers.dropout import Dropout

FC = "vgg_16/fc"  # Scope of these layers.


class Fc6(NamedTuple):
    """The first of them; its weights are VGG's unless it is smaller.

    Attributes:
        kernel_size: 7 in VGG.
        rate: In pixels of the features.
        filters: Of fc6, and of fc7.
    """

    kernel_size: int = 7
    rate: int = 1
    filters: int = 4096


def fully_connected(
    x: Tensor, config: ModelConfig, style: Style, fc6: Fc6, *, suffix: str = ""
) -> Tensor:
    """fc6 and fc7 with their dropouts: `[N, h, w, filters]`.

    Reference: Long et al. 2015, section 3.1, https://arxiv.org/abs/1411.4038; dilated:
    Chen et al. 2014, section 3.1, https://arxiv.org/abs/1412.7062.

    Args:
        x: Features after pool5.
        config: The width, as a factor.
        style: Its padding tells whether the map shrinks.
        fc6: Which form.
        suffix: Of the names, where there are several.
    """
    convolutions = ((6, fc6.kernel_size, StrideRate(1, fc6.rate)), (7, 1, StrideRate()))
    for number, kernel_size, at in convolutions:
        x = biased_conv(
            x,
            width(fc6.filters, config),
            kernel_size,
            style=style,
            at=at,
            activation=True,
            name=f"vgg_16.fc{number}{suffix}",
        )
        x = Dropout(0.5, name=f"vgg_16.dropout{number}{suffix}")(x)
    return x
