"""The learning rate of each step, and how many paths it drops."""

import keras
import pytest
import tensorflow as tf

from deeplab_tf.config import DataConfig, OptimizerConfig, TrainConfig
from deeplab_tf.training import schedules
from deeplab_tf.training.schedules import LearningRate
from tests.recorded import golden

FIELDS = set(OptimizerConfig.__dataclass_fields__)
CASES = {
    name: case
    for name, case in golden("misc_learning_rate.json").items()
    # The flags of train.py reach these; a linear slow start and cosine they do not.
    if case["args"]["learning_policy"] in ("poly", "step")
    and case["args"]["slow_start_burnin_type"] == "none"
}


@pytest.mark.golden
@pytest.mark.parametrize("name", CASES)
def test_rates_are_the_official_ones(name):
    case = CASES[name]
    given = {key: value for key, value in case["args"].items() if key in FIELDS}
    rate = LearningRate(OptimizerConfig(**given))
    for step, expected in zip(case["steps"], case["lr"], strict=True):
        found = float(rate(tf.constant(step, tf.int64)))
        assert found == pytest.approx(expected, rel=2e-6, abs=1e-8), step


def test_poly_halves_at_half_the_way_with_power_one():
    config = OptimizerConfig(
        base_learning_rate=0.2, learning_power=1.0, training_number_of_steps=100
    )
    rate = LearningRate(config)
    assert [float(rate(tf.constant(s))) for s in (0, 50, 100, 200)] == pytest.approx(
        [0.2, 0.1, 0.0, 0.0]
    )


def test_step_falls_by_its_factor_at_its_interval():
    config = OptimizerConfig(
        learning_policy="step",
        base_learning_rate=1.0,
        learning_rate_decay_step=10,
        learning_rate_decay_factor=0.5,
    )
    rate = LearningRate(config)
    assert [float(rate(tf.constant(s))) for s in (0, 9, 10, 25)] == [1, 1, 0.5, 0.25]


def test_the_rate_of_adam_is_constant():
    rate = LearningRate(OptimizerConfig(optimizer="adam", adam_learning_rate=0.01))
    assert float(rate(tf.constant(5))) == float(rate(tf.constant(20000)))


def test_paths_drop_more_with_every_step_within_one_graph():
    config = TrainConfig(
        train_logdir="run",
        data=DataConfig(dataset_dir="records"),
        optimizer=OptimizerConfig(training_number_of_steps=8),
        drop_path_keep_prob=0.75,
    )
    step = keras.Variable(0, dtype="int64", trainable=False)
    found = schedules.dropping(config, step)
    progress = tf.function(found.progress)
    assert found.rate == 0.25
    shares = []
    for number in (0, 2, 8, 9):
        step.assign(number)
        shares.append(float(progress()))
    assert shares == [0, 0.25, 1, 1]
