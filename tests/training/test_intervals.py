"""How many steps at a time, and how long data are waited for."""

import time

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.training.intervals import (
    StepsPerCall,
    steps_until_due,
    timed_next,
)


def test_steps_are_taken_up_to_the_next_log_and_for_a_few_seconds():
    steps = StepsPerCall(10)
    assert steps.next(0, 25) == 1  # How long a step takes is not known yet.
    steps.record(1)
    steps.record(1)  # In no time.
    assert steps.next(2, 25) == 8
    assert steps.next(20, 25) == 5
    steps._seconds_a_step = 2.0
    assert steps.next(2, 25) == 2
    steps._seconds_a_step = 60.0
    assert steps.next(2, 25) == 1


@pytest.mark.parametrize(
    ("step", "intervals", "stops", "expected"),
    [
        (0, (10,), (), 10),
        (10, (10, 0, 0), (), 10),  # 0: never.
        (10, (10, 4, 25), (), 2),
        (12, (10, 4, 25), (), 4),
        (20, (10, 7), (), 1),
        (95, (10, 50), (), 5),
        (97, (50,), (), 3),
        (11, (10,), (11, 14), 3),
        (98, (100,), (99, 110), 1),
        (98, (), (110,), 2),
    ],
)
def test_what_is_due_first_ends_a_call(step, intervals, stops, expected):
    assert steps_until_due(step, 100, intervals, stops) == expected


def slow(seconds):
    def wait(number):
        time.sleep(seconds)
        return number

    return wait


def waits(data_seconds, step_seconds):
    """Seconds that five steps wait, each of which takes `step_seconds`."""
    numbers = tf.data.Dataset.counter().map(
        lambda n: tf.ensure_shape(
            tf.numpy_function(slow(data_seconds), [n], n.dtype), ()
        )
    )
    batches = iter(numbers.prefetch(2))

    @tf.function
    def run():
        found = tf.TensorArray(tf.float32, 5)
        sums, cost = tf.constant(0, tf.int64), tf.constant(0, tf.int64)
        for i in tf.range(5):
            number, seconds = timed_next(batches, after=[cost])
            cost = tf.numpy_function(slow(step_seconds), [number], tf.int64)
            cost = tf.ensure_shape(cost, ())
            sums += cost
            found = found.write(i, seconds)
        return sums, found.stack()

    total, seconds = run()
    assert int(total) == 0 + 1 + 2 + 3 + 4
    return seconds.numpy()


def test_only_the_wait_for_a_batch_is_timed():
    """Data take 60 ms and a step 20: each but the first waits for the difference."""
    found = waits(0.06, 0.02)
    assert np.median(found[1:]) == pytest.approx(0.04, abs=0.02)


def test_batches_that_are_ready_are_not_waited_for():
    found = waits(0.01, 0.05)
    assert np.median(found[1:]) < 0.02


def test_no_step_begins_before_the_clock_was_looked_at():
    """On one core, the wait would else be the whole step."""
    batches = iter(tf.data.Dataset.range(3).map(lambda n: {"image": n, "name": "a"}))

    @tf.function
    def run():
        batch, seconds = timed_next(batches)
        clock = seconds.op.inputs[0].op  # Behind a cast.
        assert {name: clock in t.op.control_inputs for name, t in batch.items()} == {
            "image": True,
            "name": True,
        }
        return batch["image"], batch["name"]

    image, name = run()
    assert int(image) == 0
    assert name.numpy() == b"a"


def test_the_wait_of_several_devices_is_timed(two_devices):
    numbers = tf.data.Dataset.range(4).map(
        lambda n: tf.ensure_shape(tf.numpy_function(slow(0.03), [n], n.dtype), ())
    )
    batches = iter(two_devices.distribute_datasets_from_function(lambda _: numbers))

    @tf.function
    def run():
        total, waited = tf.constant(0, tf.int64), tf.constant(0.0)
        for _ in tf.range(2):
            number, seconds = timed_next(batches, after=[total])
            total += two_devices.reduce("SUM", number, axis=None)
            waited += seconds
        return total, waited

    total, waited = run()
    assert int(total) == 0 + 1 + 2 + 3
    assert 0 < float(waited) < 1
