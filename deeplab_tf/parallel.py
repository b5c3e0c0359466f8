"""A process pool over images, a process a core; and threads that work ahead.

Processes, since pydensecrf holds Python's lock. They are spawned, not forked, since a
forked TensorFlow hangs; they hold what a task imports, and no network. A task that
imports no TensorFlow starts 3 s sooner, and takes some 500 MB less.
"""

import collections
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from deeplab_tf import noise
from deeplab_tf.errors import InputError

Item = TypeVar("Item")
Tag = TypeVar("Tag")
Result = TypeVar("Result")
# A process has one core, and none has the GPU, which is the network's.
_ENVIRONMENT = {
    "NUMBA_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def map_in_processes(
    task: Callable[..., Result],
    calls: Iterable[tuple[Tag, tuple[Any, ...]]],
    *,
    total: int,
    needs_tensorflow: bool = False,
    processes: int | None = None,
) -> Iterator[tuple[Tag, Result]]:
    """Yields what `task` gives, in order; one call, or one core, needs no processes.

    Args:
        task: A function of a module, or a `functools.partial` of one.
        calls: A tag, handed back beside the result, and the arguments. They are taken
            as results are, two ahead of each process.
        total: The number of calls.
        needs_tensorflow: Whether the task imports it.
        processes: At most so many; by default one a core.

    Raises:
        InputError: A process failed or died.
    """
    workers = min(processes or os.cpu_count() or 1, total)
    if workers < 2:
        for tag, arguments in calls:
            yield tag, task(*arguments)
        return
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=_initialize_worker,
        initargs=(needs_tensorflow,),
    )
    pending: collections.deque[tuple[Tag, Future[Result]]] = collections.deque()
    try:
        for tag, arguments in calls:
            with interrupts_deferred():  # This may start a process.
                pending.append((tag, pool.submit(task, *arguments)))
            if len(pending) > 2 * workers:
                yield _next_result(pending)
        while pending:
            yield _next_result(pending)
    finally:
        pool.shutdown(cancel_futures=True)


def look_ahead(items: Iterator[Result]) -> Iterator[Result]:
    """Yields the items, of which the next one is made meanwhile, in a thread.

    So a device computes while the host is busy with what came before. Errors come where
    the item would have come.
    """
    end: Any = object()
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(next, items, end)
        while (item := ahead.result()) is not end:
            ahead = pool.submit(next, items, end)
            yield item


def map_in_turn(
    tasks: Sequence[Callable[[Item], Result]], items: Iterable[Item]
) -> Iterator[Result]:
    """Yields what tasks make of items, in order: the next task takes the next item.

    Each works in a thread, at one item at a time, and ahead of what is yielded; items
    are read in a thread, too. Errors come where the result would have come.
    """
    source, turns, end = iter(items), itertools.cycle(tasks), object()

    def work(task: Callable[[Item], Result], item: Future[Any]) -> Any:
        return end if item.result() is end else task(item.result())

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(len(tasks)) as pool:

        def start() -> Future[Any]:
            return pool.submit(work, next(turns), reader.submit(next, source, end))

        ahead = collections.deque(start() for _ in tasks)
        while (result := ahead.popleft().result()) is not end:
            ahead.append(start())
            yield result


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Ctrl-C comes when this ends, and never to processes that are started here.

    Until they can ignore it by themselves, each would tell of it by a stack trace.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not (in_main and hasattr(signal, "pthread_sigmask")):  # Windows has it not.
        yield
        return
    heard: list[int] = []  # Another thread may hear what is blocked in this one.
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _initialize_worker(needs_tensorflow: bool) -> None:
    """Runs first in each process, before numba or TensorFlow are imported."""
    os.environ.update(_ENVIRONMENT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to tell of.
    threading.Thread(target=exit_with_parent, daemon=True).start()
    if needs_tensorflow:
        noise.load_tensorflow()


def exit_with_parent() -> None:
    """Ends this process when its parent was killed, so that it does not write on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _next_result(
    pending: collections.deque[tuple[Tag, Future[Result]]],
) -> tuple[Tag, Result]:
    tag, future = pending.popleft()
    try:
        return tag, future.result()
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
