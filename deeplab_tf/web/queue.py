"""One worker, and who waits for it: first come, first served, up to a limit."""

import asyncio
import concurrent.futures
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from deeplab_tf.web.refusal import Refusal

T = TypeVar("T")


class Queue:
    """Tasks that run one at a time, in a thread.

    Attributes:
        limit: How many are taken in at a time, of which one runs.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._inside = 0
        self._seconds = 1.0  # Of the last task.
        self._turn = asyncio.Lock()
        self._worker = concurrent.futures.ThreadPoolExecutor(1, "photographs")

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place, from before the photograph comes: so memory has a limit, too.

        Raises:
            Refusal: All are taken (503).
        """
        if self._inside >= self.limit:
            wait = max(1, math.ceil(self._seconds * self.limit / 2))
            raise Refusal(
                503,
                f"{self.limit} photographs are waiting already; try again in {wait} s",
                {"Retry-After": str(wait)},
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def run(
        self, task: Callable[[], T], is_wanted: Callable[[], Awaitable[bool]]
    ) -> T | None:
        """Runs a task in the worker when its turn has come.

        Args:
            task: Runs in a thread.
            is_wanted: Asked before; where nobody waits any more, nothing is run.

        Returns:
            What the task does; None where it did not run.
        """
        async with self._turn:
            if not await is_wanted():
                return None
            started = time.monotonic()
            loop = asyncio.get_running_loop()
            try:
                return await loop.run_in_executor(self._worker, task)
            finally:
                self._seconds = time.monotonic() - started
