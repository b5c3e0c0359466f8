"""Gradients -> weights: what decays, what learns faster, and what is clipped."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from deeplab_tf import compat
from deeplab_tf.config import OptimizerConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.heads import LOGITS, last_layers
from deeplab_tf.training.optim.lr_schedules import LearningRate
from deeplab_tf.training.optim.optimizers import Adam, AdamW, CaffeMomentum, Momentum

_DEPTHWISE_DECAYS = ("pnasnet/", "hnasnet/")


def make_optimizer(config: OptimizerConfig) -> keras.optimizers.Optimizer:
    """The update rule, counting steps; `build_slots` makes its slots."""
    rate = LearningRate(config)
    if config.optimizer == "adamw":
        return AdamW(rate, epsilon=config.adam_epsilon)
    if config.optimizer == "adam":
        _warn_of_multipliers(config)
        return Adam(rate, epsilon=config.adam_epsilon)
    rule = CaffeMomentum if config.optimizer == "sgd" else Momentum
    return rule(rate, momentum=config.momentum)


def build_slots(
    optimizer: keras.optimizers.Optimizer,
    weights: Mapping[str, Any],
    config: OptimizerConfig,
) -> None:
    """Makes the slots of the weights that learn, by name; says to AdamW who learns how.

    Within the strategy's scope.
    """
    if isinstance(optimizer, AdamW):
        decay = config.weight_decay
        optimizer.configure(
            [gradient_multiplier(name, config) for name in weights],
            [decay if decays(name) else 0.0 for name in weights],
        )
    optimizer.build(list(weights.values()))


def _warn_of_multipliers(config: OptimizerConfig) -> None:
    factors = {config.last_layer_gradient_multiplier, *(f for _, f in config.factors)}
    if factors - {0.0, 1.0}:
        logging.warning(
            "--optimizer=adam learns as fast whatever multiplies its gradients, as in "
            "research/deeplab; --optimizer=adamw multiplies the rate of each weight"
        )


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
        first, second = compat.adam_moments(optimizer)
        kinds = {"Adam": first, "Adam_1": second}
    return {
        f"{name}/{kind}": slot
        for kind, variables in kinds.items()
        for name, slot in zip(weights, variables, strict=True)
    }


def gradient_multiplier(name: str, config: OptimizerConfig) -> float:
    """Gradient multiplier of a weight: last layers by the flag, biases twice that.

    On top of it comes the first pattern that is found in the name.

    Args:
        name: Official name of the weight.
        config: The flags, and which layers are last.
    """
    last = LOGITS if config.last_layers_contain_logits_only else last_layers()
    factor = 2.0 if "biases" in name else 1.0
    if any(scope in name for scope in last):
        factor *= config.last_layer_gradient_multiplier
    factors = (own for pattern, own in config.factors if pattern.search(name))
    return factor * next(factors, 1.0)


def multiply(
    gradients: Sequence[tf.Tensor], weights: Mapping[str, Any], config: OptimizerConfig
) -> list[tf.Tensor]:
    """The gradients of the weights, each times its multiplier.

    Those of AdamW stay: there, the multiplier is of the rate. Those of Adam are
    multiplied as in research/deeplab, where it has as little effect as here.
    """
    if config.optimizer == "adamw":
        return list(gradients)
    factors = (gradient_multiplier(name, config) for name in weights)
    return [
        gradient if factor == 1.0 else gradient * factor
        for gradient, factor in zip(gradients, factors, strict=True)
    ]


def clip_by_global_norm(
    gradients: Sequence[tf.Tensor], greatest: float
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Gradient clipping by the norm of all; Pascanu et al. 2013, algorithm 1.

    https://arxiv.org/abs/1211.5063. They must be summed over the replicas.

    Args:
        gradients: Of all weights.
        greatest: The norm above which they are shortened; 0 leaves them.

    Returns:
        The gradients, and the norm they had. Where that is infinite or NaN, they are
        left as they are.
    """
    norm = tf.linalg.global_norm(gradients)
    if not greatest:
        return list(gradients), norm
    factor = greatest / tf.maximum(norm, greatest)
    factor = tf.where(tf.math.is_finite(norm), factor, 1.0)
    return [gradient * factor for gradient in gradients], norm


def select_trainable(
    named: Mapping[str, Any], config: OptimizerConfig
) -> dict[str, Any]:
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
    trainable = {
        name: weight
        for name, weight in named.items()
        if weight.trainable and gradient_multiplier(name, config) != 0
    }
    if not trainable:
        raise FlagError("--gradient_multipliers: all are 0, and no weight learns")
    return trainable


def decays(name: str) -> bool:
    """Whether weight decay pulls at a weight: kernels; depthwise ones of a NAS only."""
    kind = name.rsplit("/", 1)[-1]
    if kind == "depthwise_weights":
        return name.startswith(_DEPTHWISE_DECAYS)
    return kind in ("weights", "pointwise_weights")


def regularization(weights: Mapping[str, Any], config: OptimizerConfig) -> tf.Tensor:
    """Weight decay as a loss, half the squared weights times `weight_decay`.

    Of AdamW it is 0: there, decay is no part of the loss.
    """
    if config.optimizer == "adamw":
        return tf.constant(0.0)
    squares = [tf.nn.l2_loss(w.value) for name, w in weights.items() if decays(name)]
    return config.weight_decay * tf.add_n(squares) if squares else tf.constant(0.0)
