"""Profiler: a TensorBoard profile of some steps of a run."""

import tensorflow as tf
from absl import logging

from deeplab_tf.config import WatchConfig


class Profiler:
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
        self._is_explicit = bool(watch.profile_steps)
        self._running = self._done = False

    def __enter__(self) -> "Profiler":
        return self

    def __exit__(self, *error: object) -> None:
        if self._running:
            tf.profiler.experimental.stop()
        elif self.stops and not self._done and self._is_explicit:
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
