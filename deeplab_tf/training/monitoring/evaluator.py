"""Evaluation while a network trains, on the same devices, and early stopping."""

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
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import corrupt_records
from deeplab_tf.data.pipeline import Sample
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import metrics, report
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
        size = self._predictor.spec.num_classes**2 + 1
        counts = [np.zeros(size, np.int64)] * self._replicas
        batches = iter(self._batches)
        with corrupt_records.translate_read_errors(self.records), self._bar() as bar:
            for step in range(self._steps):
                if self._context.num_input_pipelines == 1 and should_stop():
                    return None
                counts = list(map(np.add, counts, self._count(batches, step)))
                bar.update(self._context.num_replicas_in_sync)
        self.confusion = confusion = self._sum(counts)
        if why := report.why_no_score(confusion):
            logging.warning("--eval_split=%s: %s", self._split, why)
            return report.summary(confusion)
        logging.info(report.table(confusion.matrix, confusion.spec))
        report.warn_of_collapse(confusion.matrix, confusion.spec)
        return report.summary(confusion)

    def _bar(self) -> tqdm:
        total = self.records.count()
        logging.info("Evaluating %d images", total)
        return console.bar(total=total, unit="image", leave=False)

    def _count(self, batches: Iterator, step: int) -> Iterator[np.ndarray]:
        """Yields, for each device, pixels by true and predicted class, and images."""
        spec = self._predictor.spec
        results = map(self._strategy.experimental_local_results, self._predict(batches))
        for replica, each in enumerate(zip(*results, strict=True)):
            classes, label, height = (values.numpy() for values in each)
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
            yield np.append(matrix, np.sum(height > 0))

    def _where(self, number: int) -> str:
        """Which record an image of this machine is."""
        context = self._context
        return self.records.where(
            number * context.num_input_pipelines + context.input_pipeline_id
        )

    @tf.function(autograph=False)
    def _predict(self, batches: Iterator) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        batch = next(batches)
        classes = self._strategy.run(
            lambda images: self._predictor.predict_padded(images, output="classes")[0],
            (batch["image"],),
        )
        return classes, batch["label"], batch["height"]

    def _sum(self, counts: list[np.ndarray]) -> Confusion:
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
        confusion = Confusion(self._predictor.spec)
        confusion.matrix += total[:-1].reshape(confusion.matrix.shape)
        confusion.num_images = int(total[-1])
        return confusion


def _without_names(batch: Sample) -> Sample:
    """Text stays on the host."""
    return {name: batch[name] for name in ("image", "label", "height")}


def _blank(size: tf.Tensor, ignore_label: int) -> Sample:
    """A batch of one image of no height, of which no pixel counts."""
    shape = tf.concat([[1], size, [1]], 0)
    return {
        "image": tf.zeros(tf.concat([[1], size, [3]], 0)),
        "label": tf.fill(shape, ignore_label),
        "height": tf.zeros(1, tf.int32),
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


def best(scores: Mapping[int, float | None]) -> tuple[int, float] | None:
    """Step and mIoU of the best evaluation, of equal ones the first; None without any.

    Args:
        scores: Step -> mIoU; None where no pixel counted, which is no score.
    """
    known = _known(scores)
    if not known:
        return None
    step = max(known, key=lambda step: known[step])
    return step, known[step]


def is_out_of_patience(scores: Mapping[int, float | None], patience: int) -> bool:
    """Early stopping: whether so many evaluations came after the best one.

    Never with a patience of 0, nor by evaluations without a score. It follows from the
    scores alone: a run that goes on decides as one that did not stop.
    """
    top = best(scores)
    if not (patience and top):
        return False
    return sum(later > top[0] for later in _known(scores)) >= patience


def _known(scores: Mapping[int, float | None]) -> dict[int, float]:
    """Step -> mIoU of the evaluations that have one, in the order of the steps."""
    return {step: miou for step, miou in sorted(scores.items()) if miou is not None}
