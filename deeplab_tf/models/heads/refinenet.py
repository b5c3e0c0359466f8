"""RefineNet: features of all strides, refined from coarse to fine.

Reference: Lin et al. 2017, https://arxiv.org/abs/1611.06612. As the released networks
are, not as the paper has it: chained pooling of four steps, not two, each a pooling
before its convolution, and three residual units at the end of every block, not one. The
feature extractor's batch norm stays as it was, also its scale and offset.
"""

import dataclasses

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.layers.blocks import (
    Features,
    Style,
    Tensor,
    bare_conv,
    biased_conv,
    resize_like,
    width,
)
from deeplab_tf.models.layers.dropout import Dropout
from deeplab_tf.models.layers.initializers import normal

_FILTERS = {"c5": 512, "c4": 256, "c3": 256, "c2": 256}  # From coarse to fine.
_DROPPED = ("c5", "c4")


def head(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits at stride 4, `[N, H/4, W/4, num_classes]`."""
    style = dataclasses.replace(style, kernel=normal(0.01))
    coarse = None
    for level, filters in _FILTERS.items():
        x, name = features[level], f"refine.{level}"
        if level in _DROPPED:
            x = Dropout(0.5, name=f"{name}.dropout")(x)
        coarse = refine(x, coarse, width(filters, config), style, name)
    x = Dropout(0.5, name="refine.dropout")(coarse)
    return biased_conv(x, num_classes, 3, style=style, name="logits.semantic")


def refine(
    x: Tensor, coarse: Tensor | None, filters: int, style: Style, name: str
) -> Tensor:
    """A block, section 3.2: features of one stride, and the output of the next block.

    Args:
        x: `[N, h, w, C]`.
        coarse: What another block gave, if there was one before.
        filters: Of the result.
        style: Of the layers.
        name: Their scope.

    Returns:
        `[N, h, w, filters]`.
    """
    x = bare_conv(x, filters, 3, style=style, name=f"{name}.adapt")
    for i in (1, 2):
        x = residual_unit(x, style, f"{name}.input_{i}")
    if coarse is not None:
        x = _fuse(x, coarse, style, name)
    x = chained_pooling(x, style, f"{name}.pooling")
    for i in (1, 2, 3):
        x = residual_unit(x, style, f"{name}.output_{i}")
    return x


def residual_unit(x: Tensor, style: Style, name: str) -> Tensor:
    """Two 3x3 convolutions, each after its ReLU, added to `x`: figure 3 (b)."""
    y = layers.ReLU(name=f"{name}.relu1")(x)
    y = biased_conv(y, x.shape[-1], 3, style=style, name=f"{name}.conv1")
    y = layers.ReLU(name=f"{name}.relu2")(y)
    y = bare_conv(y, x.shape[-1], 3, style=style, name=f"{name}.conv2")
    return layers.Add(name=f"{name}.add")([x, y])


def chained_pooling(x: Tensor, style: Style, name: str) -> Tensor:
    """ReLU, and poolings of poolings added to it, each convolved: figure 3 (d)."""
    total = y = layers.ReLU(name=f"{name}.relu")(x)
    for i in (1, 2, 3, 4):
        y = layers.MaxPooling2D(5, 1, padding="same", name=f"{name}.pool{i}")(y)
        y = bare_conv(y, x.shape[-1], 3, style=style, name=f"{name}.conv{i}")
        total = layers.Add(name=f"{name}.add{i}")([total, y])
    return total


def _fuse(x: Tensor, coarse: Tensor, style: Style, name: str) -> Tensor:
    """The sum of both at the size of `x`, each convolved: figure 3 (c)."""
    filters = x.shape[-1]
    x = bare_conv(x, filters, 3, style=style, name=f"{name}.fuse_fine")
    coarse = bare_conv(coarse, filters, 3, style=style, name=f"{name}.fuse_coarse")
    coarse = resize_like(coarse, x, name=f"{name}.resize")
    return layers.Add(name=f"{name}.fuse")([x, coarse])
