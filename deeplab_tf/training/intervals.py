"""When: how many steps at a time, what is due, and whether to stop."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

from deeplab_tf.config import WatchConfig

_SECONDS_A_CALL = 5.0  # How long a signal may wait for the steps under way.


class Every:
    """Whether so many seconds have passed since it was last due."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def due(self) -> bool:
        """True once in the interval."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


class Pace:
    """How many steps to take at a time: up to where something is due, and for seconds.

    Attributes:
        calls: How often steps were taken.
    """

    def __init__(self, *intervals: int, stops: Sequence[int] = ()) -> None:
        self.calls = 0
        self._intervals, self._stops = intervals, stops
        self._seconds_a_step = math.inf
        self._began = time.monotonic()

    def count(self, step: int, total: int) -> int:
        """Steps to take now, after `step` of `total`."""
        self._began = time.monotonic()
        due = until(step, total, self._intervals, self._stops)
        return max(1, min(due, int(_SECONDS_A_CALL / self._seconds_a_step)))

    def took(self, count: int) -> None:
        """Tells that they are taken."""
        if self.calls:  # The first call compiles.
            self._seconds_a_step = (time.monotonic() - self._began) / count
        self.calls += 1


def until(
    step: int, total: int, intervals: Iterable[int], stops: Iterable[int] = ()
) -> int:
    """Steps from `step` to the next one at which something is due, or to the end.

    Args:
        step: Steps that are taken.
        total: Of the run.
        intervals: Something is due at the multiples of each; at 0, nothing is.
        stops: Something is due at each of them.
    """
    due = [total, *(n * (step // n + 1) for n in intervals if n > 0)]
    due += [stop for stop in stops if stop > step]
    return min(due) - step


def timed_next(
    batches: Iterator, after: Sequence[tf.Tensor] = ()
) -> tuple[Any, tf.Tensor]:
    """The next batch, and for how long the step waited for it; within a `tf.function`.

    Args:
        batches: Of a data set, distributed or not.
        after: What has to be there before the clock starts: the loss of the step
            before. A GPU is told of steps ahead of time, and without this a wait counts
            in which it still computes.

    Returns:
        The batch, and seconds, float32.
    """
    with tf.device("CPU:0"):
        known = [tf.identity(tensor) for tensor in after]  # Copied when computed.
        with tf.control_dependencies(known):
            began = tf.timestamp()
    with tf.control_dependencies([began]):
        batch = next(batches)
    parts = tf.nest.flatten(batch, expand_composites=True)
    with tf.device("CPU:0"), tf.control_dependencies(parts):
        return batch, tf.cast(tf.timestamp() - began, tf.float32)


class Profile:
    """Profiles some steps of a run; a context, which ends it.

    Args:
        watch: Where, and which steps.
        start: Steps that are taken.

    Attributes:
        stops: Steps at which `at` is to be called.
    """

    def __init__(self, watch: WatchConfig, start: int) -> None:
        self._folder = watch.profile_logdir
        # By default when all is compiled.
        first, last = watch.profile_steps or (start + 3, start + 12)
        self.stops = (first - 1, last) if self._folder else ()
        self._told = bool(watch.profile_steps)
        self._running = self._done = False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *error: object) -> None:
        if self._running:
            tf.profiler.experimental.stop()
        elif self.stops and not self._done and self._told:
            logging.warning(
                "--profile_steps=%d,%d: this run took none of these steps",
                self.stops[0] + 1,
                self.stops[1],
            )

    def at(self, step: int) -> None:
        """Begins or ends it where `step` steps are taken."""
        if not self.stops:
            return
        first, last = self.stops
        if self._running and step >= last:
            tf.profiler.experimental.stop()
            self._running, self._done = False, True
            logging.info("Wrote the profile to %s", self._folder)
        elif not self._running and not self._done and first <= step < last:
            tf.profiler.experimental.start(self._folder)
            self._running = True


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT, so that the loop can save; a second one kills."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}

    def catch(number: int, _: object) -> None:
        caught.append(number)
        signal.signal(number, before[signal.Signals(number)])
        logging.info("Stopping after the steps under way; once more stops at once")

    try:
        for number in numbers:
            signal.signal(number, catch)
        yield caught
    finally:
        for number in numbers:
            signal.signal(number, before[number])
