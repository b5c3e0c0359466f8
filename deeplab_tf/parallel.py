"""Work on many images at a time, a process a core.

Processes, since pydensecrf holds Python's lock. They are spawned, not forked, since a
forked TensorFlow hangs; they hold what a task imports, and no network.
"""

import collections
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from deeplab_tf.errors import InputError

Kept = TypeVar("Kept")
Result = TypeVar("Result")
# A process has one core, and none has the GPU, which is the network's.
_ENVIRONMENT = {
    "NUMBA_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def in_processes(
    task: Callable[..., Result],
    calls: Iterable[tuple[Kept, tuple[Any, ...]]],
    *,
    total: int,
) -> Iterator[tuple[Kept, Result]]:
    """Yields what `task` gives, in order; one call, or one core, needs no processes.

    Args:
        task: A function of a module, or a `functools.partial` of one.
        calls: What is handed back beside the result, and the arguments. They are taken
            as results are, two ahead of each process.
        total: The number of calls.

    Raises:
        InputError: A process failed or died.
    """
    workers = min(os.cpu_count() or 1, total)
    if workers < 2:
        for kept, arguments in calls:
            yield kept, task(*arguments)
        return
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_begin
    )
    waiting: collections.deque[tuple[Kept, Future[Result]]] = collections.deque()
    try:
        for kept, arguments in calls:
            waiting.append((kept, pool.submit(task, *arguments)))
            if len(waiting) > 2 * workers:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Runs first in each process, before numba or TensorFlow are imported."""
    os.environ.update(_ENVIRONMENT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to tell of.


def _next(
    waiting: collections.deque[tuple[Kept, Future[Result]]],
) -> tuple[Kept, Result]:
    kept, future = waiting.popleft()
    try:
        return kept, future.result()
    except BrokenProcessPool:
        raise InputError(
            "a process died at its work, as when memory is short; smaller images, or "
            "fewer classes, need less"
        ) from None
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"a process failed at its work: {type(error).__name__}: {error}"
        ) from error
