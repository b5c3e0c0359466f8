"""Dropout, and drop path of NAS cells, whose noise a caller may supply.

Noise of the caller makes masks that do not depend on the number of devices.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from deeplab_tf.models.layers.backend_ops import Tensor

Noise = Callable[[str, tuple], Tensor]
Progress = Callable[[], Tensor]  # -> share of the training that is done, 0...1.

_local = threading.local()  # Replicas are threads.


@contextlib.contextmanager
def noise_from(source: Noise) -> Iterator[None]:
    """Noise of the dropout layers of the networks that are called meanwhile.

    Args:
        source: Name of a layer, and the shape of its noise for one image -> uniform
            noise in [0, 1), float32 `[N, *shape]`.
    """
    _local.source = source
    try:
        yield
    finally:
        _local.source = None


def _noise(layer: layers.Layer, shape: tuple) -> Tensor | None:
    """The caller's noise for a layer, `[N, *shape]`; None where there is none."""
    source = getattr(_local, "source", None)
    return None if source is None else source(layer.name, shape)


@keras.saving.register_keras_serializable("deeplab_tf")
class Dropout(layers.Dropout):
    """Keras' dropout, with the noise of `noise_from` where there is some."""

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training or not self.rate:
            return inputs
        noise = _noise(self, tuple(ops.shape(inputs)[1:]))
        if noise is None:
            return super().call(inputs, training=training)
        keep = 1.0 - self.rate
        return ops.where(noise < keep, inputs / keep, ops.zeros_like(inputs))


class DropPathSchedule(NamedTuple):
    """ScheduledDropPath: the more paths are dropped the longer training lasts.

    Reference: Zoph et al. 2018, section 4, https://arxiv.org/abs/1707.07012.

    Attributes:
        rate: Share of the images that lose a path of the last cell at the end.
        progress: How far training is.
    """

    rate: float
    progress: Progress

    def of_cell(self, number: int, cells: int) -> "DropPathSchedule":
        """That of the cell `number`, from 0; earlier cells lose less."""
        return self._replace(rate=self.rate * (number + 1) / cells)


@keras.saving.register_keras_serializable("deeplab_tf")
class DropPath(layers.Dropout):
    """Zeroes all features of some images, and scales those of the others up.

    Args:
        rate: Share of the images at the end of training.
        progress: How far it is; without it, at the end.
        **settings: Of `keras.layers.Dropout`.
    """

    def __init__(
        self, rate: float, progress: Progress | None = None, **settings: Any
    ) -> None:
        super().__init__(rate, **settings)
        self.progress = progress

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not training or not self.rate:
            return inputs
        done = self.progress() if self.progress else 1.0
        keep = 1.0 - done * self.rate
        noise = _noise(self, (1, 1, 1))
        if noise is None:
            shape = (ops.shape(inputs)[0], 1, 1, 1)
            noise = keras.random.uniform(shape, seed=self.seed_generator)
        factor = ops.floor(keep + noise) / keep
        return inputs * ops.cast(factor, inputs.dtype)
