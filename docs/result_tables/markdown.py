"""What results are read by, and what tables of Markdown are made of."""

import functools
import json
from collections.abc import Iterable, Sequence
from typing import Any

from keep_result import RESULTS

NOT_MEASURED = "not measured"


@functools.cache
def read(name: str) -> Any:
    """What a run measured; None where it was not run.

    Args:
        name: Folder and name in results/.
    """
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["measured"] if path.exists() else None


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float, digits: int = 2) -> str:
    """A share as percent, without its sign."""
    return f"{100 * share:.{digits}f}"


def with_interval(value: float, interval: Sequence[float] | None) -> str:
    """A share and its interval in percent."""
    if not interval:
        return percent(value)
    return f"{percent(value)} ({percent(interval[0], 1)} to {percent(interval[1], 1)})"


def change(difference: float, interval: Sequence[float] | None) -> str:
    """A difference of shares in points, with its sign, and its interval."""
    if not interval:
        return f"{100 * difference:+.2f}"
    low, high = (f"{100 * end:+.1f}" for end in interval)
    return f"{100 * difference:+.2f} ({low} to {high})"
