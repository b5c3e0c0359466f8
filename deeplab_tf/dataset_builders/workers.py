"""Shards made in parallel, a process a core, as far as processes gain time.

They are spawned, not forked: a source may use TensorFlow, which hangs when forked.
"""

import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from tqdm import tqdm

from deeplab_tf.dataset_builders import beam
from deeplab_tf.dataset_builders.shard import Job, Shard
from deeplab_tf.dataset_builders.work import ProcessDied, WorkConfig

_START = 1.5  # Seconds until a process is at work.
_FEW, _TRIED = 64, 8  # Samples not worth a process; samples read to learn their cost.
_POLL = 0.2  # Seconds between looks at how far the processes are.

Tick = Callable[[int], Any]  # Told how many samples more are done.


class _Stopped(Exception):
    """Another shard failed."""


def make(job: Job, shards: Sequence[Shard], work: WorkConfig, *, kept: int) -> None:
    """Makes shards and shows how far it is.

    Args:
        job: What there is to make.
        shards: Those that are not there yet.
        work: How.
        kept: Samples in shards that are there already.

    Raises:
        InputError: A sample is missing or damaged; the other shards are left as they
            are.
        ProcessDied: One was killed, or a Beam pipeline broke.
    """
    if work.beam_runner:
        beam.make(job, shards, work)
        return
    total = kept + sum(map(len, shards))
    with tqdm(
        None, "building", total, unit=" images", initial=kept, disable=None
    ) as bar:
        workers = _worth(job, shards, work.processes)
        if workers < 2:
            for shard in shards:
                job.make(shard, bar.update)
        else:
            _in_processes(job, shards, workers, bar.update)


def _worth(job: Job, shards: Sequence[Shard], processes: int | None) -> int:
    """Processes to use: those that were asked for, or those that gain time."""
    most = min(processes or os.cpu_count() or 1, len(shards))
    samples = sum(map(len, shards))
    if processes or most < 2 or samples < _FEW:
        return most if processes else 1
    first = shards[0]
    some = job.splits[first.split].samples(first.start, first.stop)
    begin = time.perf_counter()
    tried = sum(1 for _ in itertools.islice(some, _TRIED))
    seconds = (time.perf_counter() - begin) / tried * samples
    return most if seconds * (1 - 1 / most) > _START else 1


def _in_processes(job: Job, shards: Sequence[Shard], workers: int, tick: Tick) -> None:
    context = multiprocessing.get_context("spawn")
    shared = job, context.Value("q", 0), context.Event()
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=shared)
    try:
        waiting = {pool.submit(_make, shard) for shard in shards}
        told = 0
        while waiting:
            ready, waiting = wait(waiting, _POLL, FIRST_EXCEPTION)
            done = shared[1].value
            tick(done - told)
            told = done
            for future in ready:
                future.result()
    except BrokenProcessPool:
        raise ProcessDied(
            "a process died at its work, as when memory is short; run the command "
            "again with fewer --processes: it goes on with the shards that are done"
        ) from None
    finally:
        shared[2].set()
        pool.shutdown(cancel_futures=True)


# In a process.

_shared: tuple[Job, Any, Any]  # Set once, since a source may be large.


def _begin(job: Job, done: Any, stopped: Any) -> None:
    global _shared
    _shared = job, done, stopped
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # A source may use TensorFlow.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to tell of.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """So that nobody writes on when the builder was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(shard: Shard) -> None:
    _shared[0].make(shard, _tick)


def _tick() -> None:
    _, done, stopped = _shared
    if stopped.is_set():
        raise _Stopped
    with done.get_lock():
        done.value += 1
