"""Settings -> what a run is made of: data, a trainer, batches, initial weights."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints import (
    best_metric,
    reader,
    restore,
    run_folder,
    zoo,
    zoo_fetch,
)
from deeplab_tf.config import LossConfig, TrainConfig, effects
from deeplab_tf.data import corrupt_records, decode_cache, pipeline
from deeplab_tf.data.labels import validate_records
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError
from deeplab_tf.models.build import build, find_backbone
from deeplab_tf.models.heads import HEADS, LOGITS, last_layers
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.layers.folded_batch_norm import fold_frozen_batch_norm
from deeplab_tf.models.mixed_precision import dtype_policy
from deeplab_tf.models.multi_scale import each_scale
from deeplab_tf.models.weight_names import layers_of, weights_by_name
from deeplab_tf.training import remat
from deeplab_tf.training.diagnostics import warnings
from deeplab_tf.training.distribution.strategy import prefetch_to_device
from deeplab_tf.training.gradient_accumulation import gradient_sums
from deeplab_tf.training.optim import gradients, lr_schedules
from deeplab_tf.training.optim.ema import ExponentialMovingAverage
from deeplab_tf.training.optim.loss_scale import LossScale
from deeplab_tf.training.step import Trainer


def open_data(
    config: TrainConfig, folder: Path
) -> tuple[DatasetSpec, InputData, LabelStatistics]:
    """What the records mean, where they are, and what the checked labels hold.

    Whether a run in the folder has learned these classes is asked first.
    """
    mean_pixel = find_backbone(config.model).mean_pixel
    spec, records = open_split(config.data, config.tfds, config.train_split)
    run_folder.check(folder, config, spec)
    if len(config.loss.label_weights) not in (0, 1, spec.num_classes):
        raise FlagError(
            f"--label_weights: {len(config.loss.label_weights)} weights for "
            f"{spec.num_classes} classes of {spec.name}"
        )
    best_metric.check(config.watch.best_metric, spec)
    records = corrupt_records.skip_corrupt(records, config.max_bad_records)
    tally = validate_records.check_records(records, spec, config.validate_labels)
    spec = _with_largest_image(spec, config.train_split, tally)
    source = InputData(
        records=records,
        ignore_label=spec.ignore_label,
        mean_pixel=mean_pixel,
        resize=config.compatibility.resize(config.resize),
        order=min(run_folder.record_order(folder), records.order),
    )
    if config.cache_decoded_gb:
        cache = decode_cache.make_cache(records, config.cache_decoded_gb)
        source = dataclasses.replace(source, decode=cache)
    return spec, source, tally


def _with_largest_image(
    spec: DatasetSpec, split: str, tally: LabelStatistics
) -> DatasetSpec:
    """The data set with the largest image that was read, if its builder says none."""
    if split in spec.largest_images or not tally.masks:
        return spec
    largest = {**spec.largest_images, split: tally.largest}
    return dataclasses.replace(spec, largest_images=largest)


def make_trainer(
    config: TrainConfig,
    spec: DatasetSpec,
    loss: LossConfig,
    strategy: tf.distribute.Strategy,
) -> Trainer:
    """The network in its training form, as the seed makes it, and its optimizer.

    Args:
        config: All settings.
        spec: What the labels mean.
        loss: Of pixels, with the weights of the classes.
        strategy: On which devices.

    Raises:
        FlagError: Settings that do not go together.
    """
    devices, rules = config.devices, config.optimizer
    replicas = strategy.num_replicas_in_sync
    is_on_gpus = bool(tf.config.get_visible_devices("GPU"))
    if devices.jit_compile and replicas > 1 and not is_on_gpus:
        raise FlagError(
            "--jit_compile is not for several replicas on a CPU, where XLA has no "
            "collectives; leave it out, or take --strategy=one"
        )
    accumulation_steps = devices.gradient_accumulation_steps
    keras.utils.set_random_seed(config.seed)
    with strategy.scope():
        optimizer = gradients.make_optimizer(rules)
        model = _build(config, spec, optimizer.iterations, strategy)
        weights = gradients.select_trainable(weights_by_name(model), rules)
        gradients.build_slots(optimizer, weights, rules)
        model = each_scale(model, config.model)
        folded = fold_frozen_batch_norm(model)
        decay = rules.ema_decay
        scales = devices.precision == "mixed_float16"
        return Trainer(
            strategy=strategy,
            model=model,
            forward=remat.rematerialize(folded) if devices.remat else folded,
            loss_weights=_loss_weights(config, len(model.outputs)),
            label_grid=HEADS[config.model.head].label_grid,
            optimizer=optimizer,
            weights=weights,
            spec=spec,
            loss_config=loss,
            optimizer_config=rules,
            accumulation_steps=accumulation_steps,
            gradient_sums=(
                gradient_sums(weights.values()) if accumulation_steps > 1 else ()
            ),
            ema=ExponentialMovingAverage(weights, decay) if decay else None,
            loss_scale=LossScale() if scales else None,
            seed=config.seed,
            jit_compile=devices.jit_compile,
            time_data=not devices.deterministic,
            local_statistics=(
                _moving_statistics(model)
                if replicas > 1 and not devices.sync_batch_norm
                else ()
            ),
        )


def _moving_statistics(model: keras.Model) -> list[keras.Variable]:
    """Of the batch norm that learns."""
    return [
        statistic
        for layer in layers_of(model)
        if isinstance(layer, FrozenableBatchNorm) and not layer.frozen
        for statistic in (layer.moving_mean, layer.moving_variance)
    ]


def _build(
    config: TrainConfig,
    spec: DatasetSpec,
    step: keras.Variable,
    strategy: tf.distribute.Strategy,
) -> keras.Model:
    with dtype_policy(config.devices.precision):
        return build(
            config.model,
            spec.num_classes,
            input_size=config.augment.train_crop_size,
            frozen_batch_norm=not config.fine_tune_batch_norm,
            replicas=_synchronized_replicas(config, strategy),
            drop_path=lr_schedules.drop_path_schedule(
                config.drop_path_keep_prob,
                step,
                config.optimizer.training_number_of_steps,
            ),
            training_form=True,
        )


def _synchronized_replicas(
    config: TrainConfig, strategy: tf.distribute.Strategy
) -> int:
    """Over how many replicas batch norm takes its statistics."""
    return strategy.num_replicas_in_sync if config.devices.sync_batch_norm else 1


def _loss_weights(config: TrainConfig, outputs: int) -> tuple[float, ...]:
    """What the loss of each of the logits counts; the last are those that predict."""
    auxiliary = HEADS[config.model.head].auxiliary
    weight = config.loss.auxiliary_loss_weight if auxiliary else 1.0
    return (*[weight] * (outputs - 1), 1.0)


def distribute_batches(
    config: TrainConfig,
    source: InputData,
    strategy: tf.distribute.Strategy,
    images: int,
    *,
    start: int = 0,
) -> Any:
    """Batches of so many images for each replica, from those of step `start` on.

    They are copied to the devices while these compute the step before.
    """

    def read(context: tf.distribute.InputContext) -> tf.data.Dataset:
        if config.overfit_one_batch:
            return pipeline.one_batch(
                source,
                images,
                crop_size=config.augment.train_crop_size,
                seed=config.seed,
                global_batch_size=config.train_batch_size,
                context=context,
            ).map(_without_names)
        return pipeline.training_batches(
            source,
            config.augment,
            images,
            seed=config.seed,
            start=start * config.train_batch_size,
            context=context,
        ).map(_without_names)

    batches = strategy.distribute_datasets_from_function(read)
    return prefetch_to_device(batches, strategy)


def _without_names(batch: pipeline.Sample) -> pipeline.Sample:
    """Text stays on the host."""
    return {name: batch[name] for name in ("image", "label", "number")}


def require_statistics(config: TrainConfig) -> None:
    """Raises where batch norm keeps statistics that nothing has.

    Networks without batch norm, or that keep the statistics whatever is asked, pass.

    Raises:
        FlagError: No run goes on, and there is no initial checkpoint.
    """
    if config.fine_tune_batch_norm or config.tf_initial_checkpoint:
        return
    is_read = "fine_tune_batch_norm" not in effects.unread(config)
    if is_read and not reader.newest(str(config.train_logdir)):
        raise FlagError(
            "--fine_tune_batch_norm=false keeps the statistics of a checkpoint, and "
            "there is none: give --tf_initial_checkpoint, or to train from nothing "
            "--fine_tune_batch_norm=true"
        )


def fetch_initial(config: TrainConfig, folder: Path) -> None:
    """Fetches what a new run starts from, if it is of the zoo, before work begins.

    Raises:
        FlagError: It is of another network than the flags.
        InputError: It cannot be had.
    """
    initial = config.tf_initial_checkpoint or ""
    if not zoo.is_name(initial) or reader.newest(str(folder)):
        return
    model = zoo.find(initial).model
    for name in ("model_variant", "depth_multiplier"):
        wanted, given = getattr(model, name), getattr(config.model, name)
        if wanted != given:
            raise FlagError(
                f"--tf_initial_checkpoint={initial} is of --{name}={wanted}, not "
                f"{given}"
            )
    zoo_fetch.locate(initial)


def initialize(config: TrainConfig, trainer: Trainer) -> restore.RestoreReport | None:
    """Reads the initial checkpoint, if one is given."""
    if not (initial := config.tf_initial_checkpoint):
        return None
    excluded = _excluded_scopes(config)
    warnings.warn_of_other_classes(trainer.spec, initial, excluded)
    path = zoo_fetch.locate(initial)
    report = restore.initialize(trainer.model, path, exclude=excluded)
    if trainer.ema:
        trainer.ema.reset()
    logging.info("%s: %s", initial, report)
    return report


def _excluded_scopes(config: TrainConfig) -> tuple[str, ...]:
    if config.initialize_last_layer:
        return ()
    if config.optimizer.last_layers_contain_logits_only:
        return LOGITS
    return last_layers()
