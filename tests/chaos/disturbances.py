"""What may happen to a run: each is done to running processes, and then mended."""

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from deeplab_tf.data import tfrecord
from tests.chaos.command import STEPS, Command
from tests.processes import Processes

Disturbance = Callable[[Command, Processes, random.Random], str]


def _moment(processes: Processes, chance: random.Random) -> str:
    """Waits for a random moment: of the start, or after a random step."""
    if chance.random() < 0.3:
        seconds = chance.uniform(0.5, 15)
        processes.wait(seconds)
        return f"{seconds:.1f} s after its start"
    step, more = chance.randrange(1, STEPS), chance.uniform(0, 0.3)
    processes.wait_for_step(step)
    processes.wait(more)
    return f"{more:.2f} s after step {processes.step}"


def killed(command: Command, processes: Processes, chance: random.Random) -> str:
    """SIGKILL."""
    when = _moment(processes, chance)
    for worker in processes.workers:
        worker.kill()
    processes.end()
    return f"SIGKILL {when}"


def terminated(command: Command, processes: Processes, chance: random.Random) -> str:
    """SIGTERM: it may save, and must say so, if it had begun."""
    when = _moment(processes, chance)
    chance.choice(processes.workers).terminate()
    codes = processes.end()
    allowed = {0, 128 + signal.SIGTERM, -signal.SIGTERM}
    assert set(codes) <= allowed, (codes, processes.text())
    assert "Traceback" not in processes.text(), processes.text()
    return f"SIGTERM {when}: exit {codes[0]}"


def truncated(command: Command, processes: Processes, chance: random.Random) -> str:
    """SIGKILL, and the newest checkpoint is cut short as by a lost disk."""
    text = killed(command, processes, chance)
    found = sorted(
        command.folder.glob("model.ckpt-*.data-*"), key=lambda p: p.stat().st_mtime_ns
    )
    if len(found) < 2:  # Of the only one, nothing could be taken up.
        return f"{text}, no second checkpoint to cut the first"
    path = chance.choice([found[-1], found[-1].with_suffix(".index")])
    size = chance.randrange(path.stat().st_size)
    with path.open("r+b") as file:
        file.truncate(size)
    return f"{text}, {path.name} cut to {size} bytes"


def disk_full(command: Command, processes: Processes, chance: random.Random) -> str:
    """The disk of the run is full until the run has ended."""
    when = _moment(processes, chance)
    filler = command.folder.parent / "filler"
    size = shutil.disk_usage(command.folder.parent).free - 4096
    try:
        with filler.open("wb") as file:
            file.write(bytes(max(size, 0)))
    except OSError:  # The run wrote meanwhile.
        pass
    codes = processes.end()
    filler.unlink()
    assert set(codes) <= {0, 1}, (codes, processes.text())
    assert "Traceback" not in processes.text(), processes.text()
    return f"disk full {when}: exit {codes[0]}"


def shard_lost(command: Command, processes: Processes, chance: random.Random) -> str:
    """A shard is away, and comes back."""
    when = _moment(processes, chance)
    path = _shard(command, chance)
    away = path.with_name(f".{path.name}")
    path.rename(away)
    processes.workers[0].kill()
    processes.end()
    again = command.start()
    codes = again.end()
    away.rename(path)
    assert codes == [1] or (codes == [0] and processes.step == STEPS), again.text()
    assert "Traceback" not in again.text(), again.text()
    return f"{path.name} away, killed {when} and started without it: exit {codes[0]}"


def shard_damaged(command: Command, processes: Processes, chance: random.Random) -> str:
    """A shard is damaged while it is read, and copied again."""
    when = _moment(processes, chance)
    path = _shard(command, chance)
    whole = path.read_bytes()
    place = chance.randrange(len(whole) // 2)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(255 - byte for byte in whole[place : place + 64]))
    codes = processes.end()
    path.write_bytes(whole)
    assert set(codes) <= {0, 1}, (codes, processes.text())
    assert "Traceback" not in processes.text(), processes.text()
    return f"{path.name} damaged {when}: exit {codes[0]}"


def worker_lost(command: Command, processes: Processes, chance: random.Random) -> str:
    """One of two workers is killed; the other must end by itself."""
    when = _moment(processes, chance)
    lost = chance.randrange(len(processes.workers))
    processes.workers[lost].kill()
    codes = processes.end()
    if processes.step < STEPS:
        assert codes[1 - lost] not in (0, -signal.SIGKILL), processes.text()
    return f"worker {lost} killed {when}: the other one's exit {codes[1 - lost]}"


def _shard(command: Command, chance: random.Random) -> Path:
    paths = tfrecord.find_shards(str(command.records), "train")
    return Path(chance.choice(paths))


ALONE: tuple[Disturbance, ...] = (
    killed,
    terminated,
    truncated,
    disk_full,
    shard_lost,
    shard_damaged,
)
TOGETHER: tuple[Disturbance, ...] = (worker_lost, killed, terminated)
