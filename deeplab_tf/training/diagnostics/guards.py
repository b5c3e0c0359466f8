"""That nothing is lost, and nothing broken is kept."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints.manager import Keeper
from deeplab_tf.errors import InputError
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.weight_names import layers_of, weights_by_name
from deeplab_tf.training.diagnostics import nan_dump
from deeplab_tf.training.diagnostics.nan_dump import Bad
from deeplab_tf.training.step import Trainer


def save(trainer: Trainer, keeper: Keeper) -> None:
    """Saves the run, unless the last update broke it."""
    step = int(trainer.optimizer.iterations.numpy())
    if not _finite(weights_by_name(trainer.model).values()):
        raise InputError(
            f"step {step}: a weight is not finite; the last checkpoint stands. Usual "
            "causes: --base_learning_rate is too high, or batch norm has too small a "
            "batch (--fine_tune_batch_norm=false from trained weights)"
        )
    saved = keeper.save(step)
    if keeper.writes:
        logging.info("Saved %s", saved)


def _finite(weights: Iterable[Any]) -> bool:
    """Whether no number is infinite or none; the device is asked once for all."""
    found = [tf.reduce_all(tf.math.is_finite(weight.value)) for weight in weights]
    return bool(tf.reduce_all(tf.stack(found)))


def check_labels(metrics: Mapping[str, Sequence[float]], step: int) -> None:
    """Raises where steps met ids that are no class."""
    if any(metrics["bad_labels"]):
        raise InputError(
            f"step {step}: labels with ids that are no class; --validate_labels=full "
            "names the record"
        )


def check_losses(
    trainer: Trainer,
    metrics: Mapping[str, Sequence[float]],
    step: int,
    dumped: Callable[[Bad], str],
) -> None:
    """Raises where a loss is not finite.

    Args:
        trainer: That took the steps.
        metrics: Of each of them.
        step: The last of them.
        dumped: Keeps the first bad one's batch, and says why it may have been.
    """
    losses = metrics["loss"]
    if all(map(math.isfinite, losses)):
        return
    first = nan_dump.first_bad(metrics, step)
    bad = Bad(
        step=first,
        what=f"the loss is {losses[first - step - 1]}",
        rate=float(trainer.optimizer.learning_rate.numpy()),
        metrics=metrics,
        has_batch_norm=any(
            isinstance(layer, FrozenableBatchNorm) for layer in layers_of(trainer.model)
        ),
    )
    raise InputError(
        f"step {first}: {bad.what}; the last checkpoint stands. {dumped(bad)}"
    )
