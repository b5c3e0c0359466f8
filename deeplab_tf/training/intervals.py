"""Intervals: how many steps at a time, what is due, and whether to stop."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from absl import logging

_SECONDS_A_CALL = 5.0  # How long a signal may wait for the steps under way.


class Timer:
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


class StepsPerCall:
    """How many steps to take at a time: up to where something is due, and for seconds.

    Attributes:
        calls: How often steps were taken.
    """

    def __init__(self, *intervals: int, stops: Sequence[int] = ()) -> None:
        self.calls = 0
        self._intervals, self._stops = intervals, stops
        self._seconds_a_step = math.inf
        self._began = time.monotonic()

    def next(self, step: int, total: int) -> int:
        """Steps to take now, after `step` of `total`."""
        self._began = time.monotonic()
        due = steps_until_due(step, total, self._intervals, self._stops)
        return max(1, min(due, int(_SECONDS_A_CALL / self._seconds_a_step)))

    def record(self, count: int) -> None:
        """Notes that they are taken."""
        if self.calls:  # The first call compiles.
            self._seconds_a_step = (time.monotonic() - self._began) / count
        self.calls += 1


def steps_until_due(
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
    batches: Iterator,
    after: Sequence[tf.Tensor] = (),
    *,
    is_measured: bool | tf.Tensor = True,
) -> tuple[Any, tf.Tensor]:
    """The next batch, and for how long the step waited for it; within a `tf.function`.

    A GPU is told of steps ahead of time, and a host that looks at its clock for each of
    them would lose that. So some are measured, and those alone wait for the one before.

    Args:
        batches: Of a data set, distributed or not.
        after: What has to be there before the clock starts, else a wait counts in which
            a GPU still computes: something that the step before has written.
        is_measured: Whether to look at the clock.

    Returns:
        The batch, and seconds, float32; NaN where they are not measured.
    """
    is_measured = tf.convert_to_tensor(is_measured)

    def begin() -> tf.Tensor:
        return _time_after(after)

    began = _on_host(is_measured, begin)
    with tf.control_dependencies([began]):
        batch = next(batches)
    tensors = tf.nest.flatten(batch, expand_composites=True)

    def end() -> tf.Tensor:
        # A value of each says that all of it has come.
        come = [_first_value(tensor) for tensor in tensors]
        return _time_after([began, *come]) - began

    waited = _on_host(is_measured, end)
    # Else a host of one core computes the step first, and then looks at the clock.
    with tf.control_dependencies([waited]):
        timed = [_identity_there(tensor) for tensor in tensors]
    batch = tf.nest.pack_sequence_as(batch, timed, expand_composites=True)
    return batch, tf.cast(waited, tf.float32)


def _on_host(is_measured: tf.Tensor, clock: Callable[[], tf.Tensor]) -> tf.Tensor:
    """What a clock says, where it is asked."""
    with tf.device("CPU:0"):
        never = tf.constant(math.nan, tf.float64)
        return tf.cond(is_measured, clock, lambda: never)


def _time_after(tensors: Iterable[tf.Tensor]) -> tf.Tensor:
    with tf.device("CPU:0"):
        computed = [tf.identity(tensor) for tensor in tensors]  # Copied when computed.
        with tf.control_dependencies(computed):
            return tf.timestamp()


def _identity_there(tensor: tf.Tensor) -> tf.Tensor:
    """The tensor, where it is."""
    with tf.device(tensor.device or None):
        return tf.identity(tensor)


def _first_value(tensor: tf.Tensor) -> tf.Tensor:
    """Where the tensor is, so that no more of it is copied to the host."""
    with tf.device(tensor.device or None):
        return tf.reshape(tensor, [-1])[:1]


@contextlib.contextmanager
def catch_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT, so that the loop can save; a second one kills.

    In the main thread alone, the only one in which Python takes signals.
    """
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
