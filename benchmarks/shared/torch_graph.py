"""A network of ours as plain PyTorch: the same layers, by walking the Keras graph."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch
from keras import layers
from torch import nn
from torch.nn import functional

from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.layers.resize import ResizeLike


class Graph(nn.Module):
    """What a Keras model of a fixed input size computes, with its weights.

    Takes images `[N, 3, H, W]` and gives logits `[N, C, h, w]`.

    Args:
        model: Of layers that `_RULES` knows; TypeError names another one.
    """

    def __init__(self, model: keras.Model):
        super().__init__()
        self._calls = []
        self._modules_of = nn.ModuleList()
        for layer in model.operations:
            if isinstance(layer, layers.InputLayer):
                continue
            module = _module(layer)
            self._modules_of.append(module)
            inputs = [id(x) for x in keras.tree.flatten(layer.input)]
            self._calls.append((inputs, id(layer.output)))
        self._ends = id(model.inputs[0]), id(model.outputs[0])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        first, last = self._ends
        known = {first: images}
        for module, (inputs, output) in zip(self._modules_of, self._calls, strict=True):
            known[output] = module(*(known[key] for key in inputs))
        return known[last]


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]):
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """What the function makes of its inputs."""
        return self.function(*inputs)


def _module(layer: Any) -> nn.Module:
    for kind, rule in _RULES.items():
        if isinstance(layer, kind):
            return rule(layer)
    raise TypeError(f"no rule for {type(layer).__name__} ({layer.name})")


def _convolution(layer: Any) -> nn.Module:
    """A convolution, behind zeros where PyTorch's padding is another."""
    before, after = _pads(layer, layer.kernel_size, layer.dilation_rate)
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    kernel = np.asarray(layer.kernel)
    channels = layer.input.shape[-1]
    # [h, w, in, out] -> [out, in, h, w]; depthwise: [h, w, in, 1] -> [in, 1, h, w].
    kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    convolution = nn.Conv2d(
        channels,
        kernel.shape[0],
        layer.kernel_size,
        stride=layer.strides,
        padding=before if before == after else 0,
        dilation=layer.dilation_rate,
        groups=channels if depthwise else 1,
        bias=layer.use_bias,
    )
    convolution.weight.data = _tensor(kernel)
    if layer.use_bias:
        convolution.bias.data = _tensor(layer.bias)
    if before == after:
        return convolution
    return nn.Sequential(nn.ZeroPad2d(_sides(before, after)), convolution)


def _batch_norm(layer: FrozenableBatchNorm) -> nn.Module:
    norm = nn.BatchNorm2d(
        layer.gamma.shape[0], eps=layer.epsilon, momentum=1 - layer.momentum
    )
    norm.weight.data, norm.bias.data = _tensor(layer.gamma), _tensor(layer.beta)
    norm.running_mean = _tensor(layer.moving_mean)
    norm.running_var = _tensor(layer.moving_variance)
    return norm


def _max_pool(layer: layers.MaxPooling2D) -> nn.Module:
    before, after = _pads(layer, layer.pool_size, (1, 1))
    pool = nn.MaxPool2d(layer.pool_size, layer.strides)
    if before == after == (0, 0):
        return pool
    return nn.Sequential(nn.ConstantPad2d(_sides(before, after), float("-inf")), pool)


def _pads(
    layer: Any, size: tuple[int, int], rate: tuple[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pixels before and after height and width, as TensorFlow pads."""
    if layer.padding == "valid":
        return (0, 0), (0, 0)
    before, after = [], []
    for axis in (0, 1):
        length, stride = layer.input.shape[1 + axis], layer.strides[axis]
        reach = (-(-length // stride) - 1) * stride + rate[axis] * (size[axis] - 1) + 1
        pad = max(reach - length, 0)
        before.append(pad // 2)
        after.append(pad - pad // 2)
    return tuple(before), tuple(after)


def _sides(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    """Left, right, top, bottom."""
    return before[1], after[1], before[0], after[0]


def _tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(values, np.float32))


def _zeros(layer: layers.ZeroPadding2D) -> nn.Module:
    (top, bottom), (left, right) = layer.padding
    return nn.ZeroPad2d((left, right, top, bottom))


def _relu(layer: layers.ReLU) -> nn.Module:
    return nn.ReLU() if layer.max_value is None else nn.ReLU6()


def _rescaling(layer: layers.Rescaling) -> nn.Module:
    offset = _tensor(layer.offset).reshape(-1, 1, 1)
    return Apply(lambda x: x * layer.scale + offset.to(x.device))


def _resize(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(
        x, like.shape[2:], mode="bilinear", align_corners=True
    )


_RULES: dict[type, Callable[[Any], nn.Module]] = {
    layers.DepthwiseConv2D: _convolution,
    layers.Conv2D: _convolution,
    FrozenableBatchNorm: _batch_norm,
    layers.MaxPooling2D: _max_pool,
    layers.ZeroPadding2D: _zeros,
    layers.ReLU: _relu,
    layers.Rescaling: _rescaling,
    layers.Activation: lambda layer: Apply(lambda x: x.float()),  # Only of logits.
    layers.Dropout: lambda layer: nn.Dropout(layer.rate),
    layers.Add: lambda layer: Apply(torch.add),
    layers.Concatenate: lambda layer: Apply(lambda *x: torch.cat(x, 1)),
    layers.GlobalAveragePooling2D: lambda layer: nn.AdaptiveAvgPool2d(1),
    ResizeLike: lambda layer: Apply(_resize),
}
