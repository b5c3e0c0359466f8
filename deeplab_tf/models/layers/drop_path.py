"""Dropping paths of a searched cell in training, the more the longer it lasts.

Reference: Zoph et al. 2018, section 4 (ScheduledDropPath),
https://arxiv.org/abs/1707.07012.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from deeplab_tf.models.layers.dropout import noise

Tensor = Any  # A KerasTensor; Keras ships no types.
Progress = Callable[[], Tensor]  # -> share of the training that is done, 0...1.


class Dropping(NamedTuple):
    """What training drops.

    Attributes:
        rate: Share of the images that lose a path of the last cell at the end.
        progress: How far training is.
    """

    rate: float
    progress: Progress

    def of_cell(self, number: int, cells: int) -> "Dropping":
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
        drawn = noise(self, (1, 1, 1))
        if drawn is None:
            shape = (ops.shape(inputs)[0], 1, 1, 1)
            drawn = keras.random.uniform(shape, seed=self.seed_generator)
        factor = ops.floor(keep + drawn) / keep
        return inputs * ops.cast(factor, inputs.dtype)
