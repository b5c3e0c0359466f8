"""PSPNet: means over parts of the image beside its features.

Reference: Zhao et al. 2017, https://arxiv.org/abs/1612.01105, and the released
networks. Where the released code in Caffe and semseg, by the same authors, differ: bins
are joined from fine to coarse, as in Caffe; they divide any map as evenly as it can be,
as in semseg, which at the published sizes is Caffe's fixed windows.
"""

import dataclasses
from typing import Any

import keras
from keras import layers, ops

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.layers.blocks import (
    Features,
    Style,
    Tensor,
    biased_conv,
    conv,
    resize_like,
    width,
)
from deeplab_tf.models.layers.dropout import Dropout
from deeplab_tf.models.layers.initializers import normal

BINS = (6, 3, 2, 1)


def head(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits at the output stride, `[N, h, w, num_classes]`."""
    x = pyramid_pooling(features["c5"], config, style)
    filters, name = width(512, config), "pyramid_pooling.conv5_4"
    return _classify(x, filters, num_classes, style, name, "logits.semantic")


def auxiliary(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits of the last block but one, `[N, h, w, num_classes]`: section 3.3."""
    x, filters = features["c4"], width(256, config)
    return _classify(
        x, filters, num_classes, style, "auxiliary.conv", "auxiliary.logits"
    )


def pyramid_pooling(x: Tensor, config: ModelConfig, style: Style) -> Tensor:
    """The features and their means over 6x6, 3x3, 2x2 parts and the whole: section 3.2.

    Args:
        x: `[N, h, w, C]`.
        config: The width, as a factor.
        style: Of the layers.

    Returns:
        `[N, h, w, C + 4 * 512]`.
    """
    branches = [x]
    for bins in BINS:
        name = f"pyramid_pooling.bin{bins}"
        mean = BinMeans(bins, name=f"{name}.mean")(x)
        mean = conv(mean, width(512, config), 1, style=style, name=name)
        branches.append(resize_like(mean, x, name=f"{name}.resize"))
    return layers.Concatenate(name="pyramid_pooling.concat")(branches)


def _classify(
    x: Tensor, filters: int, num_classes: int, style: Style, name: str, logits: str
) -> Tensor:
    """A 3x3 convolution, dropout and the classifier."""
    x = conv(x, filters, 3, style=style, name=name)
    x = Dropout(0.1, name=f"{name}.dropout")(x)
    style = dataclasses.replace(style, kernel=normal(0.01))
    return biased_conv(x, num_classes, 1, style=style, name=logits)


@keras.saving.register_keras_serializable("deeplab_tf")
class BinMeans(layers.Layer):
    """Means over `bins` x `bins` parts of `[N, h, w, C]`: `[N, bins, bins, C]`.

    Part i of a side of n cells reaches from cell `floor(i n / bins)` up to
    `ceil((i + 1) n / bins)`; neighbors share a cell where n is no multiple.

    Args:
        bins: 1 or more.
        **settings: Of a layer.
    """

    def __init__(self, bins: int, **settings: Any):
        super().__init__(**settings)
        self.bins = bins

    def call(self, inputs: Tensor) -> Tensor:
        batch, height, width, channels = ops.shape(inputs)
        x = ops.cast(inputs, "float32")  # Sums of many.
        # Matrices, for an einsum of images of any size is lost on the way to ONNX.
        x = ops.reshape(x, (batch, height, width * channels))
        x = ops.matmul(self._shares(height), x)
        x = ops.reshape(x, (batch, self.bins, width, channels))
        x = ops.matmul(self._shares(width), x)
        return ops.cast(x, self.compute_dtype)

    def _shares(self, length: Any) -> Tensor:
        """What each cell counts in each bin, `[bins, length]`."""
        bins = ops.expand_dims(ops.arange(self.bins), 1)
        first = bins * length // self.bins
        # Of positive numbers, for ONNX divides negative ones towards zero.
        end = ((bins + 1) * length + self.bins - 1) // self.bins
        cells = ops.arange(length)
        inside = ops.logical_and(cells >= first, cells < end)
        return ops.cast(inside, "float32") / ops.cast(end - first, "float32")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self.bins, self.bins, input_shape[3])

    def get_config(self) -> dict:
        return super().get_config() | {"bins": self.bins}
