"""EMA, the exponential moving average of weights that is evaluated and exported."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf import compat


class ExponentialMovingAverage:
    """EMA: the averages of the weights that learn, over the steps.

    `average = decay * average + (1 - decay) * weight`, Polyak & Juditsky 1992,
    https://doi.org/10.1137/0330046, where the decay grows with the steps,
    `min(decay, (1 + step) / (10 + step))`: so has it TensorFlow 1's
    `ExponentialMovingAverage(decay, num_updates)`, with which TF-slim trains. Without
    it, a short run would be evaluated with what it began with.

    Statistics of batch norm are averages themselves, and weights that do not learn are
    their own: both are taken as they are.

    Attributes:
        variables: By official name, for the checkpoint; float32.
    """

    def __init__(self, weights: Mapping[str, Any], decay: float) -> None:
        """Starts from the weights; within the strategy's scope.

        Args:
            weights: Keras variables that learn, by official name.
            decay: Of the average, near 1.
        """
        self._weights, self._decay = dict(weights), decay
        self._strategy = tf.distribute.get_strategy()
        self.variables = {
            name: keras.Variable(
                weight.numpy(), dtype="float32", trainable=False, name="average"
            )
            for name, weight in weights.items()
        }

    def reset(self) -> None:
        """Starts anew: where weights come from a checkpoint that has no averages."""
        for name, weight in self._weights.items():
            self.variables[name].assign(weight.numpy())

    def update(self, step: tf.Tensor) -> None:
        """Adds a step's weights; in each replica, or once outside of them all.

        Args:
            step: How many steps were taken, with this one.
        """
        step = tf.cast(step, tf.float32)
        rest = 1.0 - tf.minimum(self._decay, (1.0 + step) / (10.0 + step))
        context = tf.distribute.get_replica_context()
        if context is not None and context.strategy is self._strategy:
            compat.merge_call(self._update, self._strategy, rest)
        else:
            with self._strategy.scope():
                self._update(self._strategy, rest)

    def _update(self, strategy: tf.distribute.Strategy, rest: tf.Tensor) -> None:
        """Every device takes in its own copy of the weights: none is sent."""
        for name, weight in self._weights.items():
            average = self.variables[name].value
            args = (weight.value, rest)
            strategy.extended.update(average, _approach, args=args, group=False)


def _approach(average: tf.Variable, weight: Any, rest: tf.Tensor) -> tf.Tensor:
    return average.assign_add(rest * (weight - average))
