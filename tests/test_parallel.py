"""Work in processes: order, errors, and what they load."""

import math
import operator
import os
import subprocess
import sys

import pytest

from deeplab_tf import parallel
from deeplab_tf.errors import InputError
from deeplab_tf.parallel import in_processes
from tests.recorded import ROOT


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 2)


def test_results_come_in_order_beside_what_is_kept():
    calls = ((f"call {i}", (i, 10)) for i in range(9))
    found = list(in_processes(operator.mul, calls, total=9))
    assert found == [(f"call {i}", 10 * i) for i in range(9)]


def test_calls_are_made_as_results_are_taken():
    """Two processes, two calls ahead of each: the sixth is not there at first."""
    made = []

    def calls():
        for i in range(20):
            made.append(i)
            yield None, (float(i),)

    results = in_processes(math.sqrt, calls(), total=20)
    next(results)
    assert len(made) == 5
    results.close()


@pytest.mark.parametrize(("total", "here"), [(1, True), (2, False)])
def test_one_call_is_made_without_processes(total, here):
    found = list(in_processes(os.getpid, [(None, ())] * total, total=total))
    assert len(found) == total
    assert all((pid == os.getpid()) == here for _, pid in found)


def test_processes_have_one_core_each():
    calls = [(None, ("NUMBA_NUM_THREADS",))] * 2
    found = list(in_processes(os.getenv, calls, total=2))
    assert found == [(None, "1")] * 2


def test_a_failure_is_one_line():
    calls = [(None, (value,)) for value in (4.0, -1.0)]
    results = in_processes(math.sqrt, calls, total=2)
    assert next(results) == (None, 2.0)
    with pytest.raises(InputError, match=r"^a process failed at its work: ValueError"):
        next(results)


def test_a_process_that_dies_is_one_line():
    calls = [(None, (3,))] * 2
    with pytest.raises(InputError, match="a process died at its work, as when memory"):
        list(in_processes(os._exit, calls, total=2))


def test_what_processes_import_loads_no_tensorflow():
    code = (
        "import sys, deeplab_tf.evaluation.crf_points, deeplab_tf.prediction.processes;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
