"""Builders that are killed at random moments, and started again."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dataset_builders.builds import contents, undisturbed
from tests.recorded import ROOT

__all__ = ["undisturbed"]  # A fixture.
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")


def run_builder(folder, processes, *, kill_after=None, only_parent=False):
    """Seconds that a builder took, and whether it was killed with all its processes."""
    command = ["-m", "tests.dataset_builders.slow_builder", str(folder), str(processes)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    begin = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            assert process.wait(kill_after) == 0
            return time.monotonic() - begin, False
        except subprocess.TimeoutExpired:
            (os.kill if only_parent else os.killpg)(process.pid, signal.SIGKILL)
    wait_for_group(process.pid)
    return time.monotonic() - begin, True


def wait_for_group(group):
    """Returns once the workers of a killed builder are gone, too."""
    for _ in range(1000):
        if group not in living_groups():
            return
        time.sleep(0.01)
    raise TimeoutError("workers outlive their builder")


def living_groups():
    """Process groups of all processes but those that nobody has buried yet."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
            if state != "Z":
                yield int(group)


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """Builds of one and of two processes: seconds and bytes."""
    builds = {}
    for processes in (1, 2):
        folder = tmp_path_factory.mktemp("timed")
        seconds, _ = run_builder(folder, processes)
        builds[processes] = seconds, contents(folder)
    return builds


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_any_number_of_processes_writes_the_same_bytes(timed, undisturbed, processes):
    assert timed[processes][1] == undisturbed


@pytest.mark.nightly
@pytest.mark.parametrize("processes", [1, 2])
def test_a_builder_killed_at_ten_random_moments_leaves_no_trace(
    timed, tmp_path, rng, undisturbed, processes
):
    """Killed with its processes, then alone, and then completed."""
    seconds, kills, left = timed[processes][0], 0, []
    while kills < 10:
        folder = tmp_path / f"records_{len(left)}"
        for only_parent in (False, True):
            moment = rng.uniform(0, seconds)
            _, killed = run_builder(
                folder, processes, kill_after=moment, only_parent=only_parent
            )
            kills += killed
        left.append(len(list(folder.glob(".building/*.tfrecord"))))
        run_builder(folder, processes)
        assert contents(folder) == undisturbed
    # Of six shards. Two processes are at their start for most of the time.
    assert processes == 2 or any(0 < shards < 6 for shards in left)
