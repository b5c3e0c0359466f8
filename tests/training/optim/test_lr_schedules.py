"""The learning rate of each step, and how many paths it drops."""

import keras
import pytest
import tensorflow as tf

from deeplab_tf.config import OptimizerConfig
from deeplab_tf.training.optim import lr_schedules
from deeplab_tf.training.optim.lr_schedules import LearningRate
from tests.recorded import golden

FIELDS = set(OptimizerConfig.__dataclass_fields__)
CASES = {
    name: case
    for name, case in golden("misc_learning_rate.json").items()
    # A linear slow start is out of reach of the flags, the official ones too.
    if case["args"]["learning_policy"] in ("poly", "step", "cosine")
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


def rates(config, steps):
    rate = LearningRate(config)
    return [float(rate(tf.constant(step, tf.int64))) for step in steps]


# Of the published solvers. In float32, 1 - 89999 / 90000 is off by some permille.
@pytest.mark.parametrize(
    ("base", "total", "quarters", "last"),
    [
        (0.007, 30000, [0.007, 0.0054032265, 0.0037512071, 0.0020102221], 6.5416742e-7),
        (
            2.5e-4,
            20000,
            [2.5e-4, 1.9297238e-4, 1.3397168e-4, 7.1793647e-5],
            3.365217e-8,
        ),
        (1e-3, 20000, [1e-3, 7.7188951e-4, 5.3588673e-4, 2.8717459e-4], 1.3460866e-7),
        (0.01, 90000, [0.01, 0.0077188951, 0.0053588673, 0.0028717459], 3.4768163e-7),
    ],
)
def test_poly_falls_as_in_the_papers(base, total, quarters, last):
    config = OptimizerConfig(base_learning_rate=base, training_number_of_steps=total)
    found = rates(config, [i * total // 4 for i in range(4)])
    assert found == pytest.approx(quarters, rel=1e-6)
    assert rates(config, [total - 1]) == [pytest.approx(last, rel=5e-3)]


def test_step_falls_as_in_deeplab_v1():
    config = OptimizerConfig(learning_policy="step", base_learning_rate=1e-3)
    found = rates(config, (0, 1999, 2000, 3999, 4000, 5999))
    assert found == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5], rel=1e-5)


def test_inv_falls_as_in_caffe():
    config = OptimizerConfig(
        learning_policy="inv",
        base_learning_rate=0.01,
        learning_rate_gamma=1e-4,
        learning_power=0.75,
    )
    found = rates(config, (0, 10000, 100000))
    assert found == pytest.approx([0.01, 0.0059460356, 0.0016556003], rel=1e-6)


def test_multistep_falls_at_each_of_its_steps():
    config = OptimizerConfig(
        learning_policy="multistep",
        base_learning_rate=1.0,
        learning_rate_decay_factor=0.5,
        learning_rate_steps=(10, 15),
    )
    assert rates(config, (0, 9, 10, 14, 15, 999)) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_cosine_falls_along_half_a_wave_and_stays():
    config = OptimizerConfig(
        learning_policy="cosine",
        base_learning_rate=1.0,
        end_learning_rate=0.2,
        decay_steps=6,
        slow_start_step=1,
        slow_start_learning_rate=0.5,
    )
    # cos 60, 90 and 120 degrees: 1/2, 0, -1/2.
    expected = [0.5, 1.0, 0.8, 0.6, 0.4, 0.2, 0.2]
    assert rates(config, (0, 1, 3, 4, 5, 7, 99)) == pytest.approx(expected)


def test_the_rate_of_adamw_is_that_of_the_policy():
    config = OptimizerConfig(
        optimizer="adamw", learning_policy="fixed", base_learning_rate=0.125
    )
    assert rates(config, (0, 7)) == [0.125, 0.125]


def test_fixed_stays():
    config = OptimizerConfig(learning_policy="fixed", base_learning_rate=1e-10)
    assert rates(config, (0, 99999)) == pytest.approx([1e-10, 1e-10], rel=1e-6)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("fixed", [0.25, 0.25, 1.0, 1.0, 1.0]),
        ("inv", [0.25, 0.25, 1.0, 0.5, 0.2]),
        ("multistep", [0.25, 0.25, 1.0, 0.5, 0.5]),
    ],
)
def test_a_slow_start_comes_before_every_policy(policy, expected):
    config = OptimizerConfig(
        learning_policy=policy,
        base_learning_rate=1.0,
        slow_start_step=2,
        slow_start_learning_rate=0.25,
        learning_rate_decay_factor=0.5,
        learning_rate_steps=(1,),
        learning_rate_gamma=1.0,
        learning_power=1.0,
    )
    assert rates(config, (0, 1, 2, 3, 6)) == pytest.approx(expected)


def test_the_rate_of_adam_is_constant():
    rate = LearningRate(OptimizerConfig(optimizer="adam", adam_learning_rate=0.01))
    assert float(rate(tf.constant(5))) == float(rate(tf.constant(20000)))


def test_paths_drop_more_with_every_step_within_one_graph():
    step = keras.Variable(0, dtype="int64", trainable=False)
    found = lr_schedules.drop_path_schedule(0.75, step, 8)
    progress = tf.function(found.progress)
    assert found.rate == 0.25
    shares = []
    for number in (0, 2, 8, 9):
        step.assign(number)
        shares.append(float(progress()))
    assert shares == [0, 0.25, 1, 1]
