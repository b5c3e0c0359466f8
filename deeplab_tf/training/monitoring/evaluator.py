"""Evaluation while a network trains, on the same devices, and when to stop for it."""

import contextlib
import functools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from deeplab_tf.config import TrainConfig
from deeplab_tf.data import corrupt_records, pipeline, transforms
from deeplab_tf.data.pipeline import InputData, Sample
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import metrics, report
from deeplab_tf.evaluation.confusion import Counts
from deeplab_tf.models.build import build, find_backbone, multiple
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.prediction import test_time


class Scorer:
    """Scores of a network on a split: those of `eval.py`, at one scale.

    It has a network of its own, in the form that predicts and in float32, which takes
    the weights at each evaluation: nothing of the one that learns is touched.

    Args:
        config: Of the training.
        spec: What the labels mean.
        records: Of the split.
        strategy: On which devices. Each takes an image at a time; of several machines,
            each reads its part.
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: DatasetSpec,
        records: Records,
        strategy: tf.distribute.Strategy,
    ) -> None:
        self._spec, self._records, self._strategy = spec, records, strategy
        with strategy.scope(), _chance_as_it_was(), _float32():
            self._model = build(config.model, spec.num_classes)
        self._looks = test_time.Looks(
            upsample_logits=config.model.prediction_with_upsampled_logits,
            logits_stride=config.model.logits_stride,
        )
        self._context = tf.distribute.InputContext()
        self._batches = strategy.distribute_datasets_from_function(
            functools.partial(self._open, config)
        )

    def _open(
        self, config: TrainConfig, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """This machine's images, one a batch, then blank ones for the last step."""
        self._context = context
        crop_size, aligned = config.augment.train_crop_size, multiple(config.model)
        source = InputData(
            records=self._records,
            ignore_label=self._spec.ignore_label,
            mean_pixel=find_backbone(config.model).mean_pixel,
            resize=config.compatibility.resize(config.resize),
        )
        images = pipeline.evaluation_batches(
            source, 1, crop_size=crop_size, multiple=aligned, context=context
        ).map(_without_names)
        size = transforms.network_size((1, 1), crop_size=crop_size, multiple=aligned)
        blank = tf.data.Dataset.from_tensors(_blank(size, self._spec)).repeat()
        return images.concatenate(blank).take(self._steps * self._replicas)

    @property
    def _replicas(self) -> int:
        """Devices of this machine."""
        return self._context.num_replicas_in_sync // self._context.num_input_pipelines

    @property
    def _steps(self) -> int:
        """The same on every machine."""
        return -(-self._records.count() // self._context.num_replicas_in_sync)

    def scores(
        self,
        weights: Mapping[str, Any],
        stopped: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any] | None:
        """Scores as in `metrics.json`, over every image of the split once.

        Args:
            weights: Of the network, by official name; averages, if there are any.
            stopped: Asked before each step, of one machine.

        Returns:
            None if it was stopped.

        Raises:
            InputError: A record cannot be read, or its label is of other classes.
        """
        for name, weight in weights_by_name(self._model).items():
            weight.assign(weights[name].numpy())
        found = [np.zeros(self._spec.num_classes**2 + 1, np.int64)] * self._replicas
        batches = iter(self._batches)
        with corrupt_records.translate_read_errors(self._records), self._bar() as bar:
            for step in range(self._steps):
                if self._context.num_input_pipelines == 1 and stopped():
                    return None
                found = list(map(np.add, found, self._counted(batches, step)))
                bar.update(self._context.num_replicas_in_sync)
        counts = self._summed(found)
        logging.info("%s", report.table(counts.confusion, self._spec))
        report.warn_of_collapse(counts.confusion, self._spec)
        return report.summary(counts)

    def _bar(self) -> tqdm:
        total = self._records.count()
        logging.info("Evaluating %d images", total)
        return tqdm(total=total, unit="image", disable=None, leave=False)

    def _counted(self, batches: Iterator, step: int) -> Iterator[np.ndarray]:
        """Yields, for each device, pixels by true and predicted class, and images."""
        results = map(self._strategy.experimental_local_results, self._find(batches))
        for replica, each in enumerate(zip(*results, strict=True)):
            classes, label, height = (values.numpy() for values in each)
            try:
                confusion = metrics.confusion_matrix(
                    label[..., 0],
                    classes,
                    self._spec.num_classes,
                    self._spec.ignore_label,
                )
            except ValueError as error:
                where = self._where(step * self._replicas + replica)
                raise InputError(f"{where}: its label has {error}") from None
            yield np.append(confusion, np.sum(height > 0))

    def _where(self, number: int) -> str:
        """Which record an image of this machine is."""
        context = self._context
        return self._records.where(
            number * context.num_input_pipelines + context.input_pipeline_id
        )

    @tf.function
    def _find(self, batches: Iterator) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        batch = next(batches)
        classes = self._strategy.run(
            lambda image: test_time.predict(self._model, image, self._looks)[0],
            (batch["image"],),
        )
        return classes, batch["label"], batch["height"]

    def _summed(self, found: list[np.ndarray]) -> Counts:
        """What all devices of all machines counted."""
        total = np.sum(found, axis=0)
        if self._context.num_input_pipelines > 1:
            # Its first device brings what a machine counted, the others bring nothing.
            values = self._strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(
                    total * (context.replica_id_in_sync_group % len(found) == 0)
                )
            )
            total = self._strategy.reduce("SUM", values, axis=None).numpy()
        counts = Counts(self._spec)
        counts.confusion += total[:-1].reshape(counts.confusion.shape)
        counts.num_images = int(total[-1])
        return counts


def _without_names(batch: Sample) -> Sample:
    """Text stays on the host."""
    return {name: batch[name] for name in ("image", "label", "height")}


def _blank(size: tf.Tensor, spec: DatasetSpec) -> Sample:
    """A batch of one image of no height, of which no pixel counts."""
    shape = tf.concat([[1], size, [1]], 0)
    return {
        "image": tf.zeros(tf.concat([[1], size, [3]], 0)),
        "label": tf.fill(shape, spec.ignore_label),
        "height": tf.zeros(1, tf.int32),
    }


@contextlib.contextmanager
def _chance_as_it_was() -> Iterator[None]:
    """Initial values of a network draw their seeds from Python's generator."""
    before = random.getstate()
    try:
        yield
    finally:
        random.setstate(before)


@contextlib.contextmanager
def _float32() -> Iterator[None]:
    """Networks built within it compute in float32, as those of `eval.py` do."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def best(scores: Mapping[int, float | None]) -> tuple[int, float]:
    """Step and mIoU of the best evaluation, of equal ones the first.

    Args:
        scores: Step -> mIoU, at least one; None where no pixel counted.
    """
    known = {s: -1.0 if miou is None else miou for s, miou in sorted(scores.items())}
    step = max(known, key=lambda step: known[step])
    return step, known[step]


def ran_out(scores: Mapping[int, float | None], patience: int) -> bool:
    """Whether so many evaluations came after the best one; never with a patience of 0.

    It follows from the scores alone: a run that goes on decides as one that did not
    stop.
    """
    if not (patience and scores):
        return False
    step, _ = best(scores)
    return sum(later > step for later in scores) >= patience
