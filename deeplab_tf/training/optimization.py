"""Gradients -> weights: what decays, what learns faster, and the update rules."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.checkpoints.restoring import LAST_LAYERS, LOGITS
from deeplab_tf.config import OptimizerConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.training.schedules import LearningRate

_DEPTHWISE_DECAYS = ("pnasnet/", "hnasnet/")


class Momentum(keras.optimizers.SGD):
    """Momentum with the learning rate outside the velocity, as in TensorFlow 1.

    `v = momentum * v + g; w = w - rate * v`. Keras has the rate in `v`, another rule as
    soon as the rate changes.
    """

    def build(self, variables: Any) -> None:
        super().build(variables)
        if self.momentum == 0:  # Keras makes none then.
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = tf.cast(learning_rate, variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, velocity * self.momentum + gradient)
        self.assign_sub(variable, velocity * rate)


class CaffeMomentum(Momentum):
    """Momentum with the learning rate inside the velocity, as Caffe's SGD has it.

    `v = momentum * v + rate * g; w = w - v`. After the rate fell, the velocity still
    carries the steps of the higher one. So trained FCN, DeepLab v1 and v2, SegNet.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = tf.cast(learning_rate, variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        self.assign(velocity, velocity * self.momentum + gradient * rate)
        self.assign_sub(variable, velocity)


def make_optimizer(config: OptimizerConfig) -> keras.optimizers.Optimizer:
    """The update rule, counting steps; its `build` makes the slots of weights."""
    rate = LearningRate(config)
    if config.optimizer == "adam":
        return keras.optimizers.Adam(rate, epsilon=config.adam_epsilon)
    rule = CaffeMomentum if config.optimizer == "sgd" else Momentum
    return rule(rate, momentum=config.momentum)


def slots(
    optimizer: keras.optimizers.Optimizer, weights: Mapping[str, Any]
) -> dict[str, Any]:
    """The optimizer's memory of each weight, named as TensorFlow 1 names it.

    It has no name for Caffe's velocity, which is another number than its "Momentum".
    """
    if isinstance(optimizer, CaffeMomentum):
        kinds = {"Velocity": optimizer.momentums}
    elif isinstance(optimizer, Momentum):
        kinds = {"Momentum": optimizer.momentums}
    else:
        kinds = {"Adam": optimizer._momentums, "Adam_1": optimizer._velocities}
    return {
        f"{name}/{kind}": slot
        for kind, made in kinds.items()
        for name, slot in zip(weights, made, strict=True)
    }


def gradient_multiplier(name: str, config: OptimizerConfig) -> float:
    """How much faster a weight learns: last layers by the flag, biases twice that.

    On top of it comes the first pattern that is found in the name.

    Args:
        name: Official name of the weight.
        config: The flags, and which layers are last.
    """
    last = LOGITS if config.last_layers_contain_logits_only else LAST_LAYERS
    factor = 2.0 if "biases" in name else 1.0
    if any(scope in name for scope in last):
        factor *= config.last_layer_gradient_multiplier
    found = (own for pattern, own in config.factors if pattern.search(name))
    return factor * next(found, 1.0)


def learning(named: Mapping[str, Any], config: OptimizerConfig) -> dict[str, Any]:
    """Those of the named weights that learn; no other has gradient, decay or slot.

    Raises:
        FlagError: A gradient multiplier is of no weight, or none learns.
    """
    for pattern, _ in config.factors:
        if not any(map(pattern.search, named)):
            scopes = dict.fromkeys("/".join(name.split("/")[:-1][:2]) for name in named)
            raise FlagError(
                f"--gradient_multipliers: {pattern.pattern} is in the name of no "
                f"weight; their scopes are {', '.join(scopes)}"
            )
    found = {
        name: weight
        for name, weight in named.items()
        if weight.trainable and gradient_multiplier(name, config) != 0
    }
    if not found:
        raise FlagError("--gradient_multipliers: all are 0, and no weight learns")
    return found


def decays(name: str) -> bool:
    """Whether weight decay pulls at a weight: kernels; depthwise ones of a NAS only."""
    kind = name.rsplit("/", 1)[-1]
    if kind == "depthwise_weights":
        return name.startswith(_DEPTHWISE_DECAYS)
    return kind in ("weights", "pointwise_weights")


def regularization(weights: Mapping[str, Any], config: OptimizerConfig) -> tf.Tensor:
    """The decay as a loss, half the squared weights times `weight_decay`."""
    squares = [tf.nn.l2_loss(w.value) for name, w in weights.items() if decays(name)]
    return config.weight_decay * tf.add_n(squares) if squares else tf.constant(0.0)
