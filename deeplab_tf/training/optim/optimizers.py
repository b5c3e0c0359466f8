"""Optimizers: update rules, for gradients that are summed over the replicas already."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.compat import SummedGradients, slot_index


class Momentum(SummedGradients, keras.optimizers.SGD):
    """Momentum with the learning rate outside the velocity, as in TensorFlow 1.

    `v = momentum * v + g; w = w - rate * v`, by TensorFlow's one kernel for it. Keras
    has the rate in `v`, another rule as soon as the rate changes.
    """

    def build(self, variables: Any) -> None:
        super().build(variables)
        if self.momentum == 0:  # Keras makes none then.
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        velocity = self.momentums[slot_index(self, variable)].value
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=velocity.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=gradient,
            momentum=self.momentum,
        )


class CaffeMomentum(Momentum):
    """Momentum with the learning rate inside the velocity, as Caffe's SGD has it.

    `v = momentum * v + rate * g; w = w - v`. After the rate fell, the velocity still
    carries the steps of the higher one. So trained FCN, DeepLab v1 and v2, SegNet.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = tf.cast(learning_rate, variable.dtype)
        velocity = self.momentums[slot_index(self, variable)]
        self.assign(velocity, velocity * self.momentum + gradient * rate)
        self.assign_sub(variable, velocity)


class Adam(SummedGradients, keras.optimizers.Adam):
    """Adam of Kingma & Ba 2015, as TensorFlow has it; https://arxiv.org/abs/1412.6980.

    What multiplies a gradient it divides out again, but for epsilon.
    """


class AdamW(Adam):
    """Adam with decay outside of the gradient, and a rate of its own for each weight.

    `w = w - rate * factor * (adam + decay * w)`: Loshchilov & Hutter 2019, algorithm 2,
    https://arxiv.org/abs/1711.05101, where the rate is that of the schedule.
    `configure` comes before `build`.
    """

    def configure(self, factors: Sequence[float], decays: Sequence[float]) -> None:
        """Says how each weight learns.

        Args:
            factors: Of the rate of each weight, of its decay too.
            decays: What each weight loses of itself, times the rate.
        """
        self._factors, self._decays = tuple(factors), tuple(decays)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = slot_index(self, variable)
        rate = tf.cast(learning_rate, variable.dtype) * self._factors[index]
        if decay := self._decays[index]:
            self.assign_sub(variable, variable * (rate * decay))
        super().update_step(gradient, variable, rate)
