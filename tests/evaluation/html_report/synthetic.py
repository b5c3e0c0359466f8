"""Predictions that no network made, and the report of them."""

import dataclasses
import json

import numpy as np

from deeplab_tf.config import DataConfig, EvalConfig, ModelConfig
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.evaluation.html_report import facts, write
from deeplab_tf.evaluation.scores import Counter
from deeplab_tf.prediction.predictions import Prediction


def spec_of(count, names=None):
    names = names or [f"class {i}" for i in range(count)]
    return DatasetSpec(
        name="own", classes=tuple(names), palette=distinct_colors(len(names))
    )


def prediction(label, classes=None, *, name="image", confidence=0.9):
    label = np.asarray(label, np.uint8)
    classes = label if classes is None else np.asarray(classes)
    size = label.shape
    pixels = np.random.default_rng(label.size).integers(0, 256, (*size, 3))
    return Prediction(
        image=pixels.astype(np.uint8),
        classes=np.where(classes == 255, 0, classes).astype(np.int32),
        confidence=np.full(size, confidence, np.float32),
        name=name,
        label=label,
    )


def noisy(spec, count, *, size=(40, 56), seed=0, wrong=0.2):
    """Predictions of blocks of 8 pixels, of which a share is wrong."""
    rng = np.random.default_rng(seed)
    rows, columns = size[0] // 8, size[1] // 8

    def blocks(values):
        return values.repeat(8, axis=0).repeat(8, axis=1)

    for i in range(count):
        label = rng.integers(0, spec.num_classes, (rows, columns))
        other = rng.integers(0, spec.num_classes, (rows, columns))
        classes = np.where(rng.random((rows, columns)) < wrong, other, label)
        label = blocks(label)
        label[:2] = spec.ignore_label
        yield prediction(label, blocks(classes), name=f"image_{i:03d}")


def with_probabilities(each, count):
    """The rest is shared by all other classes."""
    values = np.repeat((1 - each.confidence[..., None]) / (count - 1), count, axis=-1)
    np.put_along_axis(
        values, each.classes[..., None], each.confidence[..., None], axis=-1
    )
    return dataclasses.replace(each, probabilities=values)


def evaluate(spec, predictions, observers=()):
    """The evaluation; observers see each prediction."""
    counter = Counter(spec, (2, 4), boundary=True, calibration=True)
    for each in predictions:
        counts = counter.add(each, each)
        each = with_probabilities(each, spec.num_classes) if observers else each
        for observer in observers:
            observer(each, each.classes, counts)
    return counter.evaluation()


def observe(spec, predictions):
    """The evaluation, and what the report's observers saw."""
    observers = write.Observers(spec)
    return evaluate(spec, predictions, [*observers]), observers


def subject(**changes):
    config = EvalConfig(
        checkpoint_dir="run", eval_logdir="eval", data=DataConfig(dataset_dir="records")
    )
    about = {
        "split": "val",
        "records": "records",
        "checkpoint": "run/model.ckpt-100",
        "step": 100,
        "command": "eval.py --report",
        "date": "2026-01-02T03:04+00:00",
        "settings": dict(facts.flat_settings(config)),
        "network": dict(facts.flat_settings(ModelConfig())),
        "training": {"base_learning_rate": "0.1"},
        "environment": {"deeplab_tf": "1.0 abc"},
    }
    return facts.Subject(**about | changes)


def report(spec, predictions, **changes):
    """Numbers as `report.json` has them, and the page."""
    evaluation, observers = observe(spec, predictions)
    about = subject(**changes)
    numbers = facts.gather(
        evaluation, observers.selection, observers.label_errors, about
    )
    page = write.render(numbers, evaluation, observers, about)
    return json.loads(write.to_json(numbers)), page
