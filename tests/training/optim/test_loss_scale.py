"""The loss scale: its rule by hand, and steps that are left out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import OptimizerConfig
from deeplab_tf.training.optim import gradients, loss_scale
from deeplab_tf.training.optim.loss_scale import LossScale


@pytest.mark.parametrize(
    ("scale", "steps", "is_finite", "expected"),
    [
        (32768.0, 0, True, (32768, 1)),
        (32768.0, 1998, True, (32768, 1999)),
        (32768.0, 1999, True, (65536, 0)),
        (32768.0, 1999, False, (16384, 0)),
        (32768.0, 5, False, (16384, 0)),
        (1.0, 5, False, (1, 0)),
        (2.0**24, 1999, True, (2**24, 0)),
    ],
)
def test_a_scale_doubles_with_patience_and_halves_at_once(
    scale, steps, is_finite, expected
):
    arguments = tf.constant(scale), tf.constant(steps), tf.constant(is_finite)
    assert tuple(map(float, loss_scale.next_scale(*arguments))) == expected


def test_gradients_too_small_for_float16_come_through():
    scale, weight = LossScale(), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        loss = tf.cast(tf.cast(weight, tf.float16) * 0.5, tf.float32) * 2.0**-25
        scaled = scale.scale(loss)
    # The gradient in float16 would be 2^-25, of which the least number is 2^-24.
    (found,) = scale.unscale(tape.gradient(scaled, [weight]))
    assert float(found) == 2.0**-26


def test_a_step_that_overflows_counts_and_changes_no_weight(two_devices):
    update = OptimizerConfig(
        learning_policy="fixed", base_learning_rate=0.5, momentum=0.0
    )
    with two_devices.scope():
        weight, scale = keras.Variable(1.0), LossScale()
        optimizer = gradients.make_optimizer(update)
        gradients.build_slots(optimizer, {"a/weights": weight}, update)

    def gradient(value):
        context = tf.distribute.get_replica_context()
        (summed,) = scale.unscale(context.all_reduce("SUM", [scale.scale(value)]))
        return summed

    @tf.function
    def step(value):
        summed = two_devices.run(gradient, (value,))
        norm = tf.abs(two_devices.experimental_local_results(summed)[0])
        is_finite = tf.math.is_finite(norm)
        if is_finite:
            two_devices.run(lambda g: optimizer.apply([g], [weight]), (summed,))
        else:
            optimizer.iterations.assign_add(1)
        scale.update(is_finite)

    for value in (0.25, np.inf, np.nan, 0.25):
        step(tf.constant(value, tf.float32))
    assert int(optimizer.iterations.numpy()) == 4
    assert float(weight.numpy()) == 0.5  # Twice 0.5 * (0.25 + 0.25) less.
    assert float(scale.variables["scale"].numpy()) == 2.0**13
    assert int(scale.variables["finite_steps"].numpy()) == 1
