"""Worker processes: shards written in parallel, as far as processes gain time.

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
from deeplab_tf.dataset_builders.parallel_config import ParallelConfig, WorkerLost
from deeplab_tf.dataset_builders.shard import Shard, ShardWriter

_START = 1.5  # Seconds until a process is at work.
_FEW, _TIMED = 64, 8  # Samples not worth a process; samples read to learn their cost.
_POLL = 0.2  # Seconds between looks at how far the processes are.


class _Canceled(Exception):
    """Another shard failed."""


def write_shards(
    writer: ShardWriter,
    shards: Sequence[Shard],
    parallel: ParallelConfig,
    *,
    finished: int,
) -> None:
    """Writes shards, with a progress bar.

    Args:
        writer: What there is to write.
        shards: Those that are not there yet.
        parallel: Processes, or Beam.
        finished: Samples in shards that are there already.

    Raises:
        InputError: A sample is missing or damaged; the other shards are left as they
            are.
        WorkerLost: A process was killed, or a Beam pipeline broke.
    """
    if parallel.beam_runner:
        beam.write_shards(writer, shards, parallel)
        return
    total = finished + sum(map(len, shards))
    with tqdm(
        None, "building", total, unit=" images", initial=finished, disable=None
    ) as bar:
        processes = choose_processes(writer, shards, parallel.processes)
        if processes < 2:
            for shard in shards:
                writer.write(shard, bar.update)
        else:
            _write_in_processes(writer, shards, processes, bar.update)


def choose_processes(
    writer: ShardWriter, shards: Sequence[Shard], wanted: int | None
) -> int:
    """Number of processes: the one wanted, or, by default, what gains time."""
    most = min(wanted or os.cpu_count() or 1, len(shards))
    samples = sum(map(len, shards))
    if wanted or most < 2 or samples < _FEW:
        return most if wanted else 1
    first = shards[0]
    some = writer.splits[first.split].samples(first.start, first.stop)
    begin = time.perf_counter()
    timed = sum(1 for _ in itertools.islice(some, _TIMED))
    seconds = (time.perf_counter() - begin) / timed * samples
    return most if seconds * (1 - 1 / most) > _START else 1


def _write_in_processes(
    writer: ShardWriter,
    shards: Sequence[Shard],
    processes: int,
    progress: Callable[[int], object],
) -> None:
    """Calls `progress` with the number of samples that are new since the last time."""
    context = multiprocessing.get_context("spawn")
    count, canceled = context.Value("q", 0), context.Event()
    pool = ProcessPoolExecutor(
        processes,
        context,
        initializer=_init_worker,
        initargs=(writer, count, canceled),
    )
    try:
        waiting = {pool.submit(_write_shard, shard) for shard in shards}
        shown = 0
        while waiting:
            ready, waiting = wait(waiting, _POLL, FIRST_EXCEPTION)
            now = count.value
            progress(now - shown)
            shown = now
            for future in ready:
                future.result()
    except BrokenProcessPool:
        raise WorkerLost(
            "a process died at its work, as when memory is short; run the command "
            "again with fewer --processes: it goes on with the shards that are done"
        ) from None
    finally:
        canceled.set()
        pool.shutdown(cancel_futures=True)


# In a worker process.

_worker: tuple[ShardWriter, Any, Any]  # Set once, since a source may be large.


def _init_worker(writer: ShardWriter, count: Any, canceled: Any) -> None:
    global _worker
    _worker = writer, count, canceled
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # A source may use TensorFlow.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to tell of.
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Ends this worker when the builder was killed, so that it does not write on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_shard(shard: Shard) -> None:
    _worker[0].write(shard, _count_sample)


def _count_sample() -> None:
    _, count, canceled = _worker
    if canceled.is_set():
        raise _Canceled
    with count.get_lock():
        count.value += 1
