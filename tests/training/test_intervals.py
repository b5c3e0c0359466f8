"""How many steps at a time, how long data are waited for, and what is profiled."""

import time

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import WatchConfig
from deeplab_tf.training.intervals import Pace, Profile, timed_next, until


def test_steps_are_taken_up_to_the_next_log_and_for_a_few_seconds():
    pace = Pace(10)
    assert pace.count(0, 25) == 1  # How long a step takes is not known yet.
    pace.took(1)
    pace.took(1)  # In no time.
    assert pace.count(2, 25) == 8
    assert pace.count(20, 25) == 5
    pace._seconds_a_step = 2.0
    assert pace.count(2, 25) == 2
    pace._seconds_a_step = 60.0
    assert pace.count(2, 25) == 1


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
    assert until(step, 100, intervals, stops) == expected


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


def test_a_profile_begins_and_ends_at_its_steps(monkeypatch, tmp_path):
    done = []
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda _: done.append("on"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: done.append("off"))
    watch = WatchConfig(profile_logdir=str(tmp_path), profile_steps=(5, 8))
    with Profile(watch, 0) as profile:
        assert profile.stops == (4, 8)
        for step in (0, 4, 6, 8, 9):
            profile.at(step)
            done.append(step)
    assert done == [0, "on", 4, 6, "off", 8, 9]


def test_a_profile_ends_with_the_run(monkeypatch, tmp_path):
    done = []
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda _: done.append("on"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: done.append("off"))
    watch = WatchConfig(profile_logdir=str(tmp_path))
    with Profile(watch, 100) as profile:
        for step in (100, 102):  # The first two compile.
            profile.at(step)
    assert done == ["on", "off"]


def test_a_profile_of_steps_that_never_came_is_told(tmp_path, caplog):
    watch = WatchConfig(profile_logdir=str(tmp_path), profile_steps=(50, 60))
    with Profile(watch, 0) as profile:
        profile.at(0)
    assert "--profile_steps=50,60: this run took none of these steps" in caplog.text
    with Profile(WatchConfig(), 0) as profile:
        assert profile.stops == ()
        profile.at(0)
