"""Learning rate schedules, and the schedule of how many paths are dropped."""

import math
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.config import OptimizerConfig
from deeplab_tf.models.layers.dropout import DropPathSchedule


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """Learning-rate schedule: a policy after a slow start, from whose end it counts.

    Adam has none.

    References: poly, Chen et al. 2017, section 4.1, https://arxiv.org/abs/1706.05587;
    step, fixed, inv and multistep are those of Caffe's solver, where the step policy is
    that of Chen et al. 2014, section 4, https://arxiv.org/abs/1412.7062; cosine,
    Loshchilov & Hutter 2017, equation 5, without restarts,
    https://arxiv.org/abs/1608.03983.
    """

    def __init__(self, config: OptimizerConfig) -> None:
        self.config = config

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        config = self.config
        if config.optimizer == "adam":
            return tf.constant(config.adam_learning_rate)
        step = tf.cast(step, tf.float32)
        after = tf.maximum(step - config.slow_start_step, 0.0)
        policies = {
            "poly": self._poly,
            "step": self._step,
            "fixed": self._fixed,
            "inv": self._inv,
            "multistep": self._multistep,
            "cosine": self._cosine,
        }
        rate = policies[config.learning_policy](after)
        slow = tf.constant(config.slow_start_learning_rate)
        return tf.where(step < config.slow_start_step, slow, rate)

    def _poly(self, step: tf.Tensor) -> tf.Tensor:
        left = 1.0 - self._progress(step)
        return self._from_base_to_end(left**self.config.learning_power)

    def _cosine(self, step: tf.Tensor) -> tf.Tensor:
        return self._from_base_to_end(
            0.5 * (1.0 + tf.cos(math.pi * self._progress(step)))
        )

    def _progress(self, step: tf.Tensor) -> tf.Tensor:
        """Share of the decay's steps that are behind, 0 to 1."""
        config = self.config
        steps = config.decay_steps or (
            config.training_number_of_steps - config.slow_start_step
        )
        return tf.minimum(step, steps) / steps

    def _from_base_to_end(self, left: tf.Tensor) -> tf.Tensor:
        """The rate where that share, 1 to 0, of the way down is left."""
        config = self.config
        span = config.base_learning_rate - config.end_learning_rate
        return span * left + config.end_learning_rate

    def _step(self, step: tf.Tensor) -> tf.Tensor:
        config = self.config
        drops = tf.floor(step / config.learning_rate_decay_step)
        return config.base_learning_rate * config.learning_rate_decay_factor**drops

    def _fixed(self, step: tf.Tensor) -> tf.Tensor:
        return self.config.base_learning_rate * tf.ones_like(step)

    def _inv(self, step: tf.Tensor) -> tf.Tensor:
        config = self.config
        divisor = (1.0 + config.learning_rate_gamma * step) ** config.learning_power
        return config.base_learning_rate / divisor

    def _multistep(self, step: tf.Tensor) -> tf.Tensor:
        config = self.config
        reached = tf.constant(config.learning_rate_steps, tf.float32) <= step
        drops = tf.reduce_sum(tf.cast(reached, tf.float32))
        return config.base_learning_rate * config.learning_rate_decay_factor**drops

    def get_config(self) -> dict:
        return {"config": self.config}


def drop_path_schedule(
    keep_prob: float, step: Any, total: int
) -> DropPathSchedule | None:
    """Drop path: more paths the further training is, from none at its first step.

    Args:
        keep_prob: Share of paths that are kept in the end; None are dropped at 1.
        step: Variable that counts the steps.
        total: Steps of the run.
    """
    if keep_prob == 1:
        return None

    def progress() -> tf.Tensor:
        return tf.minimum(tf.cast(step.value, tf.float32) / total, 1.0)

    return DropPathSchedule(1 - keep_prob, progress)
