"""Runs to which much happens end as the one to which nothing did.

    make chaos

takes an hour of two cores; `docs/chaos.txt` is what it said.
"""

import os

import pytest

from tests.chaos import runs

_RUNS = int(os.environ.get("CHAOS_RUNS", "30"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory, shapes):
    """What is left by undisturbed runs, of one worker and of two."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return {
        workers: runs.undisturbed(shapes, folder / str(workers), workers)
        for workers in (1, 2)
    }


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(_RUNS))
def test_a_disturbed_run_ends_as_the_undisturbed_one(tmp_path, shapes, expected, seed):
    workers = 2 if seed % 5 == 4 else 1
    told = runs.disturbed(shapes, tmp_path, workers, seed)
    found = runs.differences(runs.left(tmp_path / "run"), expected[workers])
    end = "differs" if found else "equal"
    line = f"run {seed:2d}, {workers} worker(s): {'; '.join(told)}; the end is {end}"
    if log := os.environ.get("CHAOS_LOG"):
        with open(log, "a") as file:
            file.write(f"{line}\n")
    assert not found, (line, found)
