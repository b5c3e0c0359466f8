"""Dropout that lets others draw, so that its masks need not depend on the devices."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import layers, ops

Tensor = Any  # A KerasTensor; Keras ships no types.
Draw = Callable[[str, tuple], Tensor]

_local = threading.local()  # Replicas are threads.


@contextlib.contextmanager
def drawn_by(draw: Draw) -> Iterator[None]:
    """Lets a function draw for the dropout layers of the networks called meanwhile.

    Args:
        draw: Name of a layer, and the shape of its noise for one image -> uniform noise
            in [0, 1), float32 `[N, *shape]`.
    """
    _local.draw = draw
    try:
        yield
    finally:
        _local.draw = None


def noise(layer: layers.Layer, shape: tuple) -> Tensor | None:
    """What is drawn for a layer, `[N, *shape]`; None where nobody draws."""
    draw = getattr(_local, "draw", None)
    return None if draw is None else draw(layer.name, shape)


@keras.saving.register_keras_serializable("deeplab_tf")
class Dropout(layers.Dropout):
    """Keras' dropout, with noise of `drawn_by` where there is some."""

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training or not self.rate:
            return inputs
        drawn = noise(self, tuple(ops.shape(inputs)[1:]))
        if drawn is None:
            return super().call(inputs, training=training)
        keep = 1.0 - self.rate
        return ops.where(drawn < keep, inputs / keep, ops.zeros_like(inputs))
