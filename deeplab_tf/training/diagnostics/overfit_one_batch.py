"""Overfitting one batch: what can learn at all, learns it by heart."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf import resize
from deeplab_tf.checkpoints import run_log
from deeplab_tf.training.diagnostics import diagnoses
from deeplab_tf.training.gradient_accumulation import micro_batch
from deeplab_tf.training.losses.total import sample_on_grid
from deeplab_tf.training.step import Trainer, stateless_dropout


def report(
    trainer: Trainer, batches: Iterator, rate: float, steps: int, folder: Path
) -> None:
    """Logs whether the batch is known by heart, and if not, what is wrong.

    Batch norm moves its statistics once more: save before.

    Args:
        trainer: What has learned.
        batches: Of `pipeline.one_batch`, distributed.
        rate: `--base_learning_rate`.
        steps: Of the run.
        folder: Of the run, whose logs tell how the loss went.
    """
    lines = run_log.read(folder)
    later = _count_pixels(trainer, next(batches), training=False)
    now = _count_pixels(trainer, next(batches), training=True)
    seen = diagnoses.OneBatch(
        labels=now["labels"],
        predicted=now["predicted"],
        right=int(now["right"]),
        right_later=int(later["right"]),
        losses=[line["loss"] for line in lines if line.get("loss")],
        rate=rate,
        steps=steps,
    )
    known, message = diagnoses.of_one_batch(seen, trainer.spec)
    logging.log(logging.INFO if known else logging.WARNING, "%s", message)


def _count_pixels(
    trainer: Trainer, batch: Any, *, training: bool
) -> dict[str, np.ndarray]:
    """Counts over all replicas, as `diagnoses.OneBatch` has them."""

    @tf.function(autograph=False)
    def sum_metrics(batch: Any) -> dict[str, tf.Tensor]:
        counts = trainer.strategy.run(
            lambda each: _count_on_replica(trainer, each, training), (batch,)
        )
        return {
            name: trainer.strategy.reduce("SUM", value, axis=None)
            for name, value in counts.items()
        }

    return {name: value.numpy() for name, value in sum_metrics(batch).items()}


def _count_on_replica(
    trainer: Trainer, batch: Mapping[str, tf.Tensor], training: bool
) -> dict[str, tf.Tensor]:
    """Counts micro-batch by micro-batch, as the network has learned them."""
    counts = []
    for index in range(trainer.accumulation_steps):
        images = {
            name: micro_batch(value, index, trainer.accumulation_steps)
            for name, value in batch.items()
        }
        with stateless_dropout(images["number"], seed=trainer.seed):
            outputs = trainer.forward(images["image"], training=training)
        logits = tf.nest.flatten(outputs)[-1]
        counts.append(_compare(trainer, logits, images["label"]))
    return tf.nest.map_structure(lambda *values: tf.add_n(values), *counts)


def _compare(
    trainer: Trainer, logits: tf.Tensor, label: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Counts where the loss compares: at the labels' size, or at that of the logits."""
    label = sample_on_grid(label, trainer.label_grid)
    if trainer.loss_config.upsample_logits:
        logits = resize.bilinear(tf.cast(logits, tf.float32), tf.shape(label)[1:3])
    else:
        label = resize.nearest(label, tf.shape(logits)[1:3])
    count, label = trainer.spec.num_classes, tf.cast(label[..., 0], tf.int32)
    kept = (label >= 0) & (label < count) & (label != trainer.spec.ignore_label)
    label = tf.cast(tf.boolean_mask(label, kept), tf.int64)
    predicted = tf.boolean_mask(tf.argmax(logits, -1), kept)
    return {
        "labels": _histogram(label, count),
        "predicted": _histogram(predicted, count),
        "right": tf.reduce_sum(tf.cast(predicted == label, tf.int64)),
    }


def _histogram(ids: tf.Tensor, count: int) -> tf.Tensor:
    return tf.math.unsorted_segment_sum(tf.ones_like(ids), ids, count)
