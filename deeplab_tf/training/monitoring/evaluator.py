"""Evaluation while a network trains, on the same devices."""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from deeplab_tf import console
from deeplab_tf.checkpoints import best_metric
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import corrupt_records
from deeplab_tf.data.pipeline import Sample
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import metrics, report
from deeplab_tf.evaluation.boundary import BoundaryIou
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.prediction.predictor import Predictor


class Evaluator:
    """Scores of a network on a split: those of `eval.py`, at one scale.

    It predicts with a network of its own, in the form that predicts and in float32,
    which takes the weights at each evaluation: the one that learns is left alone.

    Attributes:
        records: Of the split.

    Args:
        config: Of the training.
        spec: What the labels mean.
        records: Of the split.
        strategy: On which devices. Each takes an image at a time; of several machines,
            each reads its part.

    Attributes:
        confusion: Of the last evaluation.
    """

    def __init__(
        self,
        config: TrainConfig,
        spec: DatasetSpec,
        records: Records,
        strategy: tf.distribute.Strategy,
    ) -> None:
        self.records, self._strategy = records, strategy
        self._split = config.watch.eval_split
        with strategy.scope(), _keep_random_state(), _float32():
            model = build(config.model, spec.num_classes)
        self._predictor = Predictor(
            model=model,
            config=config.model,
            spec=spec,
            resize=config.compatibility.resize(config.resize),
            crop_size=config.augment.train_crop_size,
        )
        self.confusion = Confusion(spec)
        self._needs_boundary = config.watch.best_metric == best_metric.BOUNDARY
        self._context = tf.distribute.InputContext()
        self._batches = strategy.distribute_datasets_from_function(self._open)

    def _open(self, context: tf.distribute.InputContext) -> tf.data.Dataset:
        """This machine's images, one a batch, then blank ones for the last step."""
        self._context = context
        images = self._predictor.split_batches(self.records, 1, context)
        size = self._predictor.padded_size((1, 1))
        blank = _blank(size, self._predictor.spec.ignore_label)
        blanks = tf.data.Dataset.from_tensors(blank).repeat()
        images = images.map(_without_names).concatenate(blanks)
        return images.take(self._steps * self._replicas)

    @property
    def _replicas(self) -> int:
        """Devices of this machine."""
        return self._context.num_replicas_in_sync // self._context.num_input_pipelines

    @property
    def _steps(self) -> int:
        """The same on every machine."""
        return -(-self.records.count() // self._context.num_replicas_in_sync)

    def evaluate(
        self,
        weights: Mapping[str, Any],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any] | None:
        """Scores as in `metrics.json`, over every image of the split once.

        Warns where there is none, as no pixel counts.

        Args:
            weights: Of the network, by official name; averages, if there are any.
            should_stop: Asked before each step, of one machine.

        Returns:
            None if it was stopped.

        Raises:
            InputError: A record cannot be read, or its label is of other classes.
        """
        for name, weight in weights_by_name(self._predictor.model).items():
            weight.assign(weights[name].numpy())
        counts = [np.zeros(self._num_counts, np.int64)] * self._replicas
        batches = iter(self._batches)
        with corrupt_records.translate_read_errors(self.records), self._bar() as bar:
            for step in range(self._steps):
                if self._context.num_input_pipelines == 1 and should_stop():
                    return None
                counts = list(map(np.add, counts, self._count(batches, step)))
                bar.update(self._context.num_replicas_in_sync)
        total = self._sum(counts)
        self.confusion = confusion = self._confusion(total)
        scores = report.summary(confusion)
        if self._needs_boundary:
            boundary = self._boundary()
            boundary.intersection, boundary.union = np.split(total[self._size :], 2)
            scores["boundary_miou"] = metrics.number(boundary.miou)
        if why := report.why_no_score(confusion):
            logging.warning("--eval_split=%s: %s", self._split, why)
            return scores
        logging.info(report.table(confusion.matrix, confusion.spec))
        report.warn_of_collapse(confusion.matrix, confusion.spec)
        return scores

    @property
    def _size(self) -> int:
        """Of the counts of a confusion matrix, and of images."""
        return self._predictor.spec.num_classes**2 + 1

    @property
    def _num_counts(self) -> int:
        """With those of the bands along boundaries, if these are asked for."""
        bands = 2 * self._predictor.spec.num_classes
        return self._size + (bands if self._needs_boundary else 0)

    def _boundary(self) -> BoundaryIou:
        spec = self._predictor.spec
        return BoundaryIou(spec.num_classes, spec.ignore_label)

    def _bar(self) -> tqdm:
        total = self.records.count()
        logging.info("Evaluating %d images", total)
        return console.bar(total=total, unit="image", leave=False)

    def _count(self, batches: Iterator, step: int) -> Iterator[np.ndarray]:
        """Yields, for each device, pixels by true and predicted class, and images.

        And then, where they are asked for, pixels of the bands along boundaries.
        """
        spec = self._predictor.spec
        results = map(self._strategy.experimental_local_results, self._predict(batches))
        for replica, each in enumerate(zip(*results, strict=True)):
            classes, label, height, width = (values.numpy() for values in each)
            try:
                matrix = metrics.confusion_matrix(
                    label[..., 0], classes, spec.num_classes, spec.ignore_label
                )
            except ValueError as error:
                where = self._where(step * self._replicas + replica)
                raise InputError(
                    f"{where}: of its label, {error}; --validate_labels=full says what "
                    "would do"
                ) from None
            counts = np.append(matrix, np.sum(height > 0))
            if self._needs_boundary:
                boundary = self._boundary()
                if height[0]:  # No blank.
                    image = 0, slice(height[0]), slice(width[0])
                    boundary.add(label[..., 0][image], classes[image])
                counts = np.r_[counts, boundary.intersection, boundary.union]
            yield counts

    def _where(self, number: int) -> str:
        """Which record an image of this machine is."""
        context = self._context
        return self.records.where(
            number * context.num_input_pipelines + context.input_pipeline_id
        )

    @tf.function(autograph=False)
    def _predict(self, batches: Iterator) -> tuple[tf.Tensor, ...]:
        batch = next(batches)
        classes = self._strategy.run(
            lambda images: self._predictor.predict_padded(images, output="classes")[0],
            (batch["image"],),
        )
        return classes, batch["label"], batch["height"], batch["width"]

    def _sum(self, counts: list[np.ndarray]) -> np.ndarray:
        """What all devices of all machines counted."""
        total = np.sum(counts, axis=0)
        if self._context.num_input_pipelines > 1:
            # Its first device brings what a machine counted, the others bring nothing.
            values = self._strategy.experimental_distribute_values_from_function(
                lambda context: tf.constant(
                    total * (context.replica_id_in_sync_group % len(counts) == 0)
                )
            )
            total = self._strategy.reduce("SUM", values, axis=None).numpy()
        return total

    def _confusion(self, counts: np.ndarray) -> Confusion:
        confusion = Confusion(self._predictor.spec)
        pixels = counts[: self._size - 1]
        confusion.matrix += pixels.reshape(confusion.matrix.shape)
        confusion.num_images = int(counts[self._size - 1])
        return confusion


def _without_names(batch: Sample) -> Sample:
    """Text stays on the host."""
    return {name: batch[name] for name in ("image", "label", "height", "width")}


def _blank(size: tf.Tensor, ignore_label: int) -> Sample:
    """A batch of one image of no height, of which no pixel counts."""
    shape = tf.concat([[1], size, [1]], 0)
    return {
        "image": tf.zeros(tf.concat([[1], size, [3]], 0)),
        "label": tf.fill(shape, ignore_label),
        "height": tf.zeros(1, tf.int32),
        "width": tf.zeros(1, tf.int32),
    }


@contextlib.contextmanager
def _keep_random_state() -> Iterator[None]:
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
