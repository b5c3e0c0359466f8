"""NAS cell: five sums of two operations each, on each other or on its inputs.

Reference: Zoph et al. 2018, section 3, https://arxiv.org/abs/1707.07012.
"""

from typing import Literal, NamedTuple

from keras import layers

from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.layers.blocks import (
    Style,
    Tensor,
    activate,
    bare_conv,
    batch_norm,
    pad,
)
from deeplab_tf.models.layers.dropout import DropPath
from deeplab_tf.models.layers.resize import ResizeTo


class Operation(NamedTuple):
    """One of the two terms of a sum.

    Attributes:
        kind: Of the function.
        kernel_size: Of its kernel, or its window.
        state: On what it works: 0 is the output of the cell before, 1 that of the cell
            before that one, 2 the first sum of this cell, and so on.
    """

    kind: Literal["separable", "atrous", "max_pool", "identity"]
    kernel_size: int
    state: int


Sum = tuple[Operation, Operation]


def cell(
    x: Tensor,
    earlier: Tensor,
    sums: tuple[Sum, ...],
    *,
    filters: int,
    stride: int,
    style: Style,
    name: str,
) -> Tensor:
    """The sums side by side, `[N, H/stride, W/stride, len(sums) * filters]`.

    Args:
        x: Output of the cell before, `[N, H, W, C]`.
        earlier: Output of the one before that, `[N, H, W, D]`.
        sums: What the search found.
        filters: Channels of each sum.
        stride: Of the operations on `x` and `earlier`.
        style: Of the layers.
        name: Scope.
    """
    first = (f"{name}.1x1", f"{name}.beginning_bn")
    states = [_conv(x, 1, filters=filters, style=style, names=first)]
    if earlier.shape[-1] != filters:
        second = (f"{name}.prev_1x1", f"{name}.prev_bn")
        earlier = _conv(earlier, 1, filters=filters, style=style, names=second)
    states.append(earlier)
    for i, terms in enumerate(sums):
        scope = f"{name}.comb_iter_{i}"
        made = [
            _path(
                states[operation.state],
                operation,
                filters=filters,
                stride=stride if operation.state < 2 else 1,
                style=style,
                name=f"{scope}.{side}",
            )
            for operation, side in zip(terms, ("left", "right"), strict=True)
        ]
        states.append(layers.Add(name=f"{scope}.sum")(made))
    return layers.Concatenate(name=f"{name}.concat")(states[2:])


def _path(
    x: Tensor,
    operation: Operation,
    *,
    filters: int,
    stride: int,
    style: Style,
    name: str,
) -> Tensor:
    """The operation's result, which training may drop."""
    x = _apply_operation(
        x, operation, filters=filters, stride=stride, style=style, name=name
    )
    if style.drop_path is None or operation.kind == "identity":
        return x
    rate, progress = style.drop_path
    return DropPath(rate, progress, name=f"{name}.drop_path")(x)


def _apply_operation(
    x: Tensor,
    operation: Operation,
    *,
    filters: int,
    stride: int,
    style: Style,
    name: str,
) -> Tensor:
    """The operation's result, `[N, H/stride, W/stride, filters]`."""
    size = operation.kernel_size
    if operation.kind == "separable":
        return _separable_twice(
            x, size, filters=filters, stride=stride, style=style, name=name
        )
    if operation.kind == "atrous":
        return _atrous(x, size, filters=filters, stride=stride, style=style, name=name)
    if operation.kind == "max_pool":
        return layers.MaxPooling2D(size, stride, padding="same", name=f"{name}.pool")(x)
    if stride == 1:
        return x
    names = (f"{name}.1x1", f"{name}.bn_1")
    return _conv(x, 1, filters=filters, style=style, names=names, at=StrideRate(stride))


def _separable_twice(
    x: Tensor, kernel_size: int, *, filters: int, stride: int, style: Style, name: str
) -> Tensor:
    """Twice ReLU, separable convolution, batch norm; the first has the stride."""
    for i, at in enumerate((StrideRate(stride), StrideRate()), start=1):
        suffix = f"{kernel_size}x{kernel_size}_{i}"
        scope = f"{name}.separable_{suffix}"
        x = activate(x, style=style, name=f"{scope}.{style.activation}")
        x, padding = pad(x, kernel_size, style=style, at=at, name=scope)
        # One layer: no batch norm stands between its two convolutions.
        x = layers.SeparableConv2D(
            filters,
            kernel_size,
            strides=at.stride,
            padding=padding,
            use_bias=False,
            depthwise_initializer=style.depthwise(),
            pointwise_initializer=style.pointwise(),
            name=scope,
        )(x)
        x = batch_norm(x, style=style, name=f"{name}.bn_sep_{suffix}")
    return x


def _atrous(
    x: Tensor, kernel_size: int, *, filters: int, stride: int, style: Style, name: str
) -> Tensor:
    """ReLU, convolution at rate 2, batch norm; on a smaller image at rate 1."""
    suffix = f"{kernel_size}x{kernel_size}"
    names = (f"{name}.atrous_{suffix}", f"{name}.bn_atr_{suffix}")
    if stride == 1:
        at = StrideRate(rate=2)
        return _conv(x, kernel_size, filters=filters, style=style, names=names, at=at)
    # It resizes what the ReLU gave: the two do not commute.
    x = activate(x, style=style, name=f"{name}.{style.activation}")
    x = ResizeTo(1 / stride, name=f"{name}.resize")([x, x])
    x = bare_conv(x, filters, kernel_size, style=style, name=names[0])
    return batch_norm(x, style=style, name=names[1])


def _conv(
    x: Tensor,
    kernel_size: int,
    *,
    filters: int,
    style: Style,
    names: tuple[str, str],
    at: StrideRate = StrideRate(),
) -> Tensor:
    """ReLU, convolution and batch norm, these two in scopes of their own."""
    scope, norm = names
    x = activate(x, style=style, name=f"{scope}.{style.activation}")
    x = bare_conv(x, filters, kernel_size, style=style, name=scope, at=at)
    return batch_norm(x, style=style, name=norm)
