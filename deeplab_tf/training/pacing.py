"""When: how many steps at a time, what is due, and whether to stop."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator

from absl import logging

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
    """How many steps to take at a time: up to the next log, and for a few seconds.

    Attributes:
        calls: How often steps were taken.
    """

    def __init__(self, log_steps: int) -> None:
        self.calls = 0
        self._log_steps = log_steps
        self._seconds_a_step = math.inf
        self._last = time.monotonic()

    def count(self, step: int, total: int) -> int:
        """Steps to take now, after `step` of `total`."""
        to_log = min(total - step, self._log_steps - step % self._log_steps)
        return max(1, min(to_log, int(_SECONDS_A_CALL / self._seconds_a_step)))

    def took(self, count: int) -> None:
        """Tells that they are taken."""
        now = time.monotonic()
        if self.calls:  # The first call compiles.
            self._seconds_a_step = (now - self._last) / count
        self.calls += 1
        self._last = now


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
