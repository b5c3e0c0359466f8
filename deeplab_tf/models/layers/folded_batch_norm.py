"""Frozen batch norm, folded into the convolution before it, for training.

With moving statistics, batch norm multiplies each channel by a number and adds another:

    rate = gamma / sqrt(variance + epsilon)
    norm(conv(x, kernel)) = conv(x, kernel * rate) + beta - mean * rate

Kernels are small beside features: a pass over memory each way is saved, and a step has
no kernel of batch norm, for which TensorFlow has no deterministic gradient on a GPU.
Gradients of kernel, gamma and beta follow by the chain rule. Reference: Jacob et al.
2018, section 3.2, https://arxiv.org/abs/1712.05877, for inference.
"""

from collections import Counter
from typing import Any

import keras
from keras import layers, ops

from deeplab_tf.compat import nodes_in_call_order
from deeplab_tf.models.layers.backend_ops import Tensor, affine_of_batch_norm
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm


def fold_frozen_batch_norm(model: keras.Model) -> keras.Model:
    """A functional model of the same layers, of which frozen batch norm is folded.

    It computes what the model does in training, but for rounding. Where nothing is to
    be folded, it is the model itself; a network within it is folded, too.
    """
    norms = _norms_by_conv(model)
    nested = {
        id(layer): folded
        for layer in model.layers
        if isinstance(layer, keras.Model)
        and (folded := fold_frozen_batch_norm(layer)) is not layer
    }
    if not norms and not nested:
        return model
    convs = {id(norm): conv for conv, norm in norms.values()}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if id(layer) in norms:
            return args[0]  # For its batch norm, which comes with it.
        if conv := convs.get(id(layer)):
            return FoldedConv(conv, layer, name=f"{conv.name}.folded")(args[0])
        return nested.get(id(layer), layer)(*args, **kwargs)

    return keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )


def _norms_by_conv(model: keras.Model) -> dict[int, tuple[Any, FrozenableBatchNorm]]:
    """Convolutions, by `id`, that one frozen batch norm alone reads, with it."""
    nodes = nodes_in_call_order(model)
    calls = Counter(id(node.operation) for node in nodes)
    readers = Counter(id(x) for node in nodes for x in node.input_tensors)
    readers.update(id(x) for x in model.outputs)
    sources = {id(x): node.operation for node in nodes for x in node.outputs}
    pairs = {}
    for node in nodes:
        norm, features = node.operation, node.input_tensors[0]
        conv = sources.get(id(features))
        if (
            isinstance(norm, FrozenableBatchNorm)
            and norm.frozen
            and isinstance(conv, layers.Conv2D | layers.DepthwiseConv2D)
            and conv.activation is keras.activations.linear
            and getattr(conv, "depth_multiplier", 1) == 1
            and conv.compute_dtype == norm.compute_dtype
            and readers[id(features)] == calls[id(conv)] == calls[id(norm)] == 1
        ):
            pairs[id(conv)] = (conv, norm)
    return pairs


class FoldedConv(layers.Layer):
    """A convolution and the frozen batch norm behind it, whose weights these keep.

    The kernel is multiplied in float32, and rounded to half precision once.

    Args:
        conv: A Conv2D, or a DepthwiseConv2D of depth multiplier 1; no activation.
        norm: Frozen.
        **settings: Of a layer.
    """

    def __init__(self, conv: Any, norm: FrozenableBatchNorm, **settings: Any):
        super().__init__(dtype="float32", autocast=False, **settings)
        self.conv = conv
        self.norm = norm

    def build(self, input_shape: tuple) -> None:
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        conv, norm = self.conv, self.norm
        rate, bias = affine_of_batch_norm(norm)
        if conv.use_bias:
            bias = bias + conv.bias * rate
        x = ops.cast(inputs, conv.compute_dtype)
        if isinstance(conv, layers.DepthwiseConv2D):
            # [h, w, channels, 1]
            kernel = ops.cast(conv.kernel * rate[:, None], x.dtype)
            x = ops.depthwise_conv(
                x,
                kernel,
                strides=conv.strides,
                padding=conv.padding,
                dilation_rate=conv.dilation_rate,
            )
        else:
            x = conv.convolution_op(x, ops.cast(conv.kernel * rate, x.dtype))
        return ops.add(x, ops.cast(bias, x.dtype))
