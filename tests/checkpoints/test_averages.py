"""Where a run kept moving averages, readers take those for the weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints import tf1
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.checkpoints.reader import open_checkpoint


def variables(**values):
    return {
        name.replace("__", "/"): keras.Variable(np.full(3, value, np.float32))
        for name, value in values.items()
    }


@pytest.fixture
def run(tmp_path):
    """`b/gamma` has an average, `b/mean` has none."""
    state = {
        "weights": variables(b__gamma=1.0, b__mean=2.0),
        "slots": variables(b__gamma__Momentum=3.0),
        "averages": variables(b__gamma=4.0),
        "counters": {"global_step": keras.Variable(9, dtype="int64")},
    }
    CheckpointManager(tmp_path / "run", state, keep=1).save(9)
    return tmp_path / "run"


def test_averages_are_the_weights(run, caplog):
    stored = open_checkpoint(str(run))
    assert stored.averaged == 1
    assert stored.shapes == {"b/gamma": (3,), "b/mean": (3,)}
    found = stored.values(["b/gamma", "b/mean"])
    assert [float(found[name][0]) for name in ("b/gamma", "b/mean")] == [4.0, 2.0]
    assert "model.ckpt-9: 1 weights are moving averages (--ema_decay)" in caplog.text


def test_a_run_without_averages_has_its_weights(tmp_path, caplog):
    state = {"weights": variables(b__gamma=1.0)}
    CheckpointManager(tmp_path, state, keep=1).save(9)
    stored = open_checkpoint(str(tmp_path))
    assert stored.averaged == 0
    assert stored.values(["b/gamma"])["b/gamma"][0] == 1.0
    assert "moving averages" not in caplog.text


def test_tensorflow_1_has_weights_and_averages_by_its_names(run, tmp_path):
    tf1.convert(str(run), str(tmp_path / "old" / "model.ckpt-9"))
    reader = tf.train.load_checkpoint(str(tmp_path / "old"))
    found = {
        name: float(np.ravel(reader.get_tensor(name))[0])
        for name in reader.get_variable_to_shape_map()
    }
    assert found == {
        "b/gamma": 1.0,
        "b/gamma/ExponentialMovingAverage": 4.0,
        "b/gamma/Momentum": 3.0,
        "b/mean": 2.0,
        "global_step": 9.0,
    }
