"""Dilated convolutions: the front end, and the context module on its scores.

Reference: Yu, Koltun 2015, https://arxiv.org/abs/1511.07122, and the released networks.
In them, a cell i that looks around pixel 8 i + 3.5 stands for pixel 8 i: labels are
those of every eighth pixel, and scores are interpolated between these. The network for
Cityscapes has its upsampling inside, between true centers, and learns from all pixels.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.heads.fully_connected import FC, Fc6, fully_connected
from deeplab_tf.models.heads.head import Head
from deeplab_tf.models.layers.blocks import Features, Style, Tensor, biased_conv
from deeplab_tf.models.layers.initializers import BilinearKernel, IdentityMaps, normal
from deeplab_tf.models.layers.resize import CropLike, ResizeTo
from deeplab_tf.models.vgg_form import Form, Pool


class Context(NamedTuple):
    """A context module: 3x3 convolutions of growing rates, then one of 1x1.

    Attributes:
        rates: In cells.
        widths: Channels over classes, of each 3x3 convolution.
        pad: Zeros around the scores; without any, each convolution has its own.
    """

    rates: tuple[int, ...]
    widths: tuple[int, ...]
    pad: int = 0


def _basic(*rates: int) -> Context:
    return Context(rates, (1,) * len(rates))


BASIC = _basic(1, 1, 2, 4, 8, 16, 1)
LARGE = Context(BASIC.rates, (2, 2, 4, 8, 16, 32, 32), pad=33)
CITYSCAPES = _basic(1, 1, 2, 4, 8, 16, 32, 64, 1)
KITTI = _basic(1, 1, 2, 4, 8, 1)


def head(
    features: Features,
    num_classes: int,
    config: ModelConfig,
    style: Style,
    *,
    module: Context | None = None,
) -> Tensor:
    """Logits at image size; in training at stride 8, of every eighth pixel."""
    x = cells(features, num_classes, config, style, module)
    if style.training_form:
        every = layers.MaxPooling2D(1, 8, name="logits.every")(features["images"])
        return CropLike(0, name="logits.crop")([x, every])
    return interpolate(x, features)


def upsample(
    features: Features,
    num_classes: int,
    config: ModelConfig,
    style: Style,
    *,
    module: Context,
) -> Tensor:
    """Logits at image size, in training, too, by a fixed deconvolution."""
    x = cells(features, num_classes, config, style, module)
    x = GroupedUpscore(8, name="logits.upsample")(x)
    return CropLike(4, name="logits.crop")([x, features["images"]])


def cells(
    features: Features,
    num_classes: int,
    config: ModelConfig,
    style: Style,
    module: Context | None,
) -> Tensor:
    """Scores at stride 8: fc6 dilated, fc7, classifier, and the context module."""
    valid = style.with_padding("valid")
    x = fully_connected(features["pool5"], config, valid, Fc6(7, 4))
    small = dataclasses.replace(style, kernel=normal(0.001))
    x = biased_conv(x, num_classes, 1, style=small, name="logits.final")
    return context(x, module, style) if module else x


def context(x: Tensor, module: Context, style: Style) -> Tensor:
    """`x` seen from farther away; at the start `x` itself, but for a little noise.

    Reference: section 3, tables 1 and 2, equations 4 and 5.
    """
    num_classes = x.shape[-1]
    style = dataclasses.replace(
        style, kernel=functools.partial(IdentityMaps, num_classes), padding="same"
    )
    if module.pad:
        x = layers.ZeroPadding2D(module.pad, name="context.pad")(x)
        style = style.with_padding("valid")
    shapes = zip(module.rates, module.widths, strict=True)
    for i, (rate, times) in enumerate(shapes, start=1):
        x = biased_conv(
            x,
            times * num_classes,
            3,
            style=style,
            at=StrideRate(1, rate),
            activation=True,
            name=f"context.conv{i}",
        )
    return biased_conv(x, num_classes, 1, style=style, name="context.final")


def interpolate(x: Tensor, features: Features) -> Tensor:
    """Scores of every pixel, from those of every eighth."""
    x = ResizeTo(8, name="logits.zoom")([x, x])
    return CropLike(0, name="logits.crop")([x, features["images"]])


@keras.saving.register_keras_serializable("deeplab_tf")
class GroupedUpscore(layers.Layer):
    """Bilinear deconvolution of each channel for itself, fixed.

    `[N, h, w, C]` -> `[N, stride (h + 1), stride (w + 1), C]`. Two cells reach each
    pixel along an axis, so it is a 2x2 convolution that gives `stride^2` pixels at a
    time.

    Args:
        stride: Half the kernel's size.
        **settings: Of a layer.
    """

    def __init__(self, stride: int, **settings: Any):
        super().__init__(**settings)
        self.stride = stride

    def build(self, input_shape: tuple) -> None:
        size = 2 * self.stride
        self.kernel = self.add_weight(
            shape=(size, size, input_shape[-1]),
            initializer=_bilinear,
            trainable=False,
            name="kernel",
        )

    def call(self, x: Tensor) -> Tensor:
        channels = x.shape[-1]
        x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = ops.depthwise_conv(x, self._phases(channels), padding="valid")
        batch, height, width, _ = ops.shape(x)
        blocks = (batch, height, width, channels, self.stride, self.stride)
        x = ops.transpose(ops.reshape(x, blocks), (0, 1, 4, 2, 5, 3))
        sides = (height * self.stride, width * self.stride)
        return ops.reshape(x, (batch, *sides, channels))

    def _phases(self, channels: int) -> Tensor:
        """What both cells of an axis add to each of `stride` pixels, the farther first.

        `[2, 2, C, stride^2]`.
        """
        halves = (2, self.stride, 2, self.stride, channels)
        # OpenVINO flips one axis at a time.
        kernel = ops.flip(ops.flip(ops.reshape(self.kernel, halves), 0), 2)
        kernel = ops.transpose(kernel, (0, 2, 4, 1, 3))
        return ops.reshape(kernel, (2, 2, channels, self.stride**2))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        sides = (side and self.stride * (side + 1) for side in input_shape[1:3])
        return (input_shape[0], *sides, input_shape[3])

    def get_config(self) -> dict:
        return super().get_config() | {"stride": self.stride}


def _bilinear(shape: tuple[int, ...], dtype: Any = None) -> Tensor:
    size, _, channels = shape
    kernel = BilinearKernel()((size, size, 1, 1), dtype)
    return ops.tile(kernel[..., 0], (1, 1, channels))


# Section 4; as released, a cell stands for its first pixel, and those after the last
# cell's need one more to be interpolated.
_FORM = Form((Pool(2, 2, 0, 0),) * 3 + (None, None), rate=2, valid=True, spare=7)
# Cells stand for every eighth pixel, where its labels are taken from.
_FRONT_END = Head(head, pretrained=(FC,), vgg_form=_FORM, multiple=1, label_grid=(0, 8))


def _row(module: Context) -> Head:
    return dataclasses.replace(
        _FRONT_END,
        function=functools.partial(head, module=module),
        scopes=("logits", "context"),
        float32=("logits", "context/final"),
    )


HEADS: Mapping[str, Head] = {
    "dilation_front_end": _FRONT_END,
    "dilation7": _row(KITTI),
    "dilation8": _row(LARGE),
    "dilation8_basic": _row(BASIC),
    "dilation10": dataclasses.replace(
        _row(CITYSCAPES),
        function=functools.partial(upsample, module=CITYSCAPES),
        vgg_form=_FORM._replace(spare=0),
        label_grid=None,
    ),
}
