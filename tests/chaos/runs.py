"""A run that is disturbed at random until it ends, beside one that is not."""

import contextlib
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.chaos import disturbances
from tests.chaos.command import STEPS, Command

_DISTURBANCES = 3  # In a run, at most.
_TIMES = ("time", "images_per_second", "data_wait_share")


def undisturbed(records: Path, folder: Path, workers: int) -> dict:
    """What a run leaves that nothing happens to."""
    processes = Command(records, folder, workers).start()
    codes = processes.end()
    assert set(codes) == {0}, processes.text()
    return left(folder)


def disturbed(records: Path, folder: Path, workers: int, seed: int) -> list[str]:
    """Does to a run what a seed says, and lets it end; what happened, in order.

    Its records are a copy.
    """
    chance = random.Random(seed)
    own = folder / "records"
    shutil.copytree(records, own)
    with _small_disk(folder / "disk") as disk:
        command = Command(own, disk / "run", workers)
        kinds = disturbances.ALONE if workers == 1 else disturbances.TOGETHER
        if disk.name != "disk":
            kinds = tuple(k for k in kinds if k is not disturbances.disk_full)
        told = [
            chance.choice(kinds)(command, command.start(), chance)
            for _ in range(chance.randint(1, _DISTURBANCES))
        ]
        processes = command.start()
        codes = processes.end()
        assert set(codes) == {0}, processes.text()
        shutil.copytree(command.folder, folder / "run")
    return told


def left(folder: Path) -> dict:
    """All numbers of a run: its last checkpoint, its losses, its best scores."""
    stored = tf.train.load_checkpoint(str(folder / f"model.ckpt-{STEPS}"))
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    return {
        "checkpoint": {
            name: stored.get_tensor(name)
            for name in stored.get_variable_to_shape_map()
            if name not in ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter")
            and "save_counter" not in name
        },
        "logged": [
            {name: value for name, value in line.items() if name not in _TIMES}
            for line in logged
        ],
        "best": json.loads((folder / "best" / "metrics.json").read_text()),
    }


def differences(found: dict, expected: dict) -> list[str]:
    """Where two runs differ, in words; nothing where they are equal, bit for bit."""
    ours, theirs = found["checkpoint"], expected["checkpoint"]
    names = sorted(ours.keys() ^ theirs.keys())
    names += [
        name
        for name in ours.keys() & theirs.keys()
        if not np.array_equal(ours[name], theirs[name])
    ]
    return names + [
        f"{kind}: {found[kind]} not {expected[kind]}"
        for kind in ("logged", "best")
        if found[kind] != expected[kind]
    ]


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 64 MB in memory, where one may be mounted; else a folder."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        plain = folder / "plain"
        plain.mkdir()
        yield plain
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
