"""That nothing is lost, and nothing broken is kept."""

import contextlib
import math
from collections.abc import Iterator, Mapping

import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints.native import Keeper
from deeplab_tf.data import damage
from deeplab_tf.data.pipeline import Source
from deeplab_tf.errors import InputError
from deeplab_tf.models.names import weights_by_name
from deeplab_tf.training.step import Trainer


@contextlib.contextmanager
def kept(trainer: Trainer, keeper: Keeper, source: Source) -> Iterator[None]:
    """Saves the steps before a record that cannot be read."""
    try:
        with damage.told(source.records):
            yield
    except InputError:
        save(trainer, keeper)
        raise


def save(trainer: Trainer, keeper: Keeper) -> None:
    """Saves the run, unless the last update broke it."""
    step = int(trainer.optimizer.iterations.numpy())
    values = [weight.value for weight in weights_by_name(trainer.model).values()]
    if not all(bool(tf.reduce_all(tf.math.is_finite(value))) for value in values):
        raise InputError(_broken(step, "a weight is not finite"))
    logging.info("Saved %s", keeper.save(step))


def check(metrics: Mapping[str, list[float]], step: int) -> None:
    """Raises where going on, or saving, would do harm."""
    if any(metrics["bad_labels"]):
        raise InputError(
            f"step {step}: labels with ids that are no class; --validate_labels=full "
            "names the record"
        )
    bad = [loss for loss in metrics["loss"] if not math.isfinite(loss)]
    if bad:
        raise InputError(_broken(step, f"the loss is {bad[0]}"))


def _broken(step: int, what: str) -> str:
    return (
        f"step {step}: {what}; the last checkpoint stands. Usual causes: "
        "--base_learning_rate is too high, or batch norm has too small a batch "
        "(--fine_tune_batch_norm=false from trained weights)"
    )
