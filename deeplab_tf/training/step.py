"""What a step is, forward, backward and update, on every replica."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.config import LossConfig, OptimizerConfig, TrainConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import AUXILIARY
from deeplab_tf.models.names import weights_by_name
from deeplab_tf.models.pyramid import each_scale
from deeplab_tf.training import losses, optimization, schedules
from deeplab_tf.training.optimization import gradient_multiplier, regularization

Metrics = Mapping[str, tf.Tensor]


@dataclasses.dataclass(eq=False, kw_only=True)
class Trainer:
    """A network and how it learns; `run` compiles once, for any number of steps.

    Attributes:
        strategy: On which devices.
        model: Images -> logits, or a list of them, of all of which the losses count.
        loss_weights: What the loss of each of the logits counts.
        label_grid: Which pixels the network scores; see `losses.on_grid`.
        optimizer: Built for `weights`.
        weights: Trainable ones by official name.
        spec: What the labels mean.
        loss: Of pixels.
        update: Multipliers and decay.
    """

    strategy: tf.distribute.Strategy
    model: keras.Model
    loss_weights: tuple[float, ...]
    label_grid: tuple[int, int] | None = None
    optimizer: keras.optimizers.Optimizer
    weights: Mapping[str, Any]
    spec: DatasetSpec
    loss: LossConfig
    update: OptimizerConfig

    @tf.function
    def run(self, batches: Iterator, count: tf.Tensor) -> Metrics:
        """Takes `count` steps; returns the metrics of each, `[count]`."""
        names = ("loss", "regularization", "bad_labels")
        found = {name: tf.TensorArray(tf.float32, count) for name in names}
        for i in tf.range(count):
            step = self._step(next(batches))
            found = {name: found[name].write(i, step[name]) for name in names}
        return {name: values.stack() for name, values in found.items()}

    def _step(self, batch: Any) -> dict[str, tf.Tensor]:
        found = self.strategy.run(self._replica_step, (batch,))
        return {
            name: self.strategy.reduce("SUM", value, axis=None)
            for name, value in found.items()
        }

    def _replica_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step; what it returns sums over the replicas to that of the batch."""
        context = tf.distribute.get_replica_context()
        with tf.GradientTape() as tape:
            found = tf.nest.flatten(self.model(batch["image"], training=True))
            label = losses.on_grid(batch["label"], self.label_grid)
            costs = [
                weight * self._loss(logits, label)
                for weight, logits in zip(self.loss_weights, found, strict=True)
            ]
            cost = tf.add_n(costs)
            decay = regularization(self.weights, self.update)
            decay /= context.num_replicas_in_sync
            total = cost + decay
        variables = [variable.value for variable in self.weights.values()]
        gradients = [
            gradient * gradient_multiplier(name, self.update)
            for name, gradient in zip(
                self.weights, tape.gradient(total, variables), strict=True
            )
        ]
        self.optimizer.apply(gradients, list(self.weights.values()))
        wrong = losses.bad_labels(batch["label"], self.spec)
        return {
            "loss": cost,
            "regularization": decay,
            "bad_labels": tf.cast(wrong, tf.float32),
        }

    def _loss(self, logits: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
        """This replica's share of the loss; a mean over the pixels of all."""
        cost, count = losses.loss_and_count(
            logits, label, self.spec, self.loss, self.optimizer.iterations
        )
        context = tf.distribute.get_replica_context()
        return cost / tf.maximum(context.all_reduce("SUM", count), 1e-5)


def make_trainer(
    config: TrainConfig,
    spec: DatasetSpec,
    loss: LossConfig,
    strategy: tf.distribute.Strategy,
) -> Trainer:
    """The network in its training form, and its optimizer; within the strategy's scope.

    Args:
        config: All settings.
        spec: What the labels mean.
        loss: Of pixels, with the weights of the classes.
        strategy: On which devices.
    """
    optimizer = optimization.make_optimizer(config.optimizer)
    model = build(
        config.model,
        spec.num_classes,
        input_size=config.augment.train_crop_size,
        frozen_batch_norm=not config.fine_tune_batch_norm,
        replicas=strategy.num_replicas_in_sync,
        dropping=schedules.dropping(config, optimizer.iterations),
        training_form=True,
    )
    weights = optimization.learning(weights_by_name(model), config.optimizer)
    optimizer.build(list(weights.values()))
    model = each_scale(model, config.model)
    return Trainer(
        strategy=strategy,
        model=model,
        loss_weights=(*_extra_weights(config, model), 1.0),
        label_grid=config.model.facts.label_grid,
        optimizer=optimizer,
        weights=weights,
        spec=spec,
        loss=loss,
        update=config.optimizer,
    )


def _extra_weights(config: TrainConfig, model: keras.Model) -> tuple[float, ...]:
    """What the losses of logits before the last count: auxiliary ones, or scales."""
    is_auxiliary = config.model.head in AUXILIARY
    weight = config.loss.auxiliary_loss_weight if is_auxiliary else 1.0
    return (weight,) * (len(model.outputs) - 1)
