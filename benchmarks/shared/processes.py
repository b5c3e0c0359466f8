"""Measurements in processes of their own, each with a limit.

A process prints a line of JSON at its end; what it lacks of memory or time ends it, and
no other one.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


def gpus() -> list[str]:
    """Name and driver of each GPU, as nvidia-smi has them."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, check=False)
    return [] if listed.returncode else listed.stdout.strip().splitlines()


class Clock:
    """What is left of the time of all measurements."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()


def run(
    module: str,
    item: Any,
    *,
    limit: float,
    clock: Clock,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Runs `python -m module JSON`; prints and returns the item with what it found.

    Args:
        module: Prints a line of JSON at its end.
        item: A record of its settings.
        limit: Seconds that it may take.
        clock: What is left of all.
        environment: Variables beside those of this process.

    Returns:
        The item, and what was measured or "error": a line.
    """
    row = {name: value for name, value in vars(item).items() if value not in ("", 0)}
    seconds = min(limit, clock.left)
    if seconds < 5:
        return _show(row | {"error": "not measured: the time is up"})
    began = time.monotonic()
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        process = subprocess.run(
            [sys.executable, "-m", module, json.dumps(dataclasses.asdict(item))],
            cwd=_ROOT,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "2"}
            | dict(environment or {}),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _show(row | {"error": f"not done after {seconds:.0f} s"})
    row["process_s"] = time.monotonic() - began
    lines = process.stdout.strip().splitlines()
    try:
        return _show(row | json.loads(lines[-1]))
    except (IndexError, ValueError):
        said = process.stderr.strip().splitlines()
        return _show(row | {"error": _reason(said) or f"exit {process.returncode}"})


def _reason(lines: list[str]) -> str:
    """The line that says most: of memory, if one does, else of the error, or the last.

    JAX and TensorFlow have lines of their own behind that of the error.
    """
    short = [line for line in lines if "RESOURCE_EXHAUSTED" in line or "OOM" in line]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (short or errors or lines or [""])[-1].strip()[:300]


def _show(row: dict[str, Any]) -> dict[str, Any]:
    rounded = {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in row.items()
    }
    sys.stdout.write(json.dumps(rounded) + "\n")
    sys.stdout.flush()
    return row
