"""What is profiled."""

import tensorflow as tf

from deeplab_tf.config import WatchConfig
from deeplab_tf.training.monitoring.profiler import Profiler


def test_a_profile_begins_and_ends_at_its_steps(monkeypatch, tmp_path):
    done = []
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda _: done.append("on"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: done.append("off"))
    watch = WatchConfig(profile_logdir=str(tmp_path), profile_steps=(5, 8))
    with Profiler(watch, 0) as profile:
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
    with Profiler(watch, 100) as profile:
        for step in (100, 102):  # The first two compile.
            profile.at(step)
    assert done == ["on", "off"]


def test_a_profile_of_steps_that_never_came_is_told(tmp_path, caplog):
    watch = WatchConfig(profile_logdir=str(tmp_path), profile_steps=(50, 60))
    with Profiler(watch, 0) as profile:
        profile.at(0)
    assert "--profile_steps=50,60: this run took none of these steps" in caplog.text
    with Profiler(WatchConfig(), 0) as profile:
        assert profile.stops == ()
        profile.at(0)
