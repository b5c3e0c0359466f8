"""Run state: how far a run has come, as far as the files of its folder say."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from deeplab_tf.checkpoints import best_metric, run_log, run_settings
from deeplab_tf.errors import InputError
from deeplab_tf.files import FolderLock, find_lock

State = Literal["running", "finished", "stopped", "crashed"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunState:
    """How far a run has come.

    Attributes:
        state: "running" while a process holds its folder; "finished" with all steps, or
            out of patience; "crashed" where the process left its lock behind; else
            "stopped".
        steps: That were taken: logged, while it runs; else those of its newest
            checkpoint, from which it would go on.
        total: Steps of the whole run; None where its settings are not known.
    """

    state: State
    steps: int
    total: int | None


def describe(
    folder: Path,
    settings: Mapping[str, Any],
    log: Sequence[Mapping[str, Any]],
    lock: FolderLock | None,
) -> RunState:
    """The state of a run.

    Args:
        folder: Of the run.
        settings: By name; none where they cannot be read.
        log: Lines of its `metrics.jsonl`.
        lock: Of the folder.
    """
    total, steps = settings.get("training_number_of_steps"), newest_step(folder)
    if not isinstance(total, int):
        total = None
    if lock and lock.is_held:
        steps = max([steps, *(line["step"] for line in log)])
        return RunState(state="running", steps=steps, total=total)
    if _has_all(steps, total, settings, log):
        return RunState(state="finished", steps=steps, total=total)
    return RunState(state="crashed" if lock else "stopped", steps=steps, total=total)


def is_finished(folder: Path) -> bool:
    """Whether no checkpoint will come any more: all steps are saved, or patience lost.

    Not where the folder does not say how many steps there are to be.
    """
    try:
        settings = run_settings.read(folder)
    except InputError:
        return False
    state = describe(folder, settings, run_log.read(folder), find_lock(folder))
    has_all = state.total is not None and newest_step(folder) >= state.total
    return has_all or state.state == "finished"


def newest_step(folder: Path) -> int:
    """The last step of which there is a checkpoint; 0 without one."""
    names = (path.name for path in folder.glob("model.ckpt-*.index"))
    steps = (re.fullmatch(r"model\.ckpt-(\d+)\.index", name) for name in names)
    return max((int(match[1]) for match in steps if match), default=0)


def _has_all(
    steps: int,
    total: int | None,
    settings: Mapping[str, Any],
    log: Sequence[Mapping[str, Any]],
) -> bool:
    if total is not None and steps >= total:
        return True
    patience = settings.get("early_stopping_patience")
    metric = settings.get("best_metric", best_metric.MIOU)
    if not (isinstance(patience, int) and best_metric.is_known(metric)):
        return False
    return run_log.is_out_of_patience(run_log.scores_of(log, metric), patience)
