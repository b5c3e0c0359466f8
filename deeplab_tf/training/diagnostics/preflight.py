"""A look at a run before it costs hours: `train.py --check`."""

import dataclasses
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_tf.checkpoints import reader, run_folder
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import corrupt_records, pipeline
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.files import check_writable
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.weight_names import layers_of
from deeplab_tf.training import run
from deeplab_tf.training.diagnostics import guards, memory, two_steps, warnings
from deeplab_tf.training.diagnostics.findings import Findings
from deeplab_tf.training.diagnostics.two_steps import Steps
from deeplab_tf.training.distribution import cluster
from deeplab_tf.training.distribution.strategy import make_strategy
from deeplab_tf.training.losses import class_weights
from deeplab_tf.training.step import Trainer


def check(config: TrainConfig) -> None:
    """Takes two steps, tells what is found, and leaves nothing behind.

    Args:
        config: Of the run.

    Raises:
        InputError: Something is wrong; each thing is told before.
    """
    if _has_several_hosts(config):
        raise FlagError("--check is for one host: run it on one without TF_CONFIG")
    findings = Findings()
    with findings.of_warnings():
        findings.collected(_look, config, findings)
    findings.tell()


def _has_several_hosts(config: TrainConfig) -> bool:
    if config.devices.strategy not in ("auto", "multi_worker"):
        return False
    found = cluster.find()
    return found is not None and len(found.addresses) > 1


def _look(config: TrainConfig, findings: Findings) -> None:
    """Finds what is to be found; raises where there is no going on."""
    strategy = make_strategy(config.devices)
    if config.devices.deterministic:
        tf.config.experimental.enable_op_determinism()
    folder = check_writable("train_logdir", config.train_logdir)
    spec, source, tally = _data(config, findings)
    findings.collected(run_folder.check, folder, config, spec)
    if newest := reader.newest(str(folder)):
        findings.facts.append(
            f"The run would go on from {newest}; this is of a new one"
        )
    loss, counts = class_weights.weigh(config.loss, spec, source)
    shares = warnings.shares(spec, config.train_split, counts, tally)
    _see_classes(spec, tally, findings)
    trainer, batch_size = run.new_trainer(config, spec, loss, strategy)
    _see_start(config, trainer, findings)
    expected = warnings.expected_first_loss(
        loss, shares, spec.num_classes, trainer.loss_weights
    )
    replicas = strategy.num_replicas_in_sync
    shared = 1 if tf.config.get_visible_devices("GPU") else replicas
    needs = memory.needs(trainer, config, batch_size, shared)
    _see_disk(folder, config, needs, findings)
    _see_ignored(config, source, findings)
    if _fits(needs, config, findings):
        batches = iter(run.batches_of(config, source, strategy, batch_size, 0))
        with corrupt_records.translate_read_errors(source.records):
            steps = two_steps.take_two(trainer, batches)
        _see_steps(steps, config, expected, findings)


def _data(
    config: TrainConfig, findings: Findings
) -> tuple[DatasetSpec, InputData, LabelStatistics]:
    """As a run opens them; with labels that are wrong, the rest is looked at, too."""
    how = "sample" if config.validate_labels == "off" else config.validate_labels
    with tempfile.TemporaryDirectory() as empty:
        for each in (how, "off"):
            settings = dataclasses.replace(config, validate_labels=each)
            opened = findings.collected(run.open_data, settings, Path(empty))
            if opened:
                return opened
    raise InputError(findings.wrong[-1])


def _see_classes(spec: DatasetSpec, tally: LabelStatistics, findings: Findings) -> None:
    unseen = [
        name
        for label, name in enumerate(spec.classes)
        if label != spec.ignore_label and not tally.pixels.get(label)
    ]
    if tally.masks and unseen:
        shown = ", ".join(unseen[:5]) + (", ..." if len(unseen) > 5 else "")
        findings.advice.append(
            f"{len(unseen)} of {spec.num_classes} classes are in none of the "
            f"{tally.masks} labels that were read: {shown}; --validate_labels=full "
            "reads all"
        )


def _see_start(config: TrainConfig, trainer: Trainer, findings: Findings) -> None:
    """The initial checkpoint, and settings that do not go with it."""
    report = findings.collected(run.initialize, config, trainer)
    learns = any(
        isinstance(layer, FrozenableBatchNorm) and not layer.frozen
        for layer in layers_of(trainer.model)
    )
    if learns and config.images_at_a_time == 1:
        findings.add(
            "Batch norm sees one image at a time, and makes 0 of what is pooled "
            "over it: take --train_batch_size=12 or more, or, from trained weights, "
            "--fine_tune_batch_norm=false"
        )
        # So that it is not said twice.
        enough = config.train_batch_size * warnings.ENOUGH_IMAGES
        config = dataclasses.replace(config, train_batch_size=enough)
    warnings.warn(config, trainer.model, report)


def _see_disk(
    folder: Path, config: TrainConfig, needs: memory.Needs, findings: Findings
) -> None:
    place = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(place).free
    # The next one is written before the oldest goes.
    count = config.max_checkpoints_to_keep + 1
    size, left = memory.size(needs.checkpoint), memory.size(free)
    findings.facts.append(f"Disk: {count} checkpoints of {size}; {left} are free")
    if count * needs.checkpoint > free:
        most = free // needs.checkpoint - 1
        way = f"--max_checkpoints_to_keep={most}, or " if most > 0 else ""
        findings.add(
            f"{place}: {left} are free, and {count} checkpoints of {size} are to come: "
            f"{way}another --train_logdir"
        )


def _see_ignored(config: TrainConfig, source: InputData, findings: Findings) -> None:
    """How much of the first batch counts."""
    batches = pipeline.training_batches(
        source, config.augment, config.train_batch_size, seed=config.seed
    )
    batch = next(corrupt_records.read_batches(batches.take(1), source.records))
    share = float(np.mean(batch["label"].numpy() == source.ignore_label))
    findings.facts.append(
        f"Labels: {share:.0%} of the first batch's pixels are ignored"
    )
    if share == 1.0:
        findings.add(
            f"all labels of the first batch are {source.ignore_label}, the ignore "
            "label: look at them"
        )
    elif share > two_steps.MUCH_IGNORED:
        findings.advice.append(
            f"{share:.0%} of the first batch's pixels are ignored: where images are "
            "smaller than the crop, take a smaller --train_crop_size; else look at the "
            "labels"
        )


def _fits(needs: memory.Needs, config: TrainConfig, findings: Findings) -> bool:
    room = memory.room()
    parts = config.devices.gradient_accumulation_steps
    findings.facts.append(
        f"Memory: a step takes about {memory.size(needs.step(parts))} more than all "
        f"before it; {memory.size(room.free)} are free ({room.bound})"
    )
    found = memory.too_little(needs, room, config)
    findings.add(found and f"No step was taken: {found}")
    return found is None


def _see_steps(
    steps: Steps, config: TrainConfig, expected: float | None, findings: Findings
) -> None:
    if not findings.wrong:  # Labels that are wrong are told already, with the file.
        findings.collected(guards.check_labels, steps.metrics, 2)
    initial = config.tf_initial_checkpoint
    warnings.tell_first_loss(steps.metrics["loss"][0], expected, initial)
    findings.facts += two_steps.facts(steps, config)
    findings.add(two_steps.rate_too_high(steps, config, expected))
