"""Run log: what the lines of a run's `metrics.jsonl` say, and which scored best."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeplab_tf.checkpoints import best_metric
from deeplab_tf.text_files import fits

FILE = "metrics.jsonl"


def read(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of a run's log; none without such a file."""
    path = folder / FILE
    return parse(path.read_bytes()) if path.exists() else []


def parse(content: bytes) -> list[dict[str, Any]]:
    """The whole lines of a log; one that is damaged costs no other."""
    return list(filter(None, map(_line, content.split(b"\n"))))


def count_damaged(content: bytes) -> int:
    """Lines that cannot be read, but for the half of the last, which a kill leaves."""
    lines = content.split(b"\n")[:-1]
    return sum(bool(line.strip()) and _line(line) is None for line in lines)


def scores(folder: Path, metric: str = best_metric.MIOU) -> dict[int, float | None]:
    """Step -> score of each evaluation of a run, in the order of the steps."""
    return scores_of(read(folder), metric)


def scores_of(
    lines: Sequence[Mapping[str, Any]], metric: str = best_metric.MIOU
) -> dict[int, float | None]:
    """Step -> score of each evaluation among the lines, in the order of the steps."""
    by_step = {
        line["step"]: best_metric.value(line, metric)
        for line in lines
        if "miou" in line
    }
    return dict(sorted(by_step.items()))


def best(scores: Mapping[int, float | None]) -> tuple[int, float] | None:
    """Step and score of the best evaluation, of equal ones the first; None without any.

    Args:
        scores: Step -> score; None where no pixel counted, which is no score.
    """
    known = _known(scores)
    if not known:
        return None
    step = max(known, key=lambda step: known[step])
    return step, known[step]


def is_out_of_patience(scores: Mapping[int, float | None], patience: int) -> bool:
    """Early stopping: whether so many evaluations came after the best one.

    Never with a patience of 0, nor by evaluations without a score. It follows from the
    scores alone: a run that goes on decides as one that did not stop.
    """
    top = best(scores)
    if not (patience and top):
        return False
    return sum(later > top[0] for later in _known(scores)) >= patience


def _known(scores: Mapping[int, float | None]) -> dict[int, float]:
    """Step -> score of the evaluations that have one, in the order of the steps."""
    return {step: score for step, score in sorted(scores.items()) if score is not None}


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    whole = (
        isinstance(line, dict)
        and fits(line.get("step"), int)
        and fits(line.get("miou"), float | None)
    )
    return line if whole else None
