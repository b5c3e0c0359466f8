"""A training step: forward, backward and update, on every replica."""

import contextlib
import dataclasses
import functools
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.config import LossConfig, OptimizerConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.models.layers.dropout import noise_from
from deeplab_tf.training import intervals
from deeplab_tf.training.gradient_accumulation import micro_batch
from deeplab_tf.training.losses import total as losses
from deeplab_tf.training.optim import gradients as gradients_
from deeplab_tf.training.optim.ema import ExponentialMovingAverage
from deeplab_tf.training.optim.loss_scale import LossScale

Metrics = Mapping[str, Sequence[float]]
MAX_STEPS = 100  # Of a call.
_MEASURED = 10  # Waiting for data is measured at one step in so many.
_BYTES_PER_PACK = 32 << 20  # Of gradients: the first go out while others are computed.
_SUMMED = ("loss", "regularization", "bad_labels")  # Over replicas and micro-batches.
METRICS = (*_SUMMED, "gradient_norm", "data_wait", "loss_scale", "skipped")


@dataclasses.dataclass(eq=False, kw_only=True)
class Trainer:
    """A network and how it learns; `run` compiles once, for any number of steps.

    Attributes:
        strategy: On which devices.
        model: Images -> logits, or a list of them, of all of which the losses count.
        forward: What computes the model.
        loss_weights: What the loss of each of the logits counts.
        label_grid: Which pixels the network scores; see `total.sample_on_grid`.
        optimizer: Built for `weights`.
        weights: Trainable ones by official name.
        spec: What the labels mean.
        loss_config: Loss of pixels.
        optimizer_config: Multipliers, decay and clipping.
        accumulation_steps: Micro-batches in which a batch is computed.
        gradient_sums: Over the micro-batches, where there are several.
        ema: Moving averages of the weights, if some are kept.
        loss_scale: Where float16 needs it.
        seed: Of dropout.
        jit_compile: Whether XLA compiles it.
        time_data: Whether waiting for data is measured: clocks are not deterministic.
        local_statistics: Moving statistics of batch norm that each replica moves by
            itself. After each step, all take the mean over the replicas.
        metrics_buffer: Of the steps of a call, `[MAX_STEPS, len(METRICS)]`.
    """

    strategy: tf.distribute.Strategy
    model: keras.Model
    forward: Callable[..., Any]
    loss_weights: tuple[float, ...]
    label_grid: tuple[int, int] | None = None
    optimizer: keras.optimizers.Optimizer
    weights: Mapping[str, Any]
    spec: DatasetSpec
    loss_config: LossConfig
    optimizer_config: OptimizerConfig
    accumulation_steps: int = 1
    gradient_sums: Sequence[tf.Variable] = ()
    ema: ExponentialMovingAverage | None = None
    loss_scale: LossScale | None = None
    seed: int = 0
    jit_compile: bool = False
    time_data: bool = True
    local_statistics: Sequence[keras.Variable] = ()
    metrics_buffer: tf.Variable = dataclasses.field(
        default_factory=lambda: tf.Variable(tf.zeros([MAX_STEPS, len(METRICS)]))
    )

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return int(self.optimizer.iterations.numpy())

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self.optimizer.learning_rate.numpy())

    @property
    def ema_weights(self) -> dict[str, Any]:
        """Moving averages by official name, if some are kept."""
        return self.ema.variables if self.ema else {}

    def trace(self, batches: Iterator) -> None:
        """Makes the graph of `run`, and takes no step."""
        self._run.get_concrete_function(batches, tf.constant(1))

    def run(self, batches: Iterator, count: int) -> Metrics:
        """Takes up to `MAX_STEPS` steps; returns their metrics."""
        self._run(batches, tf.constant(count))
        return self.metrics(count)

    def metrics(self, count: int) -> Metrics:
        """Of the first steps of the last run, though a later one may have failed."""
        values = self.metrics_buffer.numpy()[:count].T.tolist()
        metrics = dict(zip(METRICS, values, strict=True))
        if self.loss_scale is None:
            del metrics["loss_scale"], metrics["skipped"]
        if not self.time_data:
            del metrics["data_wait"]
            return metrics
        # Of the steps that were measured, those between waited as long as the mean.
        waits = metrics["data_wait"]
        measured = [each for each in waits if not math.isnan(each)]
        metrics["data_wait"] = [sum(measured) / max(len(measured), 1)] * len(waits)
        return metrics

    @tf.function(autograph=False)
    def _run(self, batches: Iterator, count: tf.Tensor) -> None:
        def take_step(i: tf.Tensor) -> tuple[tf.Tensor]:
            # The last one, too, of calls that are of few steps.
            is_measured = (i % _MEASURED == _MEASURED - 1) | (i == count - 1)
            step = self._step(batches, is_measured)
            row = tf.stack([step[name] for name in METRICS])
            rows = tf.tensor_scatter_nd_update(self.metrics_buffer, [[i]], [row])
            self.metrics_buffer.assign(rows)
            return (i + 1,)

        # One after the other: or a batch that cannot be read would cut short the step
        # before it.
        tf.while_loop(lambda i: i < count, take_step, [0], parallel_iterations=1)

    def _step(self, batches: Iterator, is_measured: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step, as all devices take it together."""
        waited = tf.constant(0.0)
        if self.time_data:
            before = [self.optimizer.iterations.value]
            batch, waited = intervals.timed_next(
                batches, before, is_measured=is_measured
            )
        else:
            batch = next(batches)
        normalizers = self.strategy.run(self._normalizers, (batch,))
        if self.accumulation_steps == 1:
            gradients, metrics = self.strategy.run(
                self._compute_gradients, (batch, normalizers)
            )
            metrics = self._over_replicas("SUM", metrics)
        else:
            gradients, metrics = self._over_micro_batches(batch, normalizers)
        gradients = self.strategy.run(_sum_over_replicas, (gradients,))
        norms = self.strategy.run(self._update, (gradients,))
        metrics |= self._over_replicas("MEAN", norms)
        if self.local_statistics:
            self.strategy.run(self._average_statistics)
        finite = tf.math.is_finite(metrics["gradient_norm"])
        skipped = tf.cast(tf.logical_not(finite), tf.float32)
        scale = self._follow_overflow(finite)
        return metrics | {"data_wait": waited, "loss_scale": scale, "skipped": skipped}

    def _over_micro_batches(
        self, batch: Any, normalizers: Any
    ) -> tuple[Any, dict[str, tf.Tensor]]:
        """Gradient accumulation: gradients of each replica, and metrics, summed."""

        def accumulate(index: tf.Tensor, metrics: Mapping[str, tf.Tensor]) -> Any:
            more = self.strategy.run(self._accumulate, (batch, normalizers, index))
            more = self._over_replicas("SUM", more)
            return index + 1, {name: metrics[name] + more[name] for name in _SUMMED}

        zeros = {name: tf.constant(0.0) for name in _SUMMED}
        _, metrics = tf.while_loop(
            lambda index, _: index < self.accumulation_steps, accumulate, [0, zeros]
        )
        return self.strategy.run(self._pop_gradient_sums), metrics

    def _over_replicas(self, how: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self.strategy.reduce(how, value, axis=None)
            for name, value in values.items()
        }

    def _follow_overflow(self, finite: tf.Tensor) -> tf.Tensor:
        """The loss scale of this step, that of float16; it then follows the step."""
        if self.loss_scale is None:
            return tf.constant(1.0)
        scale = tf.identity(self.loss_scale.variables["scale"].value)
        self.loss_scale.update(finite)
        return scale

    # What follows is done by each replica.

    def _normalizers(self, batch: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        """What the losses of each of the logits are divided by, of the whole batch."""
        context = tf.distribute.get_replica_context()
        label = losses.sample_on_grid(batch["label"], self.label_grid)
        shapes = self.model.compute_output_shape(tuple(batch["image"].shape))
        if len(self.model.outputs) == 1:
            shapes = [shapes]
        normalizers = [
            losses.normalizers(label, shape[1:3], self.spec, self.loss_config)
            for shape in shapes
        ]
        return [context.all_reduce("SUM", each) for each in normalizers]

    def _compute_gradients(
        self, batch: Mapping[str, tf.Tensor], normalizers: Any
    ) -> Any:
        return self._compiled(self._gradients)(batch, normalizers)

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, compiled by XLA where that is asked for."""
        if not self.jit_compile:
            return function
        return tf.function(function, jit_compile=True, autograph=False)

    def _gradients(
        self, batch: Mapping[str, tf.Tensor], normalizers: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor]]:
        """Gradients and metrics, to be summed over replicas and micro-batches."""
        # Also around the backward pass, which may compute activations again.
        noise = stateless_dropout(batch["number"], seed=self.seed)
        with noise, tf.GradientTape() as tape:
            metrics = self._losses(batch, normalizers)
            objective = metrics["loss"] + metrics["regularization"]
            if self.loss_scale:
                objective = self.loss_scale.scale(objective)
            variables = [variable.value for variable in self.weights.values()]
            with tape.stop_recording():
                gradients = tape.gradient(objective, variables)
        bad = losses.count_bad_labels(batch["label"], self.spec)
        return gradients, metrics | {"bad_labels": bad}

    def _losses(
        self, batch: Mapping[str, tf.Tensor], normalizers: Sequence[tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """This replica's share of what is to become small."""
        context = tf.distribute.get_replica_context()
        images = tf.cast(batch["image"], tf.float32)  # Of --uint8_images.
        outputs = tf.nest.flatten(self.forward(images, training=True))
        label = losses.sample_on_grid(batch["label"], self.label_grid)
        weighted = [
            weight * self._loss(logits, label, normalizer)
            for weight, logits, normalizer in zip(
                self.loss_weights, outputs, normalizers, strict=True
            )
        ]
        decay = gradients_.regularization(self.weights, self.optimizer_config)
        shares = context.num_replicas_in_sync * self.accumulation_steps
        return {"loss": tf.add_n(weighted), "regularization": decay / shares}

    def _loss(self, logits: tf.Tensor, label: tf.Tensor, normalizer: Any) -> tf.Tensor:
        """This replica's share of the loss."""
        sums, late = losses.loss_sums(
            logits, label, self.spec, self.loss_config, self.optimizer.iterations
        )
        if losses.normalizers_come_late(self.loss_config):
            context = tf.distribute.get_replica_context()
            normalizer += self.accumulation_steps * context.all_reduce("SUM", late)
        return losses.total(sums, normalizer, self.loss_config)

    def _accumulate(
        self, batch: Mapping[str, tf.Tensor], normalizers: Any, index: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Adds the gradients of a micro-batch to the sums; returns its metrics."""
        images = {
            name: micro_batch(value, index, self.accumulation_steps)
            for name, value in batch.items()
        }
        gradients, metrics = self._compute_gradients(images, normalizers)
        for total, gradient in zip(self.gradient_sums, gradients, strict=True):
            total.assign_add(gradient)
        return metrics

    def _pop_gradient_sums(self) -> list[tf.Tensor]:
        """The sums, which are then zero."""
        gradients = [total.read_value() for total in self.gradient_sums]
        with tf.control_dependencies(gradients):
            for total in self.gradient_sums:
                total.assign(tf.zeros_like(total))
        return gradients

    def _update(self, gradients: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Moves the weights; returns the norm of the gradients of the whole batch."""
        return {"gradient_norm": self._compiled(self._clip_and_apply)(gradients)}

    def _clip_and_apply(self, gradients: list[tf.Tensor]) -> tf.Tensor:
        """Loss scale, clipping, multipliers, the rule of update, and averages."""
        if self.loss_scale:
            gradients = self.loss_scale.unscale(gradients)
        gradients, norm = gradients_.clip_by_global_norm(
            gradients, self.optimizer_config.gradient_clip_norm
        )
        moves = self._moves() if self.loss_scale else []
        before = [tf.convert_to_tensor(each) for each in moves]
        self._apply(gradients)
        # After an overflow of float16, only the step counts. To choose a branch, the
        # host would have to wait for the norm at each step.
        finite = tf.math.is_finite(norm)
        for variable, value in zip(moves, before, strict=True):
            variable.assign(tf.where(finite, variable, value))
        return norm

    def _moves(self) -> list[tf.Variable]:
        """What an update changes, but for the counter of steps."""
        slots = gradients_.slots(self.optimizer, self.weights)
        named = (self.weights, slots, self.ema_weights)
        return [each.value for group in named for each in group.values()]

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        gradients = gradients_.multiply(gradients, self.weights, self.optimizer_config)
        # Or the step would count, though its batch could not be read.
        with tf.control_dependencies(gradients):
            self.optimizer.apply(gradients, list(self.weights.values()))
        if self.ema:
            self.ema.update(self.optimizer.iterations.value)

    def _average_statistics(self) -> None:
        """Local batch norm: moving statistics become their mean over the replicas.

        In one all-reduce for all. They are averages of what the batches had, so that
        this is the average of the means, whenever it is done; weights and gradients
        do not depend on it.
        """
        context = tf.distribute.get_replica_context()
        values = [tf.convert_to_tensor(each.value) for each in self.local_statistics]
        means = context.all_reduce("MEAN", values)
        for statistic, mean in zip(self.local_statistics, means, strict=True):
            statistic.value.assign(mean)


def _sum_over_replicas(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Gradients of the whole batch, from those of this replica."""
    context = tf.distribute.get_replica_context()
    options = tf.distribute.experimental.CommunicationOptions(
        bytes_per_pack=_BYTES_PER_PACK
    )
    return context.all_reduce("SUM", gradients, options=options)


def raise_on_bad_labels(metrics: Metrics, step: int) -> None:
    """Raises an InputError where steps up to `step` met ids that are no class."""
    if any(metrics["bad_labels"]):
        raise InputError(
            f"step {step}: labels with ids that are no class; --validate_labels=full "
            "names the record"
        )


def stateless_dropout(
    image_numbers: tf.Tensor, *, seed: int
) -> contextlib.AbstractContextManager[None]:
    """Dropout whose masks depend on image, layer and seed alone; a context.

    Each image of a training has a number. So one device draws what several draw
    together, micro-batches what the batch draws at once, a run that goes on what it
    would have drawn, and a backward pass that computes activations again what the
    forward pass has drawn.

    Args:
        image_numbers: Of the images of the batch that is computed within, int64 `[N]`;
            each replica enters a context of its own.
        seed: Of the run.
    """
    return noise_from(functools.partial(_image_noise, image_numbers, seed))


def _image_noise(
    image_numbers: tf.Tensor, seed: int, layer: str, shape: tuple[int, ...]
) -> tf.Tensor:
    """Uniform noise `[N, *shape]` for the layer of that name."""
    key = tf.constant(((zlib.crc32(layer.encode()) >> 1) << 32) ^ seed, tf.int64)
    return tf.map_fn(
        lambda number: tf.random.stateless_uniform(shape, tf.stack([key, number])),
        image_numbers,
        fn_output_signature=tf.float32,
    )
