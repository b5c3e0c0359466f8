"""Scores while a network trains: those of eval.py, and nothing else is changed."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints import run_folder
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    EvalConfig,
    ModelConfig,
    TrainConfig,
    WatchConfig,
)
from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.monitoring.evaluator import Evaluator
from tests.recorded import TINY, assign_rule_weights

SPEC = shapes_spec.SPEC
NARROW = ModelConfig(architecture="deeplab_v1", depth_multiplier=1 / 64)
DEFAULT = tf.distribute.get_strategy()


def config(shapes, model=TINY, **changes):
    settings = {
        "train_logdir": "run",
        "model": model,
        "data": DataConfig(dataset_dir=str(shapes)),
        "augment": AugmentConfig(train_crop_size=(49, 49)),
    }
    return TrainConfig(**(settings | changes))


def scorer(shapes, strategy=DEFAULT, **changes):
    settings = config(shapes, **changes)
    _, records = open_split(settings.data, settings.tfds, "val")
    return Evaluator(settings, SPEC, records, strategy)


@pytest.fixture(scope="module")
def network():
    """Images are larger than its crop of 49, or smaller, and scores are no zeros."""
    model = build(TINY, 6)
    assign_rule_weights(model, 1.3)
    return model


@pytest.fixture(scope="module")
def weights(network):
    return weights_by_name(network)


@pytest.fixture(scope="module")
def expected(weights, shapes, tmp_path_factory):
    """What eval.py says of these weights."""
    folder = tmp_path_factory.mktemp("run")
    settings = config(shapes, train_logdir=str(folder))
    run_folder.write(folder, settings, SPEC)
    CheckpointManager(folder, {"weights": weights}, keep=1).save(1)
    return evaluate(
        EvalConfig(
            checkpoint_dir=str(folder),
            eval_logdir=str(folder / "eval"),
            data=DataConfig(dataset_dir=str(shapes)),
        )
    )


@pytest.fixture(scope="module")
def made(shapes):
    return scorer(shapes)


def assert_equal(found, expected):
    assert found["num_images"] == expected["num_images"] == 7
    assert found["miou"] == pytest.approx(expected["miou"], abs=1e-9)
    # eval.py has more of each class.
    assert found.items() <= expected.items()


def test_scores_are_those_of_eval_and_made_by_one_function(
    made, weights, expected, caplog
):
    assert_equal(made.evaluate(weights), expected)
    other = {n: tf.Variable(0.5 * w.numpy()) for n, w in weights.items()}
    assert made.evaluate(other)["miou"] != expected["miou"]
    assert_equal(made.evaluate(weights), expected)
    assert made._predict.experimental_get_tracing_count() == 1
    assert "mIoU " in caplog.text


def test_seven_images_on_two_devices_count_once_each(
    shapes, weights, expected, two_devices
):
    assert_equal(scorer(shapes, two_devices).evaluate(weights), expected)


def test_workers_share_the_images_out(made, shapes, weights, expected, monkeypatch):
    """Of two, each counts its part; `strategy.reduce` adds them up."""
    found, summed = [], made._sum
    monkeypatch.setattr(
        made, "_sum", lambda parts: found.append(summed(parts)) or found[-1]
    )
    for worker in range(2):
        context = tf.distribute.InputContext(2, worker, 2)
        monkeypatch.setattr(made, "_context", made._context)
        monkeypatch.setattr(made, "_batches", made._open(context))
        made.evaluate(weights)
    assert [each[-1] for each in found] == [4, 3]
    total = sum(found)[:-1].reshape(6, 6)
    union = total.sum(0) + total.sum(1) - np.diag(total)
    assert np.mean((np.diag(total) / union)[union > 0]) == pytest.approx(
        expected["miou"], abs=1e-9
    )


@pytest.mark.nightly
def test_boundaries_on_two_devices_are_those_of_eval(
    shapes, weights, expected, two_devices, tmp_path
):
    """Padding is no part of an image, whose border is a boundary."""
    watch = WatchConfig(eval_interval_steps=1, best_metric="boundary_iou")
    scores = scorer(shapes, two_devices, watch=watch).evaluate(weights)
    folder = tmp_path / "run"
    run_folder.write(folder, config(shapes), SPEC)
    CheckpointManager(folder, {"weights": weights}, keep=1).save(1)
    whole = evaluate(
        EvalConfig(
            checkpoint_dir=str(folder),
            eval_logdir=str(folder / "eval"),
            data=DataConfig(dataset_dir=str(shapes)),
            boundary_iou=True,
        )
    )
    assert scores["boundary_miou"] == whole["boundary_miou"] > 0
    assert scores["iou"] == expected["iou"]


def test_chance_and_precision_are_left_alone(shapes):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        before = random.getstate()
        made = scorer(shapes)
        assert random.getstate() == before
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    computed = {layer.compute_dtype for layer in made._predictor.model.layers}
    assert computed == {"float32"}


def test_what_learns_in_another_form_is_scored_in_that_which_predicts(shapes, rng):
    """DeepLab v1 strides in training alone: its logits are at another size."""
    learning = build(NARROW, 6, training_form=True)
    made = scorer(shapes, model=NARROW)
    assert made.evaluate(weights_by_name(learning))["num_images"] == 7
    predicting = build(NARROW, 6)
    for name, weight in weights_by_name(predicting).items():
        weight.assign(weights_by_name(learning)[name])
    image = rng.uniform(0, 255, (1, 49, 49, 3)).astype(np.float32)
    np.testing.assert_array_equal(made._predictor.model(image), predicting(image))
    assert learning(image).shape != predicting(image).shape


def test_a_stopped_evaluation_has_no_scores(made, weights):
    asked = iter([False, True])
    assert made.evaluate(weights, lambda: next(asked)) is None
    assert next(asked, "none left") == "none left"


def test_a_label_of_other_classes_names_its_record(shapes, tmp_path):
    SPEC.save(tmp_path)
    shards = tfrecord.find_shards(str(shapes), "val")
    records = [record for path in shards for record in tfrecord.read(path)]
    example = tf.train.Example.FromString(records[5])
    size = [
        example.features.feature[f"image/{side}"].int64_list.value[0]
        for side in ("height", "width")
    ]
    encoded = example.features.feature["image/segmentation/class/encoded"].bytes_list
    encoded.value[0] = image_files.png(np.full(size, 77, np.uint8))
    records[5] = example.SerializeToString()
    with tf.io.TFRecordWriter(str(tmp_path / "val-00000-of-00001.tfrecord")) as writer:
        for record in records:
            writer.write(record)
    with pytest.raises(InputError, match=r"record 5: of its label, ids \[77\] are no"):
        scorer(tmp_path, model=NARROW).evaluate(weights_by_name(build(NARROW, 6)))
