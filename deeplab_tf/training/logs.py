"""What a run says while it goes: a bar or lines, and event files for TensorBoard."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from deeplab_tf.data.spec import DatasetSpec


class Logs:
    """Console and event files of a run; a context, closed at its end.

    Args:
        folder: Of the event files.
        first: Step from which the run goes on.
        total: Steps of the whole run.
        batch_size: Images a step.
    """

    def __init__(
        self, folder: Path, *, first: int, total: int, batch_size: int
    ) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))
        self._bar = tqdm(
            total=total,
            initial=first,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        self._total, self._batch_size = total, batch_size
        self._since = time.monotonic()
        self._steps = 0
        self._sums: dict[str, float] = {}

    def __enter__(self) -> "Logs":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        self._writer.close()

    def add(self, metrics: Mapping[str, Sequence[float]]) -> None:
        """Takes note of the metrics of some steps."""
        steps = len(metrics["loss"])
        self._steps += steps
        self._bar.update(steps)
        for name, values in metrics.items():
            self._sums[name] = sum(values, self._sums.get(name, 0.0))

    def tell(self, step: int, rate: float) -> None:
        """Tells of the steps since the last call, now at `step` and a learning rate."""
        metrics = {name: value / self._steps for name, value in self._sums.items()}
        speed = self._steps / max(time.monotonic() - self._since, 1e-9)
        self._steps, self._sums, self._since = 0, {}, time.monotonic()
        self._bar.set_postfix(loss=f"{metrics['loss']:.3f}", rate=f"{rate:.2g}")
        if self._bar.disable:
            logging.info(
                "step %d/%d  loss %.4f  rate %.3g  %.1f images/s  %s left",
                step,
                self._total,
                metrics["loss"],
                rate,
                speed * self._batch_size,
                tqdm.format_interval((self._total - step) / speed),
            )
        with self._writer.as_default(step):
            tf.summary.scalar("learning_rate", rate)
            tf.summary.scalar("Losses/semantic", metrics["loss"])
            tf.summary.scalar("Losses/regularization", metrics["regularization"])
            tf.summary.scalar("total_loss", metrics["loss"] + metrics["regularization"])
            tf.summary.scalar("images_per_second", speed * self._batch_size)

    def samples(
        self,
        step: int,
        batch: Mapping[str, tf.Tensor],
        classes: np.ndarray,
        spec: DatasetSpec,
    ) -> None:
        """Shows images beside their labels and predictions, in the data set's colours.

        Args:
            step: Now.
            batch: "image", RGB in 0...255, `[N, H, W, 3]`; "label", `[N, H, W, 1]`.
            classes: Predicted ids, `[N, H, W]`.
            spec: Colours.
        """
        colors = np.zeros((256, 3), np.uint8)
        colors[: spec.num_classes] = spec.palette
        with self._writer.as_default(step):
            tf.summary.image("samples/image", tf.cast(batch["image"], tf.uint8))
            tf.summary.image("samples/label", colors[batch["label"].numpy()[..., 0]])
            tf.summary.image("samples/semantic", colors[classes])
