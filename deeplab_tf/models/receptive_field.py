"""Receptive field: how far cells of a feature map see.

Reference: Araujo et al. 2019, https://distill.pub/2019/computing-receptive-fields.
Convolutions and pools widen the field, and the widest path counts. To bring a map to
another grid, by resizing, unpooling or transposed convolution, adds nothing: scores see
what they saw before they were enlarged. What looks at the whole image, as image
pooling, the bins of a pyramid, a gate or a fully connected CRF do, would leave no
finite number, and does not count.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
from keras import layers

from deeplab_tf.compat import source_layer
from deeplab_tf.models.heads.crf_rnn import MeanField
from deeplab_tf.models.heads.dilation import GroupedUpscore
from deeplab_tf.models.heads.pspnet import BinMeans
from deeplab_tf.models.layers.blocks import Clip
from deeplab_tf.models.layers.reflect_pad import Mirror
from deeplab_tf.models.layers.resize import CropLike, ResizeLike, ResizeTo
from deeplab_tf.models.layers.unpooling import (
    LocalResponseNorm,
    PoolWithIndices,
    Unpool,
)


class View(NamedTuple):
    """Receptive field of cells along one axis, in pixels of the image.

    Attributes:
        jump: From one cell to the next.
        field: Length of what one sees.
    """

    jump: float = 1.0
    field: float = 1.0


# A layer, what its inputs see (None: the whole image), axis -> what its output sees.
Rule = Callable[[Any, Sequence[View | None], int], View | None]


def receptive_field(model: keras.Model) -> int:
    """Pixels along the longer side of what a score sees."""
    return fields(model)[source_layer(model.outputs[-1])]


def coarsest_stride(model: keras.Model) -> int:
    """Input size over that of the network's coarsest features: its output stride.

    Raises:
        TypeError: The network has a layer that no rule is for.
    """
    views = _views(model, axis=0).values()
    return round(max(view.jump for view in views if view))


def fields(model: keras.Model) -> dict[str, int]:
    """Layer name -> pixels along the longer side of what a cell of its output sees.

    Layers without a path but through what pools the whole image are not in it.

    Raises:
        TypeError: The network has a layer that no rule is for.
    """
    lengths: dict[str, int] = {}
    for axis in (0, 1):
        for name, view in _views(model, axis).items():
            if view:
                lengths[name] = max(lengths.get(name, 0), round(view.field))
    return lengths


def _views(model: keras.Model, axis: int) -> dict[str, View | None]:
    """What the outputs of each layer see; layers come after those that they read."""
    views: dict[str, View | None] = {}
    for layer in model.operations:
        read = [] if isinstance(layer, layers.InputLayer) else [layer.input]
        inputs = [views[source_layer(x)] for x in keras.tree.flatten(read)]
        views[layer.name] = _rule(layer)(layer, inputs, axis)
    return views


def _rule(layer: Any) -> Rule:
    for kind in type(layer).__mro__:
        if kind in _RULES:
            return _RULES[kind]
    raise TypeError(f"no rule for what {type(layer).__name__} ({layer.name}) sees")


def _image(layer: Any, inputs: Sequence[View | None], axis: int) -> View:
    return View()


def _pointwise(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    """The widest of the inputs, which all are on one grid."""
    views = [view for view in inputs if view]
    return max(views, key=lambda view: view.field) if views else None


def _convolution(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    extent = layer.dilation_rate[axis] * (layer.kernel_size[axis] - 1)
    return _slide(inputs[0], extent, layer.strides[axis])


def _pool(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    return _slide(inputs[0], layer.pool_size[axis] - 1, layer.strides[axis])


def _halve(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    return _slide(inputs[0], 1, 2)


def _slide(view: View | None, extent: int, stride: int) -> View | None:
    """A window over a map: cells from its first to its last, and to the next window."""
    return view and View(view.jump * stride, view.field + extent * view.jump)


def _whole_image(layer: Any, inputs: Sequence[View | None], axis: int) -> None:
    return None


def _transpose(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    return _enlarge(inputs[0], layer.strides[axis])


def _upscore(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    return _enlarge(inputs[0], layer.stride)


def _enlarge(view: View | None, factor: float) -> View | None:
    return view and view._replace(jump=view.jump / factor)


def _crop(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    """One side more than the other: a map that is moved, to be merged with itself."""
    before, after = layer.cropping[axis]
    return _slide(inputs[0], abs(before - after), 1)


def _first(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    return inputs[0]


def _resize_like(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    x, *_, like = inputs
    return x and like and x._replace(jump=like.jump)


def _resize_to(layer: Any, inputs: Sequence[View | None], axis: int) -> View | None:
    x, images = inputs
    return x and images and x._replace(jump=images.jump / layer.factor)


_RULES: Mapping[type, Rule] = {
    layers.InputLayer: _image,
    **dict.fromkeys(
        (
            layers.Activation,
            layers.Add,
            layers.BatchNormalization,
            layers.Concatenate,
            layers.Dropout,
            layers.Maximum,
            layers.Multiply,
            layers.ReLU,
            layers.Rescaling,
            layers.ZeroPadding2D,
            Clip,
            LocalResponseNorm,
            Mirror,
        ),
        _pointwise,
    ),
    **dict.fromkeys(
        (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D), _convolution
    ),
    **dict.fromkeys((layers.MaxPooling2D, layers.AveragePooling2D), _pool),
    PoolWithIndices: _halve,
    layers.Conv2DTranspose: _transpose,
    GroupedUpscore: _upscore,
    **dict.fromkeys((layers.GlobalAveragePooling2D, BinMeans), _whole_image),
    layers.Cropping2D: _crop,
    **dict.fromkeys((CropLike, MeanField), _first),
    **dict.fromkeys((ResizeLike, Unpool), _resize_like),
    ResizeTo: _resize_to,
}
