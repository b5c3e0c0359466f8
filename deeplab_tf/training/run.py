"""A training run: what it is made of, and what an earlier one has left."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf import compat
from deeplab_tf.checkpoints import manager, run_folder
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import LossConfig, TrainConfig
from deeplab_tf.data.labels import validate_records
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.shard_checksums import Verification
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.files import check_writable, lock_folder
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training import preflight, setup
from deeplab_tf.training.diagnostics import warnings
from deeplab_tf.training.distribution import hosts
from deeplab_tf.training.distribution.strategy import (
    images_per_replica,
    log_precision,
    make_strategy,
)
from deeplab_tf.training.loop import Loop
from deeplab_tf.training.losses import class_weights
from deeplab_tf.training.monitoring.evaluator import Evaluator
from deeplab_tf.training.optim import gradients
from deeplab_tf.training.step import Trainer


def train(
    config: TrainConfig, *, strategy: tf.distribute.Strategy | None = None
) -> None:
    """Trains a network, from where an earlier run in the folder ended.

    SIGTERM and SIGINT save and end the process with 128 plus their number; in a thread
    that is not the main one, signals are left alone. What is set for the process is set
    back in the end, but for the seeds of TensorFlow and Keras, and no graph stays.

    Args:
        config: All settings.
        strategy: Devices; by default those of `config.devices`.

    Raises:
        InputError: Something given is not usable, or training has come to nothing.
    """
    if config.check:
        preflight.check(config)
        return
    # Before all else: several hosts are made before TensorFlow computes anything.
    strategy = strategy or make_strategy(config.devices)
    folder = check_writable("train_logdir", config.train_logdir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(compat.op_determinism(config.devices.deterministic))
        stack.enter_context(_keep_process_state())
        stack.enter_context(hosts.raise_on_lost_host(strategy))
        if hosts.is_chief(strategy):
            lock = lock_folder(folder, flag="train_logdir", doing="training")
            stack.enter_context(lock)
        setup.fetch_initial(config, folder)
        _train(config, folder, strategy)


@contextlib.contextmanager
def _keep_process_state() -> Iterator[None]:
    """Sets random generators back, and forgets the gradients of graphs made within."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    gradients_before = compat.custom_gradients()
    try:
        yield
    finally:
        compat.forget_custom_gradients(but=gradients_before)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _train(config: TrainConfig, folder: Path, strategy: tf.distribute.Strategy) -> None:
    spec, source, tally = setup.open_data(config, folder)
    loss, pixel_counts = class_weights.resolve(config.loss, spec, source)
    shares = warnings.class_shares(spec, config.train_split, pixel_counts, tally)
    logging.info(warnings.class_table(spec, loss, shares))
    images = images_per_replica(
        config.train_batch_size,
        strategy,
        accumulation_steps=config.devices.gradient_accumulation_steps,
    )
    log_precision(config.devices.precision)
    trainer = setup.make_trainer(config, spec, loss, strategy)
    checkpoints = CheckpointManager(
        folder,
        _state(trainer),
        keep=config.max_checkpoints_to_keep,
        writes=hosts.is_chief(strategy),
    )
    start = _start(config, folder, trainer, checkpoints)
    hosts.check_same_step(strategy, start, folder)
    best = manager.best_scores(folder)  # Raises before hours are spent.
    if best and not start:
        raise InputError(
            f"{folder / manager.BEST} holds the best checkpoint of an earlier run; "
            "move it away, or choose another --train_logdir"
        )
    is_done = start >= config.optimizer.training_number_of_steps
    if checkpoints.writes and not is_done:
        _describe(folder, config, spec, loss, source.order)
    evaluator = _make_evaluator(config, spec, strategy)
    checksums = dict(source.records.checksums)
    if evaluator:
        checksums |= evaluator.records.checksums
    loop = Loop(
        config=config,
        folder=folder,
        trainer=trainer,
        checkpoints=checkpoints,
        source=source,
        evaluator=evaluator,
        expected_loss=warnings.expected_first_loss(
            loss, shares, spec.num_classes, trainer.loss_weights
        ),
        verification=Verification(checksums if checkpoints.writes else {}),
    )
    if is_done:
        logging.info(
            "%s has %d steps already; to go on, give more --training_number_of_steps",
            folder,
            start,
        )
        loop.finish()
        return
    batches = setup.distribute_batches(config, source, strategy, images, start=start)
    loop.run(iter(batches))


def _state(trainer: Trainer) -> dict[str, dict]:
    """All that a run needs to go on as if it had not stopped."""
    return {
        "weights": weights_by_name(trainer.model),
        "slots": gradients.slots(trainer.optimizer, trainer.weights),
        "counters": {"global_step": trainer.optimizer.iterations},
        "averages": trainer.ema_weights,
        "scaling": trainer.loss_scale.variables if trainer.loss_scale else {},
    }


def _start(
    config: TrainConfig,
    folder: Path,
    trainer: Trainer,
    checkpoints: CheckpointManager,
) -> int:
    """Resumes the run in the folder, or begins one; returns its step."""
    if resumed := checkpoints.resume():
        logging.info("Resuming from %s, step %d", resumed, trainer.step)
        for line in run_folder.changes(folder, config):
            logging.info("%s", line)
        if config.tf_initial_checkpoint:
            logging.info("--tf_initial_checkpoint was read when the run began")
        return trainer.step
    report = setup.initialize(config, trainer)
    replicas = trainer.strategy.num_replicas_in_sync
    warnings.warn_of_settings(config, trainer.model, report, replicas)
    return 0


def _describe(
    folder: Path, config: TrainConfig, spec: DatasetSpec, loss: LossConfig, order: int
) -> None:
    run_folder.write(folder, config, spec, order=order)
    if how := config.loss.class_weights:
        class_weights.write(folder, spec, loss, how)


def _make_evaluator(
    config: TrainConfig, spec: DatasetSpec, strategy: tf.distribute.Strategy
) -> Evaluator | None:
    """What evaluates in between; None where nothing does."""
    if not config.watch.eval_interval_steps:
        return None
    _, records = open_split(config.data, config.tfds, config.watch.eval_split)
    validate_records.check_records(records, spec, config.validate_labels)
    return Evaluator(config, spec, records, strategy)
