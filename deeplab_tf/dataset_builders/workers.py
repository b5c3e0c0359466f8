"""Workers: shards written in processes, as far as these gain time, or by Apache Beam.

Processes are spawned, not forked: a source may use TensorFlow, which hangs when forked.
Beam is for data that outgrow one machine; all its workers must see the images and the
output folder by the same paths.
"""

import contextlib
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

from deeplab_tf import console
from deeplab_tf.dataset_builders.parallel_config import ParallelConfig, WorkerLost
from deeplab_tf.dataset_builders.shard import Shard, ShardSummary, ShardWriter
from deeplab_tf.errors import DamagedFile, FlagError, InputError
from deeplab_tf.parallel import exit_with_parent, interrupts_deferred

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
        InputError: A file is of no use; the other shards are left as they are. By Beam,
            errors of samples are kept in the shards' summaries.
        FlagError: Beam is asked for, and not installed.
        WorkerLost: A process was killed, or a Beam pipeline broke.
    """
    if parallel.beam_runner:
        _write_by_beam(writer, shards, parallel)
        return
    total = finished + sum(map(len, shards))
    with console.bar(
        desc="building", total=total, unit=" images", initial=finished
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
    begin, timed = time.perf_counter(), 1
    with contextlib.suppress(DamagedFile):  # All of them are named later.
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
        with interrupts_deferred():  # This starts the processes.
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


def _write_by_beam(
    writer: ShardWriter, shards: Sequence[Shard], parallel: ParallelConfig
) -> None:
    """Writes shards; errors of samples are kept in the shards' summaries.

    Raises:
        FlagError: Beam is not installed.
        WorkerLost: The pipeline broke, as where a machine was lost or a disk is full.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise FlagError(
            f"--beam_runner={parallel.beam_runner} needs Apache Beam: "
            "pip install 'deeplab-tf[beam]'"
        ) from None
    options = PipelineOptions(
        [f"--runner={parallel.beam_runner}", *parallel.beam_options]
    )
    pipeline = beam.Pipeline(options=options)
    try:
        with pipeline:
            spread = pipeline | beam.Create(shards) | beam.Reshuffle()
            spread | beam.Map(_write_in_beam, writer)
    except Exception as error:  # Whatever it was, a runner makes it its own.
        if cause := _input_error(error):
            raise cause from None
        raise WorkerLost(
            f"--beam_runner={parallel.beam_runner}: {_last_line(error)}; the same "
            "command goes on"
        ) from error


def _input_error(error: BaseException | None) -> InputError | None:
    """The one that caused an error."""
    while error:
        if isinstance(error, InputError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _last_line(error: Exception) -> str:
    """What it says; before, there may be a worker's traceback."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _write_in_beam(shard: Shard, writer: ShardWriter) -> None:
    try:
        writer.write(shard)
    except InputError as error:  # A runner would wrap it in its own.
        ShardSummary(error=str(error)).save(writer.folder / shard.name)


# In a worker process of ours.

_worker: tuple[ShardWriter, Any, Any]  # Set once, since a source may be large.


def _init_worker(writer: ShardWriter, count: Any, canceled: Any) -> None:
    global _worker
    _worker = writer, count, canceled
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # A source may use TensorFlow.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to tell of.
    threading.Thread(target=exit_with_parent, daemon=True).start()


def _write_shard(shard: Shard) -> None:
    _worker[0].write(shard, _count_sample)


def _count_sample() -> None:
    _, count, canceled = _worker
    if canceled.is_set():
        raise _Canceled
    with count.get_lock():
        count.value += 1
