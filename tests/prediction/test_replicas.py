"""Several devices predict what one does, to the bit, and in the order of one."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import DataConfig, ModelConfig, TfdsConfig, VisConfig
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import InputError, OutOfMemory
from deeplab_tf.evaluation import csv_tables
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.prediction import replicas
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.prediction.replicas import Replica
from deeplab_tf.runtime import Tiles
from deeplab_tf.visualizing.run import visualize
from tests.evaluation.test_run import config
from tests.models import networks
from tests.visualizing.test_video import write_odd_video

DEVICES = ["CPU:0", "CPU:1"]


@pytest.fixture
def predictor():
    """Of one convolution at stride 16."""
    images = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(6, 3, 16, "same")(images / 255.0)
    model = keras.Model(images, logits)
    return Predictor(
        model=model, config=ModelConfig(), spec=shapes_spec.SPEC, crop_size=(65, 65)
    )


@pytest.fixture(scope="module")
def records(shapes):
    return open_split(DataConfig(dataset_dir=str(shapes)), TfdsConfig(), "val")[1]


@pytest.fixture
def devices_used(monkeypatch):
    """Those on which results lie, in the order in which these came."""
    used, run = [], Replica.run

    def spy(self, graph, images):
        results = run(self, graph, images)
        used.append({each.device.rpartition("device:")[2] for each in results})
        return results

    monkeypatch.setattr(Replica, "run", spy)
    return used


@pytest.fixture
def gpus(monkeypatch):
    """The two devices of the CPU are taken for GPUs."""
    cpus = tf.config.list_logical_devices("CPU")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: cpus)


def assert_same(several, one):
    assert len(several) == len(one)
    for a, b in zip(several, one, strict=True):
        for field in dataclasses.fields(b):
            np.testing.assert_array_equal(
                getattr(a, field.name), getattr(b, field.name)
            )


@pytest.mark.parametrize(
    ("options", "graphs"),
    [
        ({}, 1),
        ({"batch_size": 3, "scales": (0.5, 1.0), "flip": True, "output": "logits"}, 1),
        # Some images are cut, the others are not.
        ({"output": "confidence", "tiles": Tiles((85, 65)), "batch_size": 2}, 2),
    ],
)
def test_a_split_is_predicted_as_by_one_device(
    predictor, records, devices_used, options, graphs
):
    one = list(predictor.predict_split(records, **options))
    assert not devices_used
    before = predictor._graphs.cache_info().misses
    several = list(predictor.predict_split(records, devices=DEVICES, **options))
    assert_same(several, one)
    assert {frozenset(used) for used in devices_used} == {
        frozenset({"CPU:0"}),
        frozenset({"CPU:1"}),
    }
    # Of all devices, each graph is traced once.
    assert predictor._graphs.cache_info().misses - before <= graphs


def test_photographs_of_any_size_are_predicted_as_by_one_device(
    predictor, rng, devices_used
):
    sizes = [(40, 65), (90, 20), (66, 30), (9, 9), (70, 80)]
    images = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    several = list(predictor.predict_images(iter(images), devices=DEVICES))
    assert len(devices_used) == len(images)
    assert_same(several, [predictor.predict(image) for image in images])


def test_weights_are_those_of_the_moment(predictor, records):
    """They are copied when a split begins, and not before."""
    _, bias = predictor.model.weights
    list(predictor.predict_split(records, devices=DEVICES))
    bias.assign(np.arange(6) * 99)
    moved = list(predictor.predict_split(records))
    assert_same(list(predictor.predict_split(records, devices=DEVICES)), moved)
    assert {int(each.classes.min()) for each in moved} == {5}


def test_a_mistake_comes_behind_the_images_before_it(predictor, rng):
    images = [rng.integers(0, 256, (40, 65, 3)).astype(np.uint8) for _ in range(4)]
    images[2] = images[2].astype(np.float32)
    predicted = predictor.predict_images(iter(images), devices=DEVICES)
    assert next(predicted).classes.shape == next(predicted).classes.shape == (40, 65)
    with pytest.raises(ValueError, match=r"^image: uint8 \[H, W, 3\] is needed"):
        next(predicted)


def test_shortage_of_memory_is_told_as_of_one_device(predictor, records, monkeypatch):
    def short(self, graph, images):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    monkeypatch.setattr(Replica, "run", short)
    small = dataclasses.replace(predictor, crop_size=(33, 33))
    with pytest.raises(OutOfMemory, match=r"out of memory: an image of .*--tile=33"):
        list(small.predict_split(records, devices=DEVICES))


def test_large_images_are_warned_of_once(predictor, records, caplog):
    small = dataclasses.replace(predictor, trained_size=(20, 30))
    list(small.predict_split(records, devices=DEVICES))
    assert caplog.text.count("more than twice the largest") == 1


@pytest.mark.nightly
@pytest.mark.parametrize("name", networks.configs())
def test_every_network_takes_all_of_its_weights_from_the_replica(name, rng):
    model = networks.make_with_rule_weights(networks.configs()[name]).model
    images = tf.constant(rng.uniform(0, 255, (1, 33, 65, 3)), tf.float32)
    expected = model(images, training=False).numpy()
    (replica,) = replicas.replicate(model, ["CPU:1"])
    spec = tf.TensorSpec((None, None, None, 3), tf.float32)
    graph = replicas.trace(model, lambda x: (model(x, training=False),), spec)
    assert not graph.captured_inputs
    (logits,) = replica.run(graph, images)
    assert logits.device.endswith("CPU:1")
    # Of CRF-RNN, whose sums have no order of their own.
    rounding = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=rounding)


def contents(folder, *patterns):
    paths = [path for pattern in patterns for path in sorted(folder.rglob(pattern))]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


def test_eval_writes_the_same_bytes_on_two_gpus(run, shapes, tmp_path, caplog, request):
    evaluate(config(run, shapes, tmp_path / "one", calibration=True))
    assert "Predicting on one CPU, 1 image at a time" in caplog.messages
    request.getfixturevalue("gpus")
    used = request.getfixturevalue("devices_used")
    evaluate(config(run, shapes, tmp_path / "two", calibration=True))
    assert "Predicting on 2 GPUs, each 1 image at a time" in caplog.messages
    assert len(used) == 7
    one = contents(tmp_path / "one", "*.csv", "metrics.json")
    assert Path(csv_tables.PER_IMAGE) in one
    assert contents(tmp_path / "two", "*.csv", "metrics.json") == one


@pytest.mark.nightly
def test_vis_writes_the_same_bytes_on_two_gpus(run, shapes, tmp_path, request):
    def settings(name, **source):
        return VisConfig(
            checkpoint_dir=str(run), vis_logdir=str(tmp_path / name), **source
        )

    data = DataConfig(dataset_dir=str(shapes))
    photographs = str(shapes / "images" / "val")
    video = str(write_odd_video(tmp_path / "clip.avi", 5))
    visualize(settings("one", data=data))
    visualize(settings("one_photographs", image=photographs))
    visualize(settings("one_video", image=video, also_save_raw_predictions=True))
    request.getfixturevalue("gpus")
    used = request.getfixturevalue("devices_used")
    visualize(settings("two", data=data))
    visualize(settings("two_photographs", image=photographs))
    visualize(settings("two_video", image=video, also_save_raw_predictions=True))
    assert len(used) == 7 + 7 + 5
    for kind in ("", "_photographs"):
        one = contents(tmp_path / f"one{kind}", "*.png")
        assert len(one) == 7 * 3 + 1
        assert contents(tmp_path / f"two{kind}", "*.png") == one
    one = contents(tmp_path / "one_video", "*.png")
    assert len(one) == 5 + 1
    assert contents(tmp_path / "two_video", "*.png") == one


def test_a_record_that_is_damaged_is_named(predictor, shapes, tmp_path):
    """As on one device, by the thread that reads."""
    for path in shapes.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (shard, *_) = sorted(tmp_path.glob("val-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    _, damaged = open_split(DataConfig(dataset_dir=str(tmp_path)), TfdsConfig(), "val")
    with pytest.raises(InputError, match=r"record \d+ .*damaged"):
        list(predictor.predict_split(damaged, devices=DEVICES))


@pytest.mark.parametrize(
    ("count", "batch_size", "line"),
    [
        (0, 1, "Predicting on one CPU, 1 image at a time"),
        (1, 8, "Predicting on one GPU, 8 images at a time"),
        (4, 8, "Predicting on 4 GPUs, each 8 images at a time"),
    ],
)
def test_a_line_tells_on_what_is_predicted(
    monkeypatch, caplog, count, batch_size, line
):
    gpus = [tf.config.LogicalDevice(f"/device:GPU:{i}", "GPU") for i in range(count)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)
    assert replicas.visible_gpus(batch_size) == [gpu.name for gpu in gpus]
    assert caplog.messages == [line]
