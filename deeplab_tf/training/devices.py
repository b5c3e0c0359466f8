"""On what a run computes."""

import tensorflow as tf
from absl import logging

from deeplab_tf.errors import FlagError


def make_strategy() -> tf.distribute.Strategy:
    """All GPUs of this machine, or its one, or the CPU; a process makes but one."""
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def per_replica(batch_size: int, strategy: tf.distribute.Strategy) -> int:
    """Images of a batch on each replica.

    Raises:
        FlagError: They cannot be shared out equally.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        lower = batch_size // replicas * replicas
        nearest = f"{lower} or {lower + replicas}" if lower else str(replicas)
        raise FlagError(
            f"--train_batch_size={batch_size} over {replicas} devices: take {nearest}"
        )
    if replicas > 1:
        logging.info(
            "%d devices, batches of %d (%d each)",
            replicas,
            batch_size,
            batch_size // replicas,
        )
    return batch_size // replicas
