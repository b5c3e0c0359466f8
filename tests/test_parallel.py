"""Work in processes: order, errors, and what they load."""

import functools
import math
import operator
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from deeplab_tf import parallel
from deeplab_tf.crf import engines
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import crf_search_worker
from deeplab_tf.parallel import map_in_processes


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 2)


def test_results_come_in_order_beside_what_is_kept():
    calls = ((f"call {i}", (i, 10)) for i in range(9))
    results = list(map_in_processes(operator.mul, calls, total=9))
    assert results == [(f"call {i}", 10 * i) for i in range(9)]


def test_calls_are_made_as_results_are_taken():
    """Two processes, two calls ahead of each: the sixth is not there at first."""
    made = []

    def calls():
        for i in range(20):
            made.append(i)
            yield None, (float(i),)

    results = map_in_processes(math.sqrt, calls(), total=20)
    next(results)
    assert len(made) == 5
    results.close()


@pytest.mark.parametrize(("total", "here"), [(1, True), (2, False)])
def test_one_call_is_made_without_processes(total, here):
    results = list(map_in_processes(os.getpid, [(None, ())] * total, total=total))
    assert len(results) == total
    assert all((pid == os.getpid()) == here for _, pid in results)


def test_processes_have_one_core_each():
    calls = [(None, ("NUMBA_NUM_THREADS",))] * 2
    results = list(map_in_processes(os.getenv, calls, total=2))
    assert results == [(None, "1")] * 2


def test_a_failure_is_one_line():
    calls = [(None, (value,)) for value in (4.0, -1.0)]
    results = map_in_processes(math.sqrt, calls, total=2)
    assert next(results) == (None, 2.0)
    with pytest.raises(InputError, match=r"^a process failed at its work: ValueError"):
        next(results)


def test_a_process_that_dies_is_one_line():
    calls = [(None, (3,))] * 2
    with pytest.raises(InputError, match="a process died at its work, as when memory"):
        list(map_in_processes(os._exit, calls, total=2))


def modules_after(task, *arguments):
    """What a process has loaded when its task is done; for a process to run."""
    task(*arguments)
    return sorted(sys.modules)


def test_workers_of_the_compiled_crf_load_no_tensorflow(tmp_path, rng, monkeypatch):
    """Each would take seconds more to start, and 500 MB more."""
    pytest.importorskip("numba")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # Compiling would take a minute.
    image = rng.integers(0, 255, (6, 7, 3)).astype(np.uint8)
    logits = rng.normal(size=(6, 7, 3)).astype(np.float32)
    path = str(tmp_path / "image.npz")
    np.savez(path, image=image, logits=logits, label=np.zeros((6, 7), np.uint8))
    start = engines.PRESETS["official_script"]
    refine = (engines.classes, logits, image, start, "numba")
    search = functools.partial(
        crf_search_worker.confusions,
        start=start,
        engine="numba",
        num_classes=3,
        ignore_label=255,
    )
    calls = [("refine", refine), ("search", (search, path, [(3.0, 30.0, 3.0)]))]
    for _, modules in map_in_processes(modules_after, calls, total=2):
        assert "deeplab_tf.crf.numba_engine" in modules
        assert not {"tensorflow", "keras"} & set(modules)


def test_ctrl_c_waits_until_processes_are_started_and_is_never_theirs():
    ask = "import signal; print(signal.SIGINT in signal.pthread_sigmask(0, []))"
    heard = []

    def start():
        with parallel.interrupts_deferred():
            os.kill(os.getpid(), signal.SIGINT)
            heard.append(subprocess.check_output([sys.executable, "-c", ask]))

    # A shell starts what runs in the background with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [b"True\n"]


def test_the_next_item_is_made_while_this_one_is_used():
    """Or this would wait for ever."""
    made = [threading.Event() for _ in range(3)]

    def items():
        for i, event in enumerate(made):
            event.set()
            yield i

    for i in parallel.look_ahead(items()):
        assert all(event.wait(10) for event in made[: i + 2])


def test_an_error_comes_where_the_item_would_have_come():
    def items():
        yield 1
        raise InputError("the second one cannot be read")

    ahead = parallel.look_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(InputError, match=r"^the second one"):
        next(ahead)


def test_tasks_take_items_in_turn_and_work_at_once():
    """Each waits for the other two: or this would wait for ever."""
    together = threading.Barrier(3)

    def task(name, item):
        together.wait(10)
        return name, item

    tasks = [functools.partial(task, name) for name in "abc"]
    done = list(parallel.map_in_turn(tasks, range(6)))
    assert done == list(zip("abcabc", range(6), strict=True))


def test_no_more_items_are_taken_than_there_are_tasks():
    taken = []

    def items():
        for i in range(9):
            taken.append(i)
            yield i

    done = parallel.map_in_turn([str, str], items())
    for i in range(7):
        assert next(done) == str(i)
        assert len(taken) <= i + 3
    assert list(done) == ["7", "8"]


@pytest.mark.parametrize("fails_in", ["reading", "working"])
def test_an_error_comes_behind_all_results_before_it(fails_in):
    def items():
        yield from (0, 1, 2)
        if fails_in == "reading":
            raise InputError("the fourth")
        yield from (3, 4, 5)

    def work(item):
        if item == 3:
            raise InputError("the fourth")
        return item

    before = threading.active_count()
    done = parallel.map_in_turn([work] * 2, items())
    assert [next(done), next(done), next(done)] == [0, 1, 2]
    with pytest.raises(InputError, match=r"^the fourth$"):
        next(done)
    assert threading.active_count() == before


def test_who_looks_ahead_may_stop_early():
    before = threading.active_count()
    ahead = parallel.look_ahead(iter(range(100)))
    assert next(ahead) == 0
    ahead.close()
    assert threading.active_count() == before
    in_turn = parallel.map_in_turn([str] * 4, iter(range(100)))
    assert next(in_turn) == "0"
    in_turn.close()
    assert threading.active_count() == before
