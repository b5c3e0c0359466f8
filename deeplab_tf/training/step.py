"""What a step is, forward, backward and update, on every replica."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.config import LossConfig, OptimizerConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.training import intervals, parts
from deeplab_tf.training.losses import total as losses
from deeplab_tf.training.noise import numbered
from deeplab_tf.training.optim.ema import Averages
from deeplab_tf.training.optim.gradients import clip, multiplied, regularization
from deeplab_tf.training.optim.loss_scale import LossScale

Metrics = Mapping[str, Sequence[float]]
MOST = 100  # Steps of a call.
_SUMMED = ("loss", "regularization", "bad_labels")  # Over replicas and parts.
METRICS = (*_SUMMED, "gradient_norm", "data_wait", "loss_scale", "skipped")


@dataclasses.dataclass(eq=False, kw_only=True)
class Trainer:
    """A network and how it learns; `run` compiles once, for any number of steps.

    Attributes:
        strategy: On which devices.
        model: Images -> logits, or a list of them, of all of which the losses count.
        forward: What computes the model.
        loss_weights: What the loss of each of the logits counts.
        label_grid: Which pixels the network scores; see `total.on_grid`.
        optimizer: Built for `weights`.
        weights: Trainable ones by official name.
        spec: What the labels mean.
        loss: Of pixels.
        update: Multipliers and decay.
        sums: Of the gradients of a batch's parts, where there are several.
        parts: In how many parts a batch is computed.
        averages: Of the weights, if some are kept.
        scaling: Of the loss, where float16 needs it.
        seed: Of dropout.
        jit: Whether XLA compiles it.
        timed: Whether waiting for data is measured: clocks are not deterministic.
        record: Metrics of the steps of a call, `[MOST, len(METRICS)]`.
    """

    strategy: tf.distribute.Strategy
    model: keras.Model
    forward: Callable[..., Any]
    loss_weights: tuple[float, ...]
    label_grid: tuple[int, int] | None = None
    optimizer: keras.optimizers.Optimizer
    weights: Mapping[str, Any]
    spec: DatasetSpec
    loss: LossConfig
    update: OptimizerConfig
    sums: Sequence[tf.Variable] = ()
    parts: int = 1
    averages: Averages | None = None
    scaling: LossScale | None = None
    seed: int = 0
    jit: bool = False
    timed: bool = True
    record: tf.Variable = dataclasses.field(
        default_factory=lambda: tf.Variable(tf.zeros([MOST, len(METRICS)]))
    )

    def run(self, batches: Iterator, count: int) -> Metrics:
        """Takes up to `MOST` steps; returns their metrics."""
        self._run(batches, tf.constant(count))
        return self.metrics(count)

    def metrics(self, count: int) -> Metrics:
        """Of the first steps of the last run, though a later one may have failed."""
        values = self.record.numpy()[:count].T.tolist()
        found = dict(zip(METRICS, values, strict=True))
        if self.scaling is None:
            del found["loss_scale"], found["skipped"]
        if not self.timed:
            del found["data_wait"]
        return found

    @property
    def averaged_weights(self) -> dict[str, Any]:
        """Moving averages by official name, if some are kept."""
        return self.averages.variables if self.averages else {}

    @tf.function
    def _run(self, batches: Iterator, count: tf.Tensor) -> None:
        for i in tf.range(count):
            # Or a batch that cannot be read would cut short the step before it.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            step = self._step(batches)
            row = tf.stack([step[name] for name in METRICS])
            record = tf.tensor_scatter_nd_update(self.record, [[i]], [row])
            self.record.assign(record)

    def _step(self, batches: Iterator) -> dict[str, tf.Tensor]:
        """One step, as all devices take it together."""
        waited = tf.constant(0.0)
        if self.timed:
            known = [self.optimizer.iterations.value]
            batch, waited = intervals.timed_next(batches, known)
        else:
            batch = next(batches)
        divisors = self.strategy.run(self._divisors, (batch,))
        if self.parts == 1:
            gradients, found = self.strategy.run(self._computed, (batch, divisors))
            found = self._over_replicas("SUM", found)
        else:
            gradients, found = self._in_parts(batch, divisors)
        gradients, norms = self.strategy.run(self._reduced, (gradients,))
        found |= self._over_replicas("MEAN", norms)
        finite = tf.math.is_finite(found["gradient_norm"])
        scale = self._update(gradients, finite)
        skipped = tf.cast(tf.logical_not(finite), tf.float32)
        return found | {"data_wait": waited, "loss_scale": scale, "skipped": skipped}

    def _in_parts(self, batch: Any, divisors: Any) -> tuple[Any, dict[str, tf.Tensor]]:
        """Sums over the parts of a batch: gradients of each replica, and metrics."""
        found = {name: tf.constant(0.0) for name in _SUMMED}
        for part in tf.range(self.parts):
            more = self.strategy.run(self._accumulate, (batch, divisors, part))
            more = self._over_replicas("SUM", more)
            found = {name: found[name] + more[name] for name in _SUMMED}
        return self.strategy.run(self._taken), found

    def _over_replicas(self, how: str, found: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self.strategy.reduce(how, value, axis=None)
            for name, value in found.items()
        }

    def _update(self, gradients: Any, finite: tf.Tensor) -> tf.Tensor:
        """Moves the weights; after an overflow of float16, only the step counts."""
        if self.scaling is None:
            self.strategy.run(self._apply, (gradients,))
            return tf.constant(1.0)
        if finite:
            self.strategy.run(self._apply, (gradients,))
        else:
            self.optimizer.iterations.assign_add(1)
        scale = tf.identity(self.scaling.variables["scale"].value)
        self.scaling.update(finite)
        return scale

    # What follows is done by each replica.

    def _divisors(self, batch: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        """What the losses of each of the logits are divided by, of all parts."""
        context = tf.distribute.get_replica_context()
        label = losses.on_grid(batch["label"], self.label_grid)
        shapes = self.model.compute_output_shape(tuple(batch["image"].shape))
        if len(self.model.outputs) == 1:
            shapes = [shapes]
        counts = [
            losses.counts(label, shape[1:3], self.spec, self.loss) for shape in shapes
        ]
        return [context.all_reduce("SUM", count) for count in counts]

    def _computed(self, batch: Mapping[str, tf.Tensor], divisors: Any) -> Any:
        """`_gradients`, compiled by XLA where that is asked for."""
        if not self.jit:
            return self._gradients(batch, divisors)
        return tf.function(self._gradients, jit_compile=True)(batch, divisors)

    def _gradients(
        self, batch: Mapping[str, tf.Tensor], divisors: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """Gradients and metrics; summed over replicas and parts, those of the batch."""
        # Also around the backward pass, which may compute activations again.
        with numbered(batch["number"], seed=self.seed), tf.GradientTape() as tape:
            found = self._costs(batch, divisors)
            total = found["loss"] + found["regularization"]
            if self.scaling:
                total = self.scaling.scaled(total)
            variables = [variable.value for variable in self.weights.values()]
            with tape.stop_recording():
                gradients = tape.gradient(total, variables)
        wrong = losses.bad_labels(batch["label"], self.spec)
        return gradients, found | {"bad_labels": tf.cast(wrong, tf.float32)}

    def _costs(
        self, batch: Mapping[str, tf.Tensor], divisors: Sequence[tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """This replica's share of what is to become small."""
        context = tf.distribute.get_replica_context()
        found = tf.nest.flatten(self.forward(batch["image"], training=True))
        label = losses.on_grid(batch["label"], self.label_grid)
        costs = [
            weight * self._loss(logits, label, divisor)
            for weight, logits, divisor in zip(
                self.loss_weights, found, divisors, strict=True
            )
        ]
        decay = regularization(self.weights, self.update)
        shares = context.num_replicas_in_sync * self.parts
        return {"loss": tf.add_n(costs), "regularization": decay / shares}

    def _loss(self, logits: tf.Tensor, label: tf.Tensor, divisor: Any) -> tf.Tensor:
        """This replica's share of the loss."""
        sums, late = losses.sums(
            logits, label, self.spec, self.loss, self.optimizer.iterations
        )
        if losses.counts_late(self.loss):
            context = tf.distribute.get_replica_context()
            divisor += self.parts * context.all_reduce("SUM", late)
        return losses.total(sums, divisor, self.loss)

    def _accumulate(
        self, batch: Mapping[str, tf.Tensor], divisors: Any, number: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Adds the gradients of a part to the sums; returns its metrics."""
        share = {
            name: parts.part(value, number, self.parts) for name, value in batch.items()
        }
        gradients, found = self._computed(share, divisors)
        for total, gradient in zip(self.sums, gradients, strict=True):
            total.assign_add(gradient)
        return found

    def _taken(self) -> list[tf.Tensor]:
        """The sums, which are then zero."""
        gradients = [total.read_value() for total in self.sums]
        with tf.control_dependencies(gradients):
            for total in self.sums:
                total.assign(tf.zeros_like(total))
        return gradients

    def _reduced(
        self, gradients: list[tf.Tensor]
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """Gradients of the whole batch, clipped, and their norm before that."""
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce("SUM", gradients)
        if self.scaling:
            gradients = self.scaling.unscaled(gradients)
        gradients, norm = clip(gradients, self.update.gradient_clip_norm)
        return gradients, {"gradient_norm": norm}

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        found = multiplied(gradients, self.weights, self.update)
        # Or the step would count, though its batch could not be read.
        with tf.control_dependencies(found):
            self.optimizer.apply(found, list(self.weights.values()))
        if self.averages:
            self.averages.update(self.optimizer.iterations.value)
