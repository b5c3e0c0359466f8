"""The loop: steps, and between them what is due."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from absl import logging

from deeplab_tf.checkpoints import best
from deeplab_tf.checkpoints.manager import Keeper
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import corrupt_records
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.errors import InputError
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.diagnostics import (
    guards,
    nan_dump,
    overfit_one_batch,
    warnings,
)
from deeplab_tf.training.distribution import hosts
from deeplab_tf.training.intervals import Every, Pace, Profile, signals
from deeplab_tf.training.monitoring import metrics_file, sample_images
from deeplab_tf.training.monitoring.evaluator import Evaluator, is_out_of_patience
from deeplab_tf.training.monitoring.logs import Logs
from deeplab_tf.training.step import MOST, Trainer

_RAN_OUT = 256  # Above the numbers of signals.


@dataclasses.dataclass(eq=False, kw_only=True)
class Loop:
    """A run that is set up.

    Attributes:
        config: All settings.
        folder: Of the run.
        trainer: What takes steps.
        keeper: What saves.
        source: Of the training.
        evaluator: What evaluates in between, if anything does.
        expected_loss: Of the first step; see `warnings.expected_first_loss`.
    """

    config: TrainConfig
    folder: Path
    trainer: Trainer
    keeper: Keeper
    source: InputData
    evaluator: Evaluator | None = None
    expected_loss: float | None = None

    def __post_init__(self) -> None:
        self._save_due = Every(self.config.save_interval_secs)
        self._show_due = Every(self.config.watch.save_summaries_secs)
        self._caught: list[int] = []
        self._ran_out = False
        self._saved = self.step

    @property
    def step(self) -> int:
        """How many steps are taken."""
        return int(self.trainer.optimizer.iterations.numpy())

    @property
    def _total(self) -> int:
        return self.config.optimizer.training_number_of_steps

    def run(self, batches: Iterator) -> None:
        """Takes steps to the end, or until a signal or lack of progress stops them.

        After SIGTERM or SIGINT, on whichever host, all save and exit with 128 plus its
        number.

        Raises:
            InputError: A record cannot be read, or training has come to nothing.
        """
        logging.info(
            "Compiling the network: the first step takes half a minute or more"
        )
        with (
            signals() as self._caught,
            self._logs() as logs,
            Profile(self.config.watch, self.step) as profile,
        ):
            ending = self._steps(batches, logs, profile)
            self._save(logs)
        if self.config.overfit_one_batch and not ending:
            overfit_one_batch.verdict(self.trainer, batches, self.config, self.folder)
        if ending == _RAN_OUT:
            logging.info(
                "Stopped at step %d: no better mIoU in %d evaluations; the best is in "
                "%s",
                self.step,
                self.config.watch.early_stopping_patience,
                self.folder / best.FOLDER,
            )
        elif ending:
            logging.info(
                "Stopped at step %d; the same command goes on from here", self.step
            )
            sys.exit(128 + ending)

    def finish(self) -> None:
        """Makes the last evaluation, where a run of all its steps lacks that."""
        with self._logs() as logs:
            self._evaluate_what_was_saved(self.step, logs)

    def _steps(self, batches: Iterator, logs: Logs, profile: Profile) -> int:
        """Returns why it stopped: at the end 0, else see `_ending`."""
        watch, step = self.config.watch, self.step
        if not step:
            logs.settings(step, self.config)
        intervals = (
            watch.log_steps,
            watch.eval_interval_steps,
            self.config.save_interval_steps,
        )
        pace = Pace(MOST, *intervals, stops=profile.stops)
        self._evaluate_what_was_saved(step, logs)
        self._see_progress()
        while not (ending := self._ending()) and step < self._total:
            profile.at(step)
            count = hosts.agreed(self.trainer.strategy, pace.count(step, self._total))
            metrics = self._taken(batches, count, logs)
            step += count
            pace.took(count)
            guards.check_labels(metrics, step)
            guards.check_losses(self.trainer, metrics, step, self._dumped)
            if step == count:
                warnings.tell_first_loss(
                    metrics["loss"][0],
                    self.expected_loss,
                    self.config.tf_initial_checkpoint,
                )
            logs.add(metrics)
            if step % watch.log_steps == 0 or step == self._total:
                logs.tell(step, float(self.trainer.optimizer.learning_rate.numpy()))
            with logs.paused():
                self._do_what_is_due(step, logs)
        profile.at(step)
        return ending

    def _ending(self) -> int:
        """A signal's number, or `_RAN_OUT`, on whichever host; 0 to go on."""
        own = self._caught[0] if self._caught else 0
        if not own and self._ran_out:
            own = _RAN_OUT
        return max(hosts.gathered(self.trainer.strategy, own))

    def _see_progress(self) -> None:
        """Whether the mIoU still grows, as far as the run's own scores tell."""
        patience = self.config.watch.early_stopping_patience
        if patience and self.keeper.writes:
            self._ran_out = is_out_of_patience(
                metrics_file.scores(self.folder), patience
            )

    def _taken(
        self, batches: Iterator, count: int, logs: Logs
    ) -> Mapping[str, Sequence[float]]:
        """Metrics of further steps; those before a record that is damaged are saved."""
        before = self.step
        try:
            with corrupt_records.translate_read_errors(self.source.records):
                return self.trainer.run(batches, count)
        except InputError:
            logs.add(self.trainer.metrics(self.step - before))
            self._save_alone(logs)
            raise

    def _dumped(self, bad: nan_dump.Bad) -> str:
        """Keeps the batch of a step that went wrong; says why it may have."""
        if self.config.overfit_one_batch:
            return overfit_one_batch.exploded(self.config)
        if not self.keeper.writes:
            return "The first host's log says more"
        spec = self.trainer.spec
        return nan_dump.write(self.folder, self.source, self.config, spec, bad)

    def _do_what_is_due(self, step: int, logs: Logs) -> None:
        interval = self.config.save_interval_steps
        by_clock = not interval and self._save_due.due()
        evaluates = self._evaluates_at(step)
        if by_clock or evaluates or (interval and step % interval == 0):
            self._save(logs)
        if evaluates:
            self._evaluate(step, logs)
        watch = self.config.watch
        shows = watch.save_summaries_images or watch.save_summaries_histograms
        if shows and self._show_due.due():
            self._show(step, logs)

    def _save(self, logs: Logs) -> None:
        """What the first host writes, the others wait for."""
        self._save_alone(logs)
        hosts.agreed(self.trainer.strategy, self.step)

    def _save_alone(self, logs: Logs) -> None:
        if self.step != self._saved:
            logs.keep(self.step)
            guards.save(self.trainer, self.keeper)
            self._saved = self.step

    def _evaluates_at(self, step: int) -> bool:
        interval = self.config.watch.eval_interval_steps
        return bool(self.evaluator) and (step % interval == 0 or step == self._total)

    def _evaluate_what_was_saved(self, step: int, logs: Logs) -> None:
        """A run may have been stopped between a checkpoint and its evaluation."""
        if step and self._evaluates_at(step):
            owed = step not in metrics_file.scores(self.folder)
            if any(hosts.gathered(self.trainer.strategy, int(owed))):
                self._evaluate(step, logs)

    def _evaluate(self, step: int, logs: Logs) -> None:
        """Scores the weights, or their averages; keeps the best checkpoint."""
        assert self.evaluator
        weights = weights_by_name(self.trainer.model)
        weights |= self.trainer.averaged_weights
        scores = self.evaluator.evaluate(weights, lambda: bool(self._caught))
        if scores is None:
            return  # A signal came; the evaluation is made when the run goes on.
        if self.keeper.writes:
            best.keep(self.folder, str(self.folder / f"model.ckpt-{step}"), scores)
        logs.evaluated(step, scores, self.config.watch.eval_split)
        self._see_progress()

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
            first=self.step,
            total=self._total,
            batch_size=self.config.train_batch_size,
            writes=self.keeper.writes,
        )
