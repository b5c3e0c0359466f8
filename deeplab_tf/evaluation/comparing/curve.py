"""The curve of a training: its evaluations by `eval.py`, a line a checkpoint."""

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import logging

from deeplab_tf.checkpoints import reader, run_curves, run_log
from deeplab_tf.config import EvalConfig
from deeplab_tf.config.effects import parts
from deeplab_tf.config.fields import Overrides
from deeplab_tf.files import name_in_error

FILE = "evaluations.jsonl"
# Flags that change no score.
_OF_THE_COMMAND = frozenset(
    {
        "eval_logdir",
        "eval_interval_secs",
        "max_number_of_evaluations",
        "continuous",
        "validate_labels",
        "checkpoint_dir",  # It stands beside them.
    }
)


class Curve:
    """`evaluations.jsonl`, a line an evaluation, and `curves.svg` of it.

    Args:
        config: Of the evaluations.
    """

    def __init__(self, config: EvalConfig) -> None:
        self._folder = Path(config.eval_logdir or "")
        self._settings = settings_of(config)

    def skips(self, prefix: str) -> bool:
        """Whether a checkpoint has a line already, of the same settings; says so."""
        written = Path(f"{prefix}.index").stat().st_mtime
        is_there = any(
            line.get("checkpoint") == prefix and line.get("time", 0) >= written
            for line in self._lines()
        )
        if is_there:
            logging.info("%s is in %s already", prefix, self._folder / FILE)
        return is_there

    def append(self, prefix: str, scores: Mapping[str, Any]) -> None:
        """Adds the scores of a checkpoint, as `metrics.json` has them, and draws."""
        line = {
            "step": reader.step_of(prefix),
            "time": round(time.time(), 3),
            "checkpoint": prefix,
            "settings": self._settings,
            **scores,
        }
        path = self._folder / FILE
        with name_in_error(path), path.open("ab+") as file:
            file.seek(max(0, file.seek(0, 2) - 1))
            is_cut = file.read() not in (b"", b"\n")  # By a kill, within its last line.
            file.write(b"\n" * is_cut + json.dumps(line).encode() + b"\n")
        if chart := run_curves.draw_scores([*self._lines()]):
            run_curves.write_charts(self._folder, [chart])

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Those of the same settings."""
        path = self._folder / FILE
        for line in run_log.parse(path.read_bytes()) if path.exists() else ():
            if line.get("settings") == self._settings:
                yield line


def settings_of(config: EvalConfig) -> dict[str, Any]:
    """Flags that were given, if they may change a score, as JSON has their values."""
    return json.loads(json.dumps(dict(_given(config))))


def _given(config: EvalConfig) -> Iterator[tuple[str, Any]]:
    """Yields name and value of each of them."""
    for part in parts(config):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if isinstance(value, Overrides):
                yield from value.given.items()
            elif (
                "help" in field.metadata
                and value != field.default
                and field.name not in _OF_THE_COMMAND
            ):
                yield field.name, value
