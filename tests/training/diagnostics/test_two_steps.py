"""Two steps are taken, and what they did is seen."""

import dataclasses

import pytest
import tensorflow as tf

from deeplab_tf.training.diagnostics import two_steps
from tests.training.test_step import UPDATE, linear_trainer, random_batches


@pytest.mark.parametrize("rate", [1e-6, 100.0])
def test_a_learning_rate_is_judged_by_what_it_does(rng, rate):
    update = dataclasses.replace(UPDATE, base_learning_rate=rate)
    trainer = linear_trainer((1.0,), update=update)
    for weight in trainer.weights.values():
        weight.assign(weight + 0.01)
    batches = iter(tf.data.Dataset.from_tensors(random_batches(rng, 2)).repeat())
    steps = two_steps.take_two(trainer, batches)
    assert len(steps.metrics["loss"]) == len(steps.seconds) == 2
    assert trainer.step == 2
    wrong = two_steps.diagnose(steps, rate, 1.79).wrong
    assert len(wrong) == (rate == 100.0)
    loss, learning, time = two_steps.facts(steps, 600)
    assert loss.startswith("Loss: 1.79")
    assert f"at a learning rate of {rate:.3g}" in learning
    assert "600 steps: about" in time
