"""Logs of a run: a bar and lines, event files and `metrics.jsonl`."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from tensorboard.plugins.hparams import api as hparams
from tqdm import tqdm

from deeplab_tf import console
from deeplab_tf.config.fields import text
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.evaluation import report
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.training.monitoring.metrics_file import History, Interval

_OF_EVALUATIONS = ("miou", "pixel_accuracy", "iou", "num_images")
_LONG_WAIT = 0.3  # Share of the time from which waiting for data is warned of.
_FURTHER = (
    "images_per_second",
    "data_wait_share",
    "gradient_norm",
    "loss_scale",
    "skipped",
)


class Logs:
    """Console, event files and `metrics.jsonl` of a run; a context, closed at its end.

    Args:
        folder: Of the run; events lie in `train` and below the name of a split.
        first: Step from which the run goes on.
        total: Steps of the whole run.
        batch_size: Images a step.
        writes: Whether this process writes files; of several workers, the first one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        first: int,
        total: int,
        batch_size: int,
        writes: bool = True,
    ) -> None:
        self._folder, self._writes = folder, writes
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._history = History(folder, first) if writes else None
        self._bar = console.bar(
            total=total, initial=first, unit="step", disable=not writes
        )
        self._total, self._batch_size = total, batch_size
        self._is_first_interval, self._warned = True, False
        self._since, self._steps = time.monotonic(), 0
        self._interval = self._history.pending(first) if self._history else Interval({})

    def __enter__(self) -> "Logs":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        for name, writer in self._writers.copy().items():
            try:
                writer.close()
            except tf.errors.OpError as trouble:
                self._give_up(name, trouble)

    def add(self, metrics: Mapping[str, Sequence[float]]) -> None:
        """Takes note of the metrics of some steps.

        Args:
            metrics: Of each step "loss", "regularization", "bad_labels", and what there
                is of "gradient_norm", "data_wait" (seconds), "loss_scale" and "skipped"
                (1 where float16 overflowed, and nothing was learned).
        """
        self._bar.update(len(metrics["loss"]))
        self._steps += len(metrics["loss"])
        self._interval.add(metrics)

    def save_interval(self, step: int) -> None:
        """Notes what was not logged yet, just before a checkpoint at `step` is written.

        So a run that goes on from it logs the same as one that did not stop.
        """
        if self._history:
            self._history.save_interval(step, self._interval)

    @contextlib.contextmanager
    def pause_clock(self) -> Iterator[None]:
        """Leaves out of account how long something takes that is no step."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._since += time.monotonic() - began

    def write(self, step: int, rate: float) -> None:
        """Logs the steps since the last call, now at `step` and a learning rate."""
        seconds = max(time.monotonic() - self._since, 1e-9)
        line = self._interval.means() | {"learning_rate": rate}
        line["images_per_second"] = self._steps * self._batch_size / seconds
        if self._interval.waited is not None:
            line["data_wait_share"] = min(1.0, self._interval.waited / seconds)
        self._interval, self._since, self._steps = Interval({}), time.monotonic(), 0
        self._show_line(step, line)
        self._warn_of_waiting(line.get("data_wait_share", 0.0))
        if self._history:
            self._history.append(step, line)
        with self._events("train", step):
            tf.summary.scalar("learning_rate", rate)
            tf.summary.scalar("Losses/semantic", line["loss"])
            tf.summary.scalar("Losses/regularization", line["regularization"])
            tf.summary.scalar("total_loss", line["loss"] + line["regularization"])
            for name in (name for name in _FURTHER if name in line):
                tf.summary.scalar(name, line[name])

    def _show_line(self, step: int, line: Mapping[str, float]) -> None:
        share = line.get("data_wait_share")
        data = {} if share is None else {"data": f"{100 * share:.0f}%"}
        loss, rate = f"{line['loss']:.3f}", f"{line['learning_rate']:.2g}"
        self._bar.set_postfix({"loss": loss, "rate": rate} | data)
        speed = max(line["images_per_second"], 1e-9) / self._batch_size
        logging.info(
            "step %d/%d  loss %.4f  rate %.3g  %.1f images/s%s  %s left",
            step,
            self._total,
            line["loss"],
            line["learning_rate"],
            line["images_per_second"],
            "".join(f"  data {share}" for share in data.values()),
            tqdm.format_interval((self._total - step) / speed),
        )

    def _warn_of_waiting(self, share: float) -> None:
        """Warns once, and not of the first interval, in which buffers fill."""
        if share > _LONG_WAIT and not (self._is_first_interval or self._warned):
            self._warned = True
            logging.warning(
                "%.0f %% of the time went by waiting for data. What would do: records "
                "on a faster disk, --cache_decoded_gb where memory is to spare, more "
                "CPU cores, or smaller images in the records",
                100 * share,
            )
        self._is_first_interval = False

    def log_evaluation(
        self, step: int, scores: Mapping[str, Any], confusion: Confusion, split: str
    ) -> None:
        """Logs what `Evaluator.evaluate` gave; events have the tags of `eval.py`."""
        logging.info(
            "step %d  mIoU %s  pixel accuracy %s  of %d images of %s",
            step,
            *(format_score(scores[name]) for name in ("miou", "pixel_accuracy")),
            scores["num_images"],
            split,
        )
        if self._history:
            names = (*_OF_EVALUATIONS, "boundary_miou")
            line = {name: scores[name] for name in names if name in scores}
            self._history.append(step, line)
        with self._events(split, step):
            report.write_events(scores, confusion, tag="miou_1.0")

    def samples(
        self,
        step: int,
        batch: Mapping[str, tf.Tensor],
        classes: np.ndarray,
        spec: DatasetSpec,
    ) -> None:
        """Shows images beside their labels and predictions, in the data set's colors.

        Args:
            step: Now.
            batch: "image", RGB in 0...255, `[N, H, W, 3]`; "label", `[N, H, W, 1]`.
            classes: Predicted ids, `[N, H, W]`.
            spec: Colors.
        """
        colors = np.zeros((256, 3), np.uint8)
        colors[: spec.num_classes] = spec.palette
        with self._events("train", step):
            tf.summary.image("samples/image", tf.cast(batch["image"], tf.uint8))
            tf.summary.image("samples/label", colors[batch["label"].numpy()[..., 0]])
            tf.summary.image("samples/semantic", colors[classes])

    def histograms(self, step: int, weights: Mapping[str, Any]) -> None:
        """Shows how the values of each weight are spread, under its official name."""
        with self._events("train", step):
            for name, weight in weights.items():
                tf.summary.histogram(name, weight.numpy())

    def settings(self, step: int, config: Any) -> None:
        """Shows all flags of a run, once: as a table, and as what HParams compares."""
        with self._events("train", step):
            tf.summary.text("flags", _flags_table(config))
        if not self._writes:
            return
        # Of the folder itself, so that it stands for what is below it.
        settings, split = _hparams(config), config.watch.eval_split
        with self._events("", step):
            hparams.hparams_config(
                hparams=[hparams.HParam(name) for name in settings],
                metrics=[
                    hparams.Metric("eval/miou_1.0_overall", group=split),
                    hparams.Metric("Losses/semantic", group="train"),
                ],
            )
            hparams.hparams(settings, trial_id=str(self._folder))

    @contextlib.contextmanager
    def _events(self, name: str, step: int) -> Iterator[None]:
        """Within it, summaries are of `step` and lie in the folder `name`."""
        writer = self._writer(name)
        try:
            with writer.as_default(step):
                yield
        except tf.errors.OpError as error:
            self._give_up(name, error)

    def _writer(self, name: str) -> tf.summary.SummaryWriter:
        if name not in self._writers:
            self._writers[name] = tf.summary.create_noop_writer()
            if self._writes:
                try:
                    place = str(self._folder / name)
                    self._writers[name] = tf.summary.create_file_writer(place)
                except tf.errors.OpError as error:
                    self._give_up(name, error)
        return self._writers[name]

    def _give_up(self, name: str, error: tf.errors.OpError) -> None:
        """Warns of a disk that is full: a run is worth more than its events."""
        self._writers[name] = tf.summary.create_noop_writer()
        logging.warning(
            "%s: no more events are written there (%s); the run goes on",
            self._folder / name,
            error.message.strip().splitlines()[0],
        )


def _hparams(config: Any) -> dict[str, bool | int | float | str]:
    """Settings that are given, or have a default, as TensorBoard takes them."""
    return {
        name: value if isinstance(value, bool | int | float) else text(value)
        for name, value in _settings(config)
        if value not in (None, ())
    }


def _flags_table(config: Any) -> str:
    rows = [f"| --{name} | {text(value)} |" for name, value in _settings(config)]
    return "\n".join(["| flag | value |", "| --- | --- |", *rows])


def _settings(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields name and value of each setting, of the records within, too."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _settings(value)
        else:
            yield field.name, value


def format_score(score: float | None) -> str:
    """A fraction in percent, as the table of scores has it."""
    return "-" if score is None else f"{100 * score:.2f} %"
