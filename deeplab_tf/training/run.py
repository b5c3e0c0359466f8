"""What a run is made of: data, network, and what an earlier run has left."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints import best, restore, run_folder
from deeplab_tf.checkpoints.manager import Keeper
from deeplab_tf.config import LossConfig, TrainConfig, remedies
from deeplab_tf.data import corrupt_records, decode_cache, pipeline
from deeplab_tf.data.labels import validate_records
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError, InputError, tell_remedies
from deeplab_tf.files import check_writable, lock_folder
from deeplab_tf.models.build import find_backbone
from deeplab_tf.models.heads import LOGITS, last_layers
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.diagnostics import warnings
from deeplab_tf.training.distribution import hosts
from deeplab_tf.training.distribution.strategy import make_strategy, per_replica
from deeplab_tf.training.loop import Loop
from deeplab_tf.training.losses import class_weights
from deeplab_tf.training.monitoring.evaluator import Evaluator
from deeplab_tf.training.optim import gradients
from deeplab_tf.training.setup import make_trainer
from deeplab_tf.training.step import Trainer


def train(
    config: TrainConfig, *, strategy: tf.distribute.Strategy | None = None
) -> None:
    """Trains a network, from where an earlier run in the folder ended.

    SIGTERM and SIGINT save and end the process with 128 plus their number.

    Args:
        config: All settings.
        strategy: Devices; by default those of `config.devices`.

    Raises:
        InputError: Something given is not usable, or training has come to nothing.
    """
    if config.check:
        from deeplab_tf.training.diagnostics import (
            preflight,  # Which is made of parts of this.
        )

        preflight.check(config)
        return
    # Before all else: several hosts are made before TensorFlow computes anything.
    strategy = strategy or make_strategy(config.devices)
    if config.devices.deterministic:
        tf.config.experimental.enable_op_determinism()
    folder = check_writable("train_logdir", config.train_logdir)
    with hosts.told_of_lost_hosts(strategy), contextlib.ExitStack() as stack:
        if hosts.is_chief(strategy):
            lock = lock_folder(folder, flag="train_logdir", doing="training")
            stack.enter_context(lock)
        _train(config, folder, strategy)


def _train(config: TrainConfig, folder: Path, strategy: tf.distribute.Strategy) -> None:
    spec, source, tally = open_data(config, folder)
    loss, counts = class_weights.weigh(config.loss, spec, source)
    shares = warnings.shares(spec, config.train_split, counts, tally)
    logging.info("%s", warnings.class_table(spec, loss, shares))
    trainer, batch_size = new_trainer(config, spec, loss, strategy)
    chief = hosts.is_chief(strategy)
    keeper = Keeper(
        folder, _state(trainer), keep=config.max_checkpoints_to_keep, writes=chief
    )
    start = _start(config, trainer, keeper)
    hosts.check_same(strategy, start, folder)
    if not start and best.scores(folder):
        raise InputError(
            f"{folder / best.FOLDER} holds the best checkpoint of an earlier run; move "
            "it away, or choose another --train_logdir"
        )
    is_done = start >= config.optimizer.training_number_of_steps
    if chief and not is_done:
        _describe(folder, config, spec, loss)
    loop = Loop(
        config=config,
        folder=folder,
        trainer=trainer,
        keeper=keeper,
        source=source,
        evaluator=_make_evaluator(config, spec, strategy),
        expected_loss=warnings.expected_first_loss(
            loss, shares, spec.num_classes, trainer.loss_weights
        ),
    )
    if is_done:
        logging.info(
            "%s has %d steps already; to go on, give more --training_number_of_steps",
            folder,
            start,
        )
        loop.finish()
        return
    loop.run(iter(batches_of(config, source, strategy, batch_size, start)))


def new_trainer(
    config: TrainConfig,
    spec: DatasetSpec,
    loss: LossConfig,
    strategy: tf.distribute.Strategy,
) -> tuple[Trainer, int]:
    """A network as the seed makes it, and the images of a batch on each device."""
    batch_size = per_replica(
        config.train_batch_size,
        strategy,
        parts=config.devices.gradient_accumulation_steps,
    )
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        return make_trainer(config, spec, loss, strategy), batch_size


def batches_of(
    config: TrainConfig,
    source: InputData,
    strategy: tf.distribute.Strategy,
    batch_size: int,
    start: int,
) -> Any:
    """Batches of each replica, from those of a step on."""
    if config.overfit_one_batch:
        return strategy.distribute_datasets_from_function(
            lambda context: pipeline.one_batch(
                source,
                batch_size,
                crop_size=config.augment.train_crop_size,
                seed=config.seed,
                global_batch_size=config.train_batch_size,
                context=context,
            )
        )
    return strategy.distribute_datasets_from_function(
        lambda context: pipeline.training_batches(
            source,
            config.augment,
            batch_size,
            seed=config.seed,
            start=start * config.train_batch_size,
            context=context,
        ).map(_without_names)
    )


def _describe(
    folder: Path, config: TrainConfig, spec: DatasetSpec, loss: LossConfig
) -> None:
    run_folder.write(folder, config, spec)
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


def _without_names(batch: pipeline.Sample) -> pipeline.Sample:
    """Text stays on the host."""
    return {name: batch[name] for name in ("image", "label", "number")}


def open_data(
    config: TrainConfig, folder: Path
) -> tuple[DatasetSpec, InputData, LabelStatistics]:
    """What the records mean, where they are, and what the checked labels hold.

    Whether a run in the folder has learned these classes is asked first.
    """
    spec, records = open_split(config.data, config.tfds, config.train_split)
    run_folder.check(folder, config, spec)
    if len(config.loss.label_weights) not in (0, 1, spec.num_classes):
        raise FlagError(
            f"--label_weights: {len(config.loss.label_weights)} weights for "
            f"{spec.num_classes} classes of {spec.name}"
        )
    mean_pixel = find_backbone(config.model).mean_pixel
    records = corrupt_records.skip_corrupt(records, config.max_bad_records)
    with tell_remedies(remedies.TFDS if config.data.tfds else remedies.FOLDER):
        tally = validate_records.check_records(records, spec, config.validate_labels)
    source = InputData(
        records=records,
        ignore_label=spec.ignore_label,
        mean_pixel=mean_pixel,
        resize=config.compatibility.resize(config.resize),
    )
    if config.cache_decoded_gb:
        cache = decode_cache.make_cache(records, config.cache_decoded_gb)
        source = dataclasses.replace(source, decode=cache)
    return spec, source, tally


def _state(trainer: Trainer) -> dict[str, dict]:
    """All that a run needs to go on as if it had not stopped."""
    return {
        "weights": weights_by_name(trainer.model),
        "slots": gradients.slots(trainer.optimizer, trainer.weights),
        "counters": {"global_step": trainer.optimizer.iterations},
        "averages": trainer.averaged_weights,
        "scaling": trainer.scaling.variables if trainer.scaling else {},
    }


def _start(config: TrainConfig, trainer: Trainer, keeper: Keeper) -> int:
    """Takes up the run in the folder, or begins one; returns its step."""
    if resumed := keeper.resume():
        step = int(trainer.optimizer.iterations.numpy())
        logging.info("Resuming from %s, step %d", resumed, step)
        if config.tf_initial_checkpoint:
            logging.info("--tf_initial_checkpoint was read when the run began")
        return step
    warnings.warn(config, trainer.model, initialize(config, trainer))
    return 0


def initialize(config: TrainConfig, trainer: Trainer) -> restore.Report | None:
    """Reads the initial checkpoint, if one is given."""
    if not (initial := config.tf_initial_checkpoint):
        return None
    excluded = _excluded(config)
    warnings.warn_of_other_classes(trainer.spec, initial, excluded)
    report = restore.initialize(trainer.model, initial, exclude=excluded)
    if trainer.averages:
        trainer.averages.reset()
    logging.info("%s: %s", initial, report)
    return report


def _excluded(config: TrainConfig) -> tuple[str, ...]:
    if config.initialize_last_layer:
        return ()
    if config.optimizer.last_layers_contain_logits_only:
        return LOGITS
    return last_layers()
