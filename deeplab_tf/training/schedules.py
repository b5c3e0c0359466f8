"""The learning rate of each step."""

import keras
import tensorflow as tf

from deeplab_tf.config import OptimizerConfig


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """Poly or step policy after a slow start; Adam's rate is constant.

    Reference: Chen et al. 2017, section 4.1, https://arxiv.org/abs/1706.05587.
    """

    def __init__(self, config: OptimizerConfig) -> None:
        self.config = config

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        config = self.config
        if config.optimizer == "adam":
            return tf.constant(config.adam_learning_rate)
        step = tf.cast(step, tf.float32)
        after = tf.maximum(step - config.slow_start_step, 0.0)
        rate = (
            self._poly(after) if config.learning_policy == "poly" else self._step(after)
        )
        slow = tf.constant(config.slow_start_learning_rate)
        return tf.where(step < config.slow_start_step, slow, rate)

    def _poly(self, step: tf.Tensor) -> tf.Tensor:
        config = self.config
        steps = config.decay_steps or (
            config.training_number_of_steps - config.slow_start_step
        )
        left = 1.0 - tf.minimum(step, steps) / steps
        span = config.base_learning_rate - config.end_learning_rate
        return span * left**config.learning_power + config.end_learning_rate

    def _step(self, step: tf.Tensor) -> tf.Tensor:
        config = self.config
        drops = tf.floor(step / config.learning_rate_decay_step)
        return config.base_learning_rate * config.learning_rate_decay_factor**drops

    def get_config(self) -> dict:
        return {"config": self.config}
