"""The training loop: steps, and between them what is due."""

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints import best_metric, manager, run_curves, run_log
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import corrupt_records
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.shard_checksums import Verification
from deeplab_tf.errors import InputError
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.weight_names import layers_of, weights_by_name
from deeplab_tf.training.diagnostics import nan_dump, overfit_one_batch, warnings
from deeplab_tf.training.distribution import hosts
from deeplab_tf.training.intervals import (
    StepsPerCall,
    Timer,
    catch_signals,
)
from deeplab_tf.training.monitoring import outcome, sample_images
from deeplab_tf.training.monitoring.evaluator import Evaluator
from deeplab_tf.training.monitoring.logs import Logs
from deeplab_tf.training.monitoring.profiler import Profiler
from deeplab_tf.training.step import MAX_STEPS, Trainer, raise_on_bad_labels

_EARLY_STOPPING = 256  # Above the numbers of signals.


@dataclasses.dataclass(eq=False, kw_only=True)
class Loop:
    """A run that is set up.

    Attributes:
        config: All settings.
        folder: Of the run.
        trainer: What takes steps.
        checkpoints: What saves.
        source: Of the training.
        evaluator: What evaluates in between, if anything does.
        expected_loss: Of the first step; see `warnings.expected_first_loss`.
        verification: Of the shards that are read, on the first host.
    """

    config: TrainConfig
    folder: Path
    trainer: Trainer
    checkpoints: CheckpointManager
    source: InputData
    evaluator: Evaluator | None = None
    expected_loss: float | None = None
    verification: Verification = dataclasses.field(
        default_factory=lambda: Verification({})
    )

    def __post_init__(self) -> None:
        self._save_timer = Timer(self.config.save_interval_secs)
        self._show_timer = Timer(self.config.watch.save_summaries_secs)
        self._signals: list[int] = []
        self._patience_ran_out = self._has_shown = False
        self._saved_step = self.trainer.step

    @property
    def _total(self) -> int:
        return self.config.optimizer.training_number_of_steps

    def run(self, batches: Iterator) -> None:
        """Takes steps to the end, or until a signal or lack of progress stops them.

        After SIGTERM or SIGINT, on whichever host, all save and exit with 128 plus its
        number.

        Raises:
            InputError: A record cannot be read, a shard is not the one that
                `dataset.json` describes, or training has come to nothing.
        """
        with (
            catch_signals() as self._signals,
            self._logs() as logs,
            Profiler(self.config.watch, self.trainer.step) as profiler,
        ):
            ending = self._take_steps(batches, logs, profiler)
            self._save(logs)
        if self.config.overfit_one_batch and not ending:
            rate = self.config.optimizer.base_learning_rate
            overfit_one_batch.report(
                self.trainer, batches, rate, self._total, self.folder
            )
        if ending == _EARLY_STOPPING:
            place = self.folder / manager.BEST
            logging.info(
                "Stopped at step %d: no better %s in %d evaluations%s",
                self.trainer.step,
                best_metric.title(self.config.watch.best_metric),
                self.config.watch.early_stopping_patience,
                f"; the best is in {place}" if place.is_dir() else "",
            )
        elif ending:
            logging.info(
                "Stopped at step %d; the same command goes on from here",
                self.trainer.step,
            )
            sys.exit(128 + ending)
        self._tell_outcome()

    def finish(self) -> None:
        """Makes the last evaluation, where a run of all its steps lacks that."""
        with self._logs() as logs:
            self._evaluate_what_was_saved(self.trainer.step, logs)
        self._tell_outcome()

    def _tell_outcome(self) -> None:
        if self.checkpoints.writes and not self.config.overfit_one_batch:
            step, spec = self.trainer.step, self.trainer.spec
            run_curves.write(self.folder, self.config.watch.best_metric)
            lines = outcome.describe(self.folder, self.config, spec, step)
            logging.info(lines)

    def _take_steps(self, batches: Iterator, logs: Logs, profiler: Profiler) -> int:
        """Returns why it stopped: at the end 0, else see `_ending`."""
        watch, step = self.config.watch, self.trainer.step
        if not step:
            logs.settings(step, self.config)
        intervals = (
            watch.log_steps,
            watch.eval_interval_steps,
            self.config.save_interval_steps,
        )
        steps_per_call = StepsPerCall(MAX_STEPS, *intervals, stops=profiler.stops)
        self._evaluate_what_was_saved(step, logs)
        self._check_patience()
        while not (ending := self._ending()) and step < self._total:
            if is_first := not steps_per_call.calls:
                self._trace(batches)
            profiler.at(step)
            count = steps_per_call.next(step, self._total)
            count = hosts.all_reduce_min(self.trainer.strategy, count)
            began = time.monotonic()
            metrics = self._run(batches, count, logs)
            if is_first:
                logging.info("The first step took %.0f s", time.monotonic() - began)
            step += count
            steps_per_call.record(count)
            raise_on_bad_labels(metrics, step)
            self._raise_on_bad_loss(metrics, step)
            if step == count:
                warnings.log_first_loss(
                    metrics["loss"][0],
                    self.expected_loss,
                    self.config.tf_initial_checkpoint,
                )
            logs.add(metrics)
            if step % watch.log_steps == 0 or step == self._total:
                logs.write(step, self.trainer.learning_rate)
            with logs.pause_clock():
                self._do_what_is_due(step, logs)
        profiler.at(step)
        return ending

    def _trace(self, batches: Iterator) -> None:
        """Makes the graph of a step, and says for how long that takes."""
        replicas = self.trainer.strategy.num_replicas_in_sync
        logging.info(
            "Tracing the step%s: the program is at work, and computes nothing yet",
            f" for {replicas} replicas, each anew" if replicas > 1 else "",
        )
        began = time.monotonic()
        self.trainer.trace(batches)
        logging.info("Traced it in %.0f s", time.monotonic() - began)
        if self.trainer.jit_compile:
            logging.info("XLA compiles it now, which may take minutes")

    def _ending(self) -> int:
        """A signal's number, or `_EARLY_STOPPING`, on whichever host; 0 to go on."""
        own = self._signals[0] if self._signals else 0
        if not own and self._patience_ran_out:
            own = _EARLY_STOPPING
        return max(hosts.all_gather(self.trainer.strategy, own))

    def _check_patience(self) -> None:
        """Early stopping: whether scores still get better, by the run's own ones."""
        patience = self.config.watch.early_stopping_patience
        if patience and self.checkpoints.writes:
            scores = run_log.scores(self.folder, self.config.watch.best_metric)
            self._patience_ran_out = run_log.is_out_of_patience(scores, patience)

    def _run(
        self, batches: Iterator, count: int, logs: Logs
    ) -> Mapping[str, Sequence[float]]:
        """Metrics of further steps; those before a record that is damaged are saved."""
        before = self.trainer.step
        try:
            with corrupt_records.translate_read_errors(self.source.records):
                return self.trainer.run(batches, count)
        except InputError:
            logs.add(self.trainer.metrics(self.trainer.step - before))
            self._save_alone(logs)
            raise

    def _raise_on_bad_loss(
        self, metrics: Mapping[str, Sequence[float]], last: int
    ) -> None:
        """Raises where a loss is not finite, and keeps the batch."""
        if (step := nan_dump.first_bad_step(metrics, last)) is None:
            return
        model = self.trainer.model
        bad = nan_dump.BadStep(
            step=step,
            what=f"the loss is {metrics['loss'][step - last - 1]}",
            rate=self.trainer.learning_rate,
            metrics=metrics,
            has_batch_norm=any(
                isinstance(layer, FrozenableBatchNorm) for layer in layers_of(model)
            ),
            replicas=self.trainer.strategy.num_replicas_in_sync,
        )
        why, *place = self._explain(bad)
        raise InputError(
            f"step {step}: {bad.what}; the last checkpoint stands. {why}", *place
        )

    def _explain(self, bad: nan_dump.BadStep) -> Sequence[str]:
        """Keeps the batch of a step that went wrong; says why it may have, and where.

        Returns:
            A line, or two.
        """
        if self.config.overfit_one_batch:
            rate = self.config.optimizer.base_learning_rate
            return [
                f"One batch is not learned: take --base_learning_rate={rate / 10:g}"
            ]
        if not self.checkpoints.writes:
            return ["The first host's log says more"]
        spec = self.trainer.spec
        return nan_dump.write(self.folder, self.source, self.config, spec, bad)

    def _do_what_is_due(self, step: int, logs: Logs) -> None:
        self.verification.raise_mismatch()
        interval = self.config.save_interval_steps
        by_clock = not interval and self._save_timer.due()
        evaluates = self._evaluates_at(step)
        if by_clock or evaluates or (interval and step % interval == 0):
            self._save(logs)
        if evaluates:
            self._evaluate(step, logs)
        watch = self.config.watch
        shows = watch.save_summaries_images or watch.save_summaries_histograms
        is_due = self._show_timer.due() or not self._has_shown or step == self._total
        if shows and is_due:
            self._has_shown = True
            self._show(step, logs)

    def _save(self, logs: Logs) -> None:
        """What the first host writes, the others wait for."""
        self._save_alone(logs)
        hosts.wait_for_all(self.trainer.strategy)

    def _save_alone(self, logs: Logs) -> None:
        step = self.trainer.step
        if step == self._saved_step:
            return
        self.verification.wait()
        logs.save_interval(step)
        save(self.trainer, self.checkpoints)
        self._saved_step = step

    def _evaluates_at(self, step: int) -> bool:
        interval = self.config.watch.eval_interval_steps
        return bool(self.evaluator) and (step % interval == 0 or step == self._total)

    def _evaluate_what_was_saved(self, step: int, logs: Logs) -> None:
        """A run may have been stopped between a checkpoint and its evaluation."""
        if step and self._evaluates_at(step):
            owed = step not in run_log.scores(self.folder)
            if any(hosts.all_gather(self.trainer.strategy, int(owed))):
                self._evaluate(step, logs)

    def _evaluate(self, step: int, logs: Logs) -> None:
        """Scores the weights, or their averages; keeps the best checkpoint."""
        assert self.evaluator
        weights = weights_by_name(self.trainer.model) | self.trainer.ema_weights
        scores = self.evaluator.evaluate(weights, lambda: bool(self._signals))
        if scores is None:
            return  # A signal came; the evaluation is made when the run goes on.
        self.verification.wait()
        if self.checkpoints.writes:
            self._keep_best(step, scores)
        confusion, split = self.evaluator.confusion, self.config.watch.eval_split
        logs.log_evaluation(step, scores, confusion, split)
        self._check_patience()

    def _keep_best(self, step: int, scores: Mapping[str, Any]) -> None:
        metric = self.config.watch.best_metric
        prefix = str(self.folder / f"model.ckpt-{step}")
        manager.keep_best(self.folder, prefix, scores, metric)
        if scores["miou"] is not None and best_metric.value(scores, metric) is None:
            logging.warning(
                "--best_metric=%s has no value: the class neither occurs in "
                "--eval_split=%s nor is predicted; %s is what it was",
                metric,
                self.config.watch.eval_split,
                self.folder / manager.BEST,
            )

    def _show(self, step: int, logs: Logs) -> None:
        """Histograms, and images of the steps to come."""
        if self.config.watch.save_summaries_histograms:
            logs.histograms(step, weights_by_name(self.trainer.model))
        if not self.config.watch.save_summaries_images:
            return
        try:
            sample_images.show(self.trainer, self.source, self.config, step, logs)
        except InputError:
            self._save_alone(logs)
            raise

    def _logs(self) -> Logs:
        return Logs(
            self.folder,
            first=self.trainer.step,
            total=self._total,
            batch_size=self.config.train_batch_size,
            writes=self.checkpoints.writes,
        )


def save(trainer: Trainer, checkpoints: CheckpointManager) -> None:
    """Saves the run, unless the last update broke it."""
    step, weights = trainer.step, weights_by_name(trainer.model).values()
    # The device is asked once for all.
    finite = [tf.reduce_all(tf.math.is_finite(weight.value)) for weight in weights]
    if not tf.reduce_all(tf.stack(finite)):
        raise InputError(
            f"step {step}: a weight is not finite; the last checkpoint stands. Usual "
            "causes: --base_learning_rate is too high, or batch norm has too small a "
            "batch (--fine_tune_batch_norm=false from trained weights)"
        )
    saved = checkpoints.save(step)
    if checkpoints.writes:
        logging.info("Saved %s", saved)
