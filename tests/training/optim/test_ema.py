"""Moving averages of weights: by hand, on one device and on two."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.training.optim.ema import ExponentialMovingAverage


def expected(values, decay):
    """The average after each of the values, which begins with the first of them."""
    average = values[0]
    for step, value in enumerate(values[1:], start=1):
        kept = min(decay, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * value
    return average


def test_an_average_follows_the_more_slowly_the_longer_it_has():
    weight = keras.Variable([1.0, 3.0])
    averages = ExponentialMovingAverage({"a/weights": weight}, decay=0.2)
    weight.assign([12.0, 3.0])
    averages.update(tf.constant(1, tf.int64))
    # 2 / 11 of what it was, and 9 / 11 of what it is.
    np.testing.assert_allclose(averages.variables["a/weights"], [10, 3], rtol=1e-6)
    weight.assign([20.0, 3.0])
    averages.update(tf.constant(2, tf.int64))  # 3 / 12 is more than 0.2.
    np.testing.assert_allclose(averages.variables["a/weights"], [18, 3], rtol=1e-6)
    averages.reset()
    np.testing.assert_array_equal(averages.variables["a/weights"], [20, 3])


@pytest.mark.parametrize("inside", [True, False])
def test_every_device_averages_its_weights(two_devices, inside):
    with two_devices.scope():
        weight = keras.Variable(1.0, aggregation="only_first_replica")
        averages = ExponentialMovingAverage({"a/weights": weight}, decay=0.999)

    def replica(step):
        weight.value.assign_add(2.0)
        if inside:
            averages.update(step)

    @tf.function
    def run():
        for step in tf.range(1, 4):
            two_devices.run(replica, (step,))
            if not inside:
                averages.update(step)

    run()
    copies = two_devices.experimental_local_results(
        averages.variables["a/weights"].value
    )
    assert len(copies) == 2
    wanted = expected([1.0, 3.0, 5.0, 7.0], 0.999)
    assert [float(copy) for copy in copies] == pytest.approx([wanted] * 2, rel=1e-6)
