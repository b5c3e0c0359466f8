"""Preflight: a look at a run before it costs hours, `train.py --check`."""

import contextlib
import dataclasses
import logging as standard_logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf import compat
from deeplab_tf.checkpoints import reader, run_folder
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import corrupt_records, pipeline
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.shard_checksums import Verification
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.files import check_writable
from deeplab_tf.training import setup
from deeplab_tf.training.diagnostics import diagnoses, memory, two_steps, warnings
from deeplab_tf.training.diagnostics.diagnoses import Diagnosis
from deeplab_tf.training.distribution import cluster
from deeplab_tf.training.distribution.strategy import images_per_replica, make_strategy
from deeplab_tf.training.losses import class_weights
from deeplab_tf.training.step import raise_on_bad_labels

T = TypeVar("T")


class Findings:
    """What is wrong, what would be better, and what is as it should be."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.advice: list[str] = []
        self.facts: list[str] = []

    def collect_errors(self, call: Callable[..., T], *arguments: Any) -> T | None:
        """What the call returns; None where it finds a mistake, which is kept."""
        try:
            return call(*arguments)
        except InputError as error:
            self.add_wrong(str(error))
        return None

    @contextlib.contextmanager
    def collect_warnings(self) -> Iterator[None]:
        """Keeps the warnings of what is done within it as advice."""

        def keep(record: standard_logging.LogRecord) -> bool:
            warns = record.levelno == standard_logging.WARNING
            if warns and record.getMessage() not in self.advice:
                self.advice.append(record.getMessage())
            return not warns

        logger = logging.get_absl_logger()
        logger.addFilter(keep)
        try:
            yield
        finally:
            logger.removeFilter(keep)

    def add_wrong(self, sentence: str | None) -> None:
        """Keeps what is wrong, once."""
        if sentence and sentence not in self.wrong:
            self.wrong.append(sentence)

    def add(self, diagnosis: Diagnosis) -> None:
        """Keeps what is wrong, and what is advised."""
        for sentence in diagnosis.wrong:
            self.add_wrong(sentence)
        self.advice.extend(diagnosis.advice)

    def report(self) -> None:
        """Logs all, a line for each.

        Raises:
            InputError: Something is wrong.
        """
        logging.info("--check of this run, of which nothing is kept:")
        for fact in self.facts:
            logging.info("  %s", fact)
        for advice in self.advice:
            logging.info("  Advice: %s", advice)
        for wrong in self.wrong:
            logging.info("  Wrong: %s", wrong)
        if count := len(self.wrong):
            raise InputError(
                f"--check: {count} thing{'s are' if count > 1 else ' is'} wrong; see "
                "above"
            )
        logging.info("--check: nothing is wrong; without it, the run begins")


def check(config: TrainConfig) -> None:
    """Takes two steps, logs what is wrong and what would do, and leaves nothing behind.

    Raises:
        InputError: Something is wrong; each thing is logged before.
    """
    if _has_several_hosts(config):
        raise FlagError("--check is for one host: run it on one without TF_CONFIG")
    findings = Findings()
    deterministic = compat.op_determinism(config.devices.deterministic)
    with deterministic, findings.collect_warnings():
        findings.collect_errors(_look, config, findings)
    findings.report()


def _has_several_hosts(config: TrainConfig) -> bool:
    if config.devices.strategy not in ("auto", "multi_worker"):
        return False
    hosts = cluster.find()
    return hosts is not None and len(hosts.addresses) > 1


def _look(config: TrainConfig, findings: Findings) -> None:
    """Finds what is to be found; raises where there is no going on."""
    strategy = make_strategy(config.devices)
    folder = check_writable("train_logdir", config.train_logdir)
    findings.collect_errors(setup.fetch_initial, config, folder)
    spec, source, tally = _open_data(config, findings)
    findings.collect_errors(run_folder.check, folder, config, spec)
    if newest := reader.newest(str(folder)):
        findings.facts.append(
            f"The run would go on from {newest}; this is of a new one"
        )
    verification = Verification(source.records.checksums)
    loss, pixel_counts = class_weights.resolve(config.loss, spec, source)
    shares = warnings.class_shares(spec, config.train_split, pixel_counts, tally)
    _check_classes(spec, tally, findings)
    replicas = strategy.num_replicas_in_sync
    images = images_per_replica(
        config.train_batch_size,
        strategy,
        accumulation_steps=config.devices.gradient_accumulation_steps,
    )
    trainer = setup.make_trainer(config, spec, loss, strategy)
    report = findings.collect_errors(setup.initialize, config, trainer)
    settings = warnings.diagnose_settings(config, trainer.model, report, replicas)
    findings.add(settings)
    shared = 1 if tf.config.get_visible_devices("GPU") else replicas
    needs = memory.needs(trainer, config, images, shared)
    _check_disk(folder, config.max_checkpoints_to_keep, needs, findings)
    _check_ignored(config, source, findings)
    if _check_memory(needs, config, findings):
        batches = iter(setup.distribute_batches(config, source, strategy, images))
        with corrupt_records.translate_read_errors(source.records):
            steps = two_steps.take_two(trainer, batches)
        expected = warnings.expected_first_loss(
            loss, shares, spec.num_classes, trainer.loss_weights
        )
        _check_steps(steps, config, expected, findings)
    findings.collect_errors(verification.wait)


def _open_data(
    config: TrainConfig, findings: Findings
) -> tuple[DatasetSpec, InputData, LabelStatistics]:
    """As a run opens them; with labels that are wrong, the rest is looked at, too."""
    how = "sample" if config.validate_labels == "off" else config.validate_labels
    with tempfile.TemporaryDirectory() as empty:
        for each in (how, "off"):
            settings = dataclasses.replace(config, validate_labels=each)
            opened = findings.collect_errors(setup.open_data, settings, Path(empty))
            if opened:
                return opened
    raise InputError(findings.wrong[-1])


def _check_classes(
    spec: DatasetSpec, tally: LabelStatistics, findings: Findings
) -> None:
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


def _check_disk(
    folder: Path, keep: int, needs: memory.Needs, findings: Findings
) -> None:
    place = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(place).free
    # The next one is written before the oldest goes.
    count = keep + 1
    size, left = memory.size(needs.checkpoint), memory.size(free)
    findings.facts.append(f"Disk: {count} checkpoints of {size}; {left} are free")
    if count * needs.checkpoint > free:
        most = free // needs.checkpoint - 1
        way = f"--max_checkpoints_to_keep={most}, or " if most > 0 else ""
        findings.add_wrong(
            f"{place}: {left} are free, and {count} checkpoints of {size} are to come: "
            f"{way}another --train_logdir"
        )


def _check_ignored(config: TrainConfig, source: InputData, findings: Findings) -> None:
    """How much of the first batch counts."""
    batches = pipeline.training_batches(
        source, config.augment, config.train_batch_size, seed=config.seed
    )
    batch = next(corrupt_records.read_batches(batches.take(1), source.records))
    ignored = float(np.mean(batch["label"].numpy() == source.ignore_label))
    findings.facts.append(
        f"Labels: {ignored:.0%} of the first batch's pixels are ignored"
    )
    findings.add(diagnoses.of_first_batch(ignored, source.ignore_label))


def _check_memory(needs: memory.Needs, config: TrainConfig, findings: Findings) -> bool:
    """Whether a step fits."""
    room = memory.room()
    parts = config.devices.gradient_accumulation_steps
    findings.facts.append(
        f"Memory: a step takes about {memory.size(needs.step(parts))} more than all "
        f"before it; {memory.size(room.free)} are free ({room.bound})"
    )
    too_little = memory.too_little(needs, room, config)
    findings.add_wrong(too_little and f"No step was taken: {too_little}")
    return too_little is None


def _check_steps(
    steps: two_steps.TwoSteps,
    config: TrainConfig,
    expected: float | None,
    findings: Findings,
) -> None:
    if not findings.wrong:  # Labels that are wrong are told already, with the file.
        findings.collect_errors(raise_on_bad_labels, steps.metrics, 2)
    initial, rules = config.tf_initial_checkpoint, config.optimizer
    warnings.log_first_loss(steps.metrics["loss"][0], expected, initial)
    findings.facts += two_steps.facts(steps, rules.training_number_of_steps)
    findings.add(two_steps.diagnose(steps, rules.base_learning_rate, expected))
