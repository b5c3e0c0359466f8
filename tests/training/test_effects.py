"""No flag of optimizer or loss is accepted without effect: it changes, or is told."""

import dataclasses

import pytest
import tensorflow as tf

from deeplab_tf.config import LossConfig, OptimizerConfig, effects
from deeplab_tf.config.optimizer_and_loss import LOSSES as LOSS_TABLE
from deeplab_tf.config.optimizer_and_loss import OPTIMIZERS, POLICIES
from deeplab_tf.errors import FlagError
from deeplab_tf.training.losses import total
from deeplab_tf.training.optim import gradients
from tests.training.losses.test_total import spec

RULES = {
    "momentum": 0.5,
    "adam_learning_rate": 0.5,
    "adam_epsilon": 0.5,
    "learning_policy": "fixed",
    "base_learning_rate": 0.5,
    "learning_power": 0.5,
    "end_learning_rate": 0.05,
    "decay_steps": 5.0,
    "learning_rate_decay_factor": 0.5,
    "learning_rate_decay_step": 3,
    "learning_rate_steps": (2, 3),
    "learning_rate_gamma": 0.5,
    "slow_start_step": 4,
    "slow_start_learning_rate": 0.5,
}
LOSSES = {
    "label_smoothing": 0.1,
    "label_weights": (1.0, 2.0, 3.0),
    "loss_normalization": "images",
    "focal_gamma": 1.0,
    "top_k_percent_pixels": 0.5,
    "hard_example_mining_step": 9,
}
# Files of weights and counts of records become label_weights.
OTHERWISE = {"class_weights"}


def test_every_setting_of_the_tables_is_tried():
    tables = [*OPTIMIZERS.values(), *POLICIES.values()]
    assert {name for row in tables for name in row} == RULES.keys()
    assert {name for row in LOSS_TABLE.values() for name in row} == (
        LOSSES.keys() | OTHERWISE
    )


def update_rule(config):
    """Rates of some steps, and the numbers of the rule."""
    optimizer = gradients.make_optimizer(config)
    rate = optimizer._learning_rate
    rates = [float(rate(tf.constant(step))) for step in (0, 2, 4, 9)]
    numbers = [getattr(optimizer, name, None) for name in ("momentum", "epsilon")]
    return type(optimizer), rates, numbers


@pytest.mark.parametrize(
    ("optimizer", "policy"),
    [
        *((optimizer, "poly") for optimizer in OPTIMIZERS),
        *(("momentum", policy) for policy in POLICIES if policy != "poly"),
    ],
)
def test_what_an_update_rule_does_not_read_is_told(optimizer, policy):
    config = OptimizerConfig(
        optimizer=optimizer,
        learning_policy=policy,
        base_learning_rate=0.01,
        learning_rate_steps=(3,),
        learning_rate_decay_step=2,
        slow_start_step=1,
        training_number_of_steps=10,
    )
    plain = update_rule(config)
    for name, value in RULES.items():
        if getattr(config, name) == value:
            continue
        changed = dataclasses.replace(config, **{name: value})
        has_effect = update_rule(changed) != plain
        assert has_effect == (name not in effects.unread(changed)), name


@pytest.mark.parametrize(
    ("losses", "share"),
    [
        (("cross_entropy",), 1.0),
        (("cross_entropy",), 0.6),
        (("dice",), 1.0),
        (("dice", "focal=0.5"), 0.6),
    ],
)
def test_what_a_loss_does_not_read_is_told_or_refused(losses, share, rng):
    label = tf.constant(rng.integers(0, 3, (2, 4, 4, 1)), tf.int32)
    logits = tf.constant(rng.normal(size=(2, 4, 4, 3)), tf.float32)

    def loss(config):
        sums, late = total.loss_sums(logits, label, spec(3), config, tf.constant(3))
        counts = total.normalizers(label, (4, 4), spec(3), config) + late
        return float(total.total(sums, counts, config))

    plain = LossConfig(losses=losses, top_k_percent_pixels=share)
    before = loss(plain)
    for name, value in LOSSES.items():
        try:
            changed = dataclasses.replace(plain, **{name: value})
        except FlagError:
            continue
        has_effect = loss(changed) != before
        assert has_effect == (name not in effects.unread(changed)), name
