"""Weight names of official checkpoints, which follow from the layers."""

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

_NAMES = {
    "kernel": "weights",
    "bias": "biases",
    "depthwise_kernel": "depthwise_weights",  # Of a separable convolution that is one.
    "pointwise_kernel": "pointwise_weights",
}


def weights_by_name(model: keras.Model) -> dict[str, Any]:
    """TF1 variable name -> Keras variable, of every weight.

    A layer's name is its scope with `.` for `/`; the variables within are those of
    TF-slim: "weights", "depthwise_weights", "biases", "BatchNorm/gamma".
    """
    return {
        f"{scope(layer)}/{_variable_name(layer, variable.name)}": variable
        for layer in layers_of(model)
        for variable in layer.weights
        if not isinstance(layer, layers.Dropout)  # Its seed is no weight.
    }


def layers_of(model: keras.Model) -> Iterator[layers.Layer]:
    """Yields the layers of a network, those of a network within it, too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)
        else:
            yield layer


def scope(layer: layers.Layer) -> str:
    """The layer's scope in official checkpoints."""
    return layer.name.replace(".", "/")


def _variable_name(layer: layers.Layer, name: str) -> str:
    if isinstance(layer, layers.DepthwiseConv2D) and name == "kernel":
        return "depthwise_weights"
    return _NAMES.get(name, name)
