"""The loop, and when to save, to log and to stop."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints import restoring, rundir
from deeplab_tf.checkpoints.native import Keeper
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import caching, damage, pipeline, validation
from deeplab_tf.data.opening import open_split
from deeplab_tf.data.pipeline import Source
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.tally import Tally
from deeplab_tf.errors import FlagError
from deeplab_tf.files import check_writable
from deeplab_tf.models.build import find_backbone
from deeplab_tf.models.names import dropout_seeds, weights_by_name
from deeplab_tf.prediction import inference
from deeplab_tf.training import (
    advice,
    class_weights,
    devices,
    guards,
    optimization,
    pacing,
)
from deeplab_tf.training.logs import Logs
from deeplab_tf.training.step import Trainer, make_trainer


def train(
    config: TrainConfig, *, strategy: tf.distribute.Strategy | None = None
) -> None:
    """Trains a network, from where an earlier run in the folder ended.

    SIGTERM and SIGINT save and end the process with 128 plus their number.

    Args:
        config: All settings.
        strategy: Devices; by default all that there are.

    Raises:
        InputError: Something given is not usable, or training has come to nothing.
    """
    folder = check_writable("train_logdir", config.train_logdir)
    spec, source, tally = _open_data(config, folder)
    loss, counts = class_weights.weigh(config.loss, spec, source)
    shares = advice.shares(spec, config.train_split, counts, tally)
    logging.info("%s", advice.class_table(spec, loss, shares))
    strategy = strategy or devices.make_strategy()
    batch_size = devices.per_replica(config.train_batch_size, strategy)
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        trainer = make_trainer(config, spec, loss, strategy)
    keeper = Keeper(folder, _state(trainer), keep=config.max_checkpoints_to_keep)
    start = _start(config, trainer, keeper)
    if start >= config.optimizer.training_number_of_steps:
        logging.info(
            "%s has %d steps already; to go on, give more --training_number_of_steps",
            folder,
            start,
        )
        return
    rundir.write(folder, config, spec)
    if how := config.loss.class_weights:
        class_weights.write(folder, spec, loss, how)
    batches = strategy.distribute_datasets_from_function(
        lambda context: pipeline.training_batches(
            source,
            config.augment,
            batch_size,
            seed=config.seed,
            start=start * config.train_batch_size,
            context=context,
        ).map(_without_names)
    )
    _loop(config, trainer, keeper, iter(batches), source)


def _without_names(batch: pipeline.Sample) -> pipeline.Sample:
    """Text stays on the host."""
    return {name: batch[name] for name in ("image", "label")}


def _open_data(config: TrainConfig, folder: Path) -> tuple[DatasetSpec, Source, Tally]:
    """What the records mean, where they are, and what the checked labels hold.

    Whether a run in the folder has learned these classes is asked first.
    """
    spec, records = open_split(config.data, config.tfds, config.train_split)
    rundir.check(folder, config, spec)
    if len(config.loss.label_weights) not in (0, 1, spec.num_classes):
        raise FlagError(
            f"--label_weights: {len(config.loss.label_weights)} weights for "
            f"{spec.num_classes} classes of {spec.name}"
        )
    mean_pixel = find_backbone(config.model).mean_pixel
    records = damage.left_out(records, config.max_bad_records)
    tally = validation.check_records(records, spec, config.validate_labels)
    source = Source(
        records=records,
        ignore_label=spec.ignore_label,
        mean_pixel=mean_pixel,
        resize=config.compatibility.resize(config.resize),
    )
    if config.cache_decoded_gb:
        cache = caching.make(records, config.cache_decoded_gb)
        source = dataclasses.replace(source, decode=cache)
    return spec, source, tally


def _state(trainer: Trainer) -> dict[str, dict]:
    """All that a run needs to go on as if it had not stopped."""
    return {
        "weights": weights_by_name(trainer.model),
        "slots": optimization.slots(trainer.optimizer, trainer.weights),
        "seeds": dropout_seeds(trainer.model),
        "counters": {"global_step": trainer.optimizer.iterations},
    }


def _start(config: TrainConfig, trainer: Trainer, keeper: Keeper) -> int:
    """Takes up the run in the folder, or begins one; returns its step."""
    initial, report = config.tf_initial_checkpoint, None
    if resumed := keeper.resume():
        step = int(trainer.optimizer.iterations.numpy())
        logging.info("Resuming from %s, step %d", resumed, step)
        if initial:
            logging.info("--tf_initial_checkpoint was read when the run began")
        return step
    if initial:
        excluded = _excluded(config)
        advice.warn_of_other_classes(trainer.spec, initial, excluded)
        report = restoring.initialize(trainer.model, initial, exclude=excluded)
        logging.info("%s: %s", initial, report)
    advice.warn(config, trainer.model, report)
    return 0


def _excluded(config: TrainConfig) -> tuple[str, ...]:
    if config.initialize_last_layer:
        return ()
    if config.optimizer.last_layers_contain_logits_only:
        return restoring.LOGITS
    return restoring.LAST_LAYERS


def _loop(
    config: TrainConfig,
    trainer: Trainer,
    keeper: Keeper,
    batches: Iterator,
    source: Source,
) -> None:
    step = int(trainer.optimizer.iterations.numpy())
    total = config.optimizer.training_number_of_steps
    save = pacing.Every(config.save_interval_secs)
    show = pacing.Every(config.save_summaries_secs)
    pace = pacing.Pace(config.log_steps)
    logging.info("Compiling the network: the first step takes half a minute or more")
    with pacing.signals() as stop, _logs(config, step) as logs:
        while step < total and not stop:
            count = pace.count(step, total)
            with _profiled(config, pace.calls), guards.kept(trainer, keeper, source):
                metrics = _fetched(trainer.run(batches, tf.constant(count)))
            step += count
            pace.took(count)
            guards.check(metrics, step)
            logs.add(metrics)
            if step % config.log_steps == 0 or step == total:
                logs.tell(step, float(trainer.optimizer.learning_rate.numpy()))
            if save.due() and step < total:
                guards.save(trainer, keeper)
            if config.save_summaries_images and show.due():
                with guards.kept(trainer, keeper, source):
                    _show(config, trainer, source, logs, step)
        guards.save(trainer, keeper)
    if stop:
        logging.info("Stopped at step %d; the same command goes on from here", step)
        sys.exit(128 + stop[0])


def _logs(config: TrainConfig, first: int) -> Logs:
    return Logs(
        Path(config.train_logdir or "") / "train",
        first=first,
        total=config.optimizer.training_number_of_steps,
        batch_size=config.train_batch_size,
    )


def _fetched(metrics: Mapping[str, tf.Tensor]) -> dict[str, list[float]]:
    return {name: values.numpy().tolist() for name, values in metrics.items()}


def _show(
    config: TrainConfig, trainer: Trainer, source: Source, logs: Logs, step: int
) -> None:
    """Draws images of the steps to come; the run's own batches stay as they are."""
    (batch,) = pipeline.training_batches(
        source,
        config.augment,
        3,
        seed=config.seed,
        start=step * config.train_batch_size,
    ).take(1)
    looks = inference.Looks(logits_stride=config.model.logits_stride)
    classes, _ = inference.predict(_merged(trainer.model), batch["image"], looks)
    logs.samples(step, batch, classes.numpy(), trainer.spec)


def _merged(model: keras.Model) -> keras.Model:
    """The network without the logits of single scales."""
    return keras.Model(model.input, model.outputs[-1])


def _profiled(config: TrainConfig, calls: int) -> contextlib.AbstractContextManager:
    """Profiles the third call, when everything is compiled."""
    if config.profile_logdir and calls == 2:
        return tf.profiler.experimental.Profile(config.profile_logdir)
    return contextlib.nullcontext()
