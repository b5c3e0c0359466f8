"""Runs below a folder, read from their files; what is damaged is a remark, no error."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deeplab_tf.checkpoints import best_metric, run_log, run_settings, run_state
from deeplab_tf.checkpoints.run_state import RunState
from deeplab_tf.errors import InputError
from deeplab_tf.files import FolderLock, find_lock

# Folders within a run that are none of their own.
_PARTS = ("best", "damaged", "nan_dump")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedRun:
    """A run, as far as its files can be read.

    Attributes:
        folder: Of the run.
        name: The folder, below that which was asked for.
        state: How far it has come.
        best: Step and mIoU of its best evaluation; None without any.
        metric: Name and score, 0...1, of the best, where that is not by mIoU.
        seconds: That its steps took, without evaluations and pauses; None if unknown.
        last: When it wrote last, in seconds of Unix time; None if it never did.
        size: Bytes of its folder; what is linked within it counts once.
        settings: By the names of their flags; none where they cannot be read.
        lock: That lies there.
        remarks: On what is damaged or stale, a line each.
    """

    folder: Path
    name: str
    state: RunState
    best: tuple[int, float] | None
    metric: tuple[str, float | None] | None
    seconds: float | None
    last: float | None
    size: int
    settings: Mapping[str, Any]
    lock: FolderLock | None
    remarks: Sequence[str]

    @property
    def is_damaged(self) -> bool:
        """Whether its settings or its log cannot be read."""
        return any("cannot be read" in line for line in self.remarks)


def find_runs(folder: Path) -> list[ListedRun]:
    """Reads the runs in a folder, itself among them, by name."""
    places = [Path(place) for place, *_ in _walk(folder) if _is_run(Path(place))]
    return [_read(place, _name(place, folder)) for place in sorted(places)]


def sort_runs(runs: Sequence[ListedRun], by: str) -> list[ListedRun]:
    """Runs by "name", or the best ("miou"), farthest ("steps") or latest first."""
    if by == "name":
        return sorted(runs, key=lambda run: run.name)
    keys = {
        "miou": lambda run: run.best[1] if run.best else -1.0,
        "steps": lambda run: run.state.steps,
        "time": lambda run: run.last or 0.0,
    }
    return sorted(runs, key=keys[by], reverse=True)


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    for place, names, files in os.walk(folder):
        names[:] = [n for n in names if not n.startswith(".") and n not in _PARTS]
        yield place, names, files


def _is_run(place: Path) -> bool:
    if (place / run_log.FILE).is_file() or run_state.newest_step(place):
        return True
    try:  # Others than runs have settings, too.
        return b'"train_logdir"' in (place / run_settings.CONFIG).read_bytes()
    except OSError:
        return False


def _name(place: Path, folder: Path) -> str:
    return (
        folder.name or str(folder)
        if place == folder
        else str(place.relative_to(folder))
    )


def _read(folder: Path, name: str) -> ListedRun:
    remarks: list[str] = []
    settings, log = _read_settings(folder, remarks), _read_log(folder, remarks)
    lock = find_lock(folder)
    state = run_state.describe(folder, settings, log, lock)
    if lock and not lock.is_held:
        remarks.append(_stale(lock))
    metric = settings.get("best_metric", best_metric.MIOU)
    other = None
    if metric != best_metric.MIOU and best_metric.is_known(metric):
        top = run_log.best(run_log.scores_of(log, metric))
        other = metric, top[1] if top else None
    return ListedRun(
        folder=folder,
        name=name,
        state=state,
        best=run_log.best(run_log.scores_of(log)),
        metric=other,
        seconds=_seconds(settings, log),
        last=_last(folder, log),
        size=_size(folder),
        settings=settings,
        lock=lock,
        remarks=remarks,
    )


def _read_settings(folder: Path, remarks: list[str]) -> dict[str, Any]:
    if not (folder / run_settings.CONFIG).exists():  # As of research/deeplab.
        return {}
    try:
        return run_settings.read(folder)
    except (InputError, OSError) as error:
        remarks.append(f"settings cannot be read: {error}")
        return {}


def _read_log(folder: Path, remarks: list[str]) -> list[dict[str, Any]]:
    path = folder / run_log.FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        remarks.append(f"{path} cannot be read: {error.strerror}")
        return []
    if damaged := run_log.count_damaged(content):
        total = content.count(b"\n")
        remarks.append(f"{path}: {damaged} of {total} lines cannot be read")
    return run_log.parse(content)


def _stale(lock: FolderLock) -> str:
    who = "its process"
    if lock.owner:
        who = f"process {lock.owner.pid} on host {lock.owner.host}"
    return (
        f"stale lock: {who} is gone, or locks of its host are not seen here; "
        "train.py in the same folder goes on"
    )


def _seconds(
    settings: Mapping[str, Any], log: Sequence[Mapping[str, Any]]
) -> float | None:
    """By the speed of each interval, so that no pause counts."""
    batch, seconds, before = settings.get("train_batch_size"), 0.0, 0
    if not isinstance(batch, int):
        return None
    for line in log:
        speed = line.get("images_per_second")
        if isinstance(speed, int | float) and speed > 0:
            seconds += (line["step"] - before) * batch / speed
            before = line["step"]
    return seconds if before else None


def _last(folder: Path, log: Sequence[Mapping[str, Any]]) -> float | None:
    times = [line["time"] for line in log if isinstance(line.get("time"), int | float)]
    if times:
        return float(times[-1])
    written = [path.stat().st_mtime for path in folder.glob("model.ckpt-*.index")]
    return max(written, default=None)


def _size(folder: Path) -> int:
    sizes = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(place, name))
            except OSError:  # It was removed in this moment.
                continue
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())
