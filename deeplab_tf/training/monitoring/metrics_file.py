"""Metrics file: `metrics.jsonl`, a line an interval or evaluation.

Lines are appended, and a run that goes on drops those of steps after its checkpoint: it
writes them again, equal but for what the clock says.
"""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from deeplab_tf.checkpoints import run_log
from deeplab_tf.checkpoints.run_log import FILE
from deeplab_tf.errors import InputError
from deeplab_tf.files import write_whole
from deeplab_tf.text_files import explain, fits, read_json

PENDING = "metrics_pending.json"
_KEPT = 10  # Steps of which sums are pending: as many checkpoints may be damaged.


class History:
    """The lines of a run, from where it goes on.

    Args:
        folder: Of the run.
        step: Steps that are taken; lines of later ones are dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._path, self._pending = folder / FILE, folder / PENDING
        folder.mkdir(parents=True, exist_ok=True)
        self._cut(step)

    def append(self, step: int, facts: Mapping[str, Any]) -> None:
        """Adds a line; what is not finite becomes null, which JSON has."""
        line = {"step": step, "time": round(time.time(), 3), **facts}
        with _warn_of_full_disk(self._path), self._path.open("a") as file:
            file.write(json.dumps(_plain(line)) + "\n")

    def save_interval(self, step: int, interval: "Interval") -> None:
        """Notes what was not logged before a checkpoint at `step`."""
        before = self._all_pending()
        now = before | {str(step): interval.lasting()}
        if not interval.steps:
            del now[str(step)]
        if now == before:
            return
        with _warn_of_full_disk(self._pending):
            write_whole(self._pending, json.dumps(dict(list(now.items())[-_KEPT:])))

    def pending(self, step: int) -> "Interval":
        """What was noted at that step."""
        return Interval(self._all_pending().get(str(step), {}))

    def _all_pending(self) -> dict[str, dict[str, float]]:
        if not self._pending.exists():
            return {}
        try:
            with explain(self._pending, "sums of steps"):
                pending = read_json(self._pending, "sums of steps")
                if not fits(pending, Mapping[str, Mapping[str, float]]):
                    raise ValueError("objects of numbers are needed")
        except InputError as error:
            logging.warning("%s; the next line of %s lacks them", error, FILE)
            return {}
        return pending

    def _cut(self, step: int) -> None:
        """Drops lines of later steps, and the half of one that a kill leaves."""
        before = self._path.read_bytes() if self._path.exists() else b""
        kept = [
            json.dumps(line) for line in run_log.parse(before) if line["step"] <= step
        ]
        after = "".join(f"{line}\n" for line in kept).encode()
        if after != before:
            write_whole(self._path, after)


class Interval:
    """Sums over the steps since the last line.

    Args:
        sums: By name, of steps that an earlier process took.
    """

    def __init__(self, sums: Mapping[str, float]) -> None:
        self._sums = dict(sums)

    @property
    def steps(self) -> int:
        """How many were added."""
        return int(self._sums.get("steps", 0))

    @property
    def waited(self) -> float | None:
        """Seconds for which this process waited for data; None if it did not look."""
        return self._sums.get("data_wait")

    def add(self, metrics: Mapping[str, Sequence[float]]) -> None:
        """Adds the metrics of some steps; see `Logs.add`."""
        self._sum("steps", [1.0] * len(metrics["loss"]))
        for name in ("loss", "regularization", "skipped", "data_wait"):
            self._sum(name, metrics.get(name, ()))
        # That of a step which float16 made overflow says nothing of the others.
        norms = [
            norm for norm in metrics.get("gradient_norm", ()) if math.isfinite(norm)
        ]
        self._sum("gradient_norm", norms)
        self._sum("gradient_norms", [1.0] * len(norms))
        if scales := metrics.get("loss_scale"):
            self._sums["loss_scale"] = scales[-1]

    def _sum(self, name: str, values: Sequence[float]) -> None:
        if values:
            self._sums[name] = sum(values, self._sums.get(name, 0.0))

    def lasting(self) -> dict[str, float]:
        """The sums that are the same whenever and wherever these steps are taken."""
        return {name: sum for name, sum in self._sums.items() if name != "data_wait"}

    def means(self) -> dict[str, float]:
        """Means over the steps; of scales of the loss the last, of skipped the sum."""
        sums = self._sums
        means = {n: sums[n] / sums["steps"] for n in ("loss", "regularization")}
        if norms := sums.get("gradient_norms"):
            means["gradient_norm"] = sums["gradient_norm"] / norms
        return means | {n: sums[n] for n in ("loss_scale", "skipped") if n in sums}


@contextlib.contextmanager
def _warn_of_full_disk(path: Path) -> Iterator[None]:
    """Warns where a disk is full: a run is worth more than a line about it."""
    try:
        yield
    except OSError as error:
        logging.warning("%s could not be written (%s)", path, error.strerror)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
