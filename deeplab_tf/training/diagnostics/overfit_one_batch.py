"""One batch, again and again: what can learn at all, learns it by heart."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf import resize
from deeplab_tf.config import TrainConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.training.losses.total import on_grid
from deeplab_tf.training.monitoring import metrics_file
from deeplab_tf.training.noise import numbered
from deeplab_tf.training.step import Trainer

_KNOWN = 0.98  # Share of the pixels: of edges, some are odd.
_LAGS = 0.05  # By so much, moving statistics are behind.
_ALL = 0.999
_ROSE, _STOOD = 1.5, 0.98  # Last loss by the first.
_FALLS = 0.9  # Last loss by that of half the steps.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What a network says of the batch that it learned.

    Attributes:
        labels: Pixels by true class, `[C]`; ignored ones are not among them.
        predicted: The same pixels by the class that training predicts, `[C]`.
        right: How many of them are right,
        right_later: and how many with the moving statistics of batch norm.
        losses: Of the run so far, mean of each line of the log.
    """

    labels: np.ndarray
    predicted: np.ndarray
    right: int
    right_later: int
    losses: Sequence[float]


def verdict(
    trainer: Trainer, batches: Iterator, config: TrainConfig, folder: Path
) -> None:
    """Tells whether the batch is known by heart, and if not, what is wrong.

    Batch norm moves its statistics once more: save before.

    Args:
        trainer: What has learned.
        batches: Of `pipeline.one_batch`, distributed.
        config: All settings.
        folder: Of the run, whose logs tell how the loss went.
    """
    logged = [line["loss"] for line in metrics_file.read(folder) if line.get("loss")]
    later = _counted(trainer, next(batches), training=False)
    now = _counted(trainer, next(batches), training=True)
    found = Found(
        labels=now["labels"],
        predicted=now["predicted"],
        right=int(now["right"]),
        right_later=int(later["right"]),
        losses=logged,
    )
    known, message = told(found, config, trainer.spec)
    logging.log(logging.INFO if known else logging.WARNING, "%s", message)


def told(found: Found, config: TrainConfig, spec: DatasetSpec) -> tuple[bool, str]:
    """Whether the batch is known by heart, and one line on it."""
    total = int(found.labels.sum())
    if not total:
        return False, (
            f"One batch cannot be learned: no pixel of it counts, all are "
            f"{spec.ignore_label}, the ignore label; look at the labels, or take a "
            "larger --train_crop_size"
        )
    share, later = found.right / total, found.right_later / total
    if share >= _KNOWN:
        message = f"One batch is known by heart: {share:.1%} of its pixels"
        return True, message + _lag(share, later)
    steps = config.optimizer.training_number_of_steps
    return False, (
        f"One batch is not known by heart after {steps} steps: {share:.1%} of its "
        f"pixels; {_why(found, config, spec)}"
    )


def exploded(config: TrainConfig) -> str:
    """What would do where the loss is no longer finite."""
    rate = config.optimizer.base_learning_rate
    return f"One batch is not learned: take --base_learning_rate={rate / 10:g}"


def _lag(share: float, later: float) -> str:
    if share - later <= _LAGS:
        return ""
    return (
        f"; as evaluation computes them, {later:.1%}: moving statistics of batch norm "
        "lag behind, which more steps or --batch_norm_decay=0.9 make good"
    )


def _why(found: Found, config: TrainConfig, spec: DatasetSpec) -> str:
    """The likeliest cause, by how the loss went, and what would do."""
    rate = config.optimizer.base_learning_rate
    first, last = (found.losses or [0.0])[0], (found.losses or [0.0])[-1]
    lower, higher = (f"--base_learning_rate={rate * by:g}" for by in (0.1, 10))
    went = f"the loss went from {first:.4g} to {last:.4g}"
    if last > _ROSE * first:
        return f"{went}, the learning rate is too high: {lower}"
    if found.predicted.max() > _ALL * found.predicted.sum():
        label = int(found.predicted.argmax())
        share = found.labels[label] / found.labels.sum()
        way = higher if last > _STOOD * first else lower
        return (
            f"all are taken for {spec.classes[label]}, which {share:.1%} are, and "
            f"{went}: {way}, and look at the labels (--save_summaries_images)"
        )
    steps = config.optimizer.training_number_of_steps
    more = f"--training_number_of_steps={2 * steps}"
    half = found.losses[len(found.losses) // 2] if found.losses else 0.0
    if last < _FALLS * half:
        return f"{went}, and still falls: {more}, or {higher}"
    return f"{went}, too slowly: {higher}, or {more}"


def _counted(trainer: Trainer, batch: Any, *, training: bool) -> dict[str, np.ndarray]:
    """Counts of pixels over all replicas, as `Found` has them."""

    @tf.function
    def summed(batch: Any) -> dict[str, tf.Tensor]:
        found = trainer.strategy.run(
            lambda each: _of_replica(trainer, each, training), (batch,)
        )
        return {
            name: trainer.strategy.reduce("SUM", value, axis=None)
            for name, value in found.items()
        }

    return {name: value.numpy() for name, value in summed(batch).items()}


def _of_replica(
    trainer: Trainer, batch: Mapping[str, tf.Tensor], training: bool
) -> dict[str, tf.Tensor]:
    """Counts part by part, as the network has learned them."""
    counts = []
    for part in range(trainer.parts):
        share = {
            name: tf.reshape(value, (-1, trainer.parts, *value.shape[1:]))[:, part]
            for name, value in batch.items()
        }
        with numbered(share["number"], seed=trainer.seed):
            outputs = trainer.forward(share["image"], training=training)
        logits = tf.nest.flatten(outputs)[-1]
        counts.append(_compared(trainer, logits, share["label"]))
    return tf.nest.map_structure(lambda *values: tf.add_n(values), *counts)


def _compared(
    trainer: Trainer, logits: tf.Tensor, label: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Counts where the loss compares: at the labels' size, or at that of the logits."""
    label = on_grid(label, trainer.label_grid)
    if trainer.loss.upsample_logits:
        logits = resize.bilinear(tf.cast(logits, tf.float32), tf.shape(label)[1:3])
    else:
        label = resize.nearest(label, tf.shape(logits)[1:3])
    count, label = trainer.spec.num_classes, label[..., 0]
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
