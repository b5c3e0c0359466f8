"""Outcome of a run: what it reached, where that lies, and which commands come next."""

import itertools
import math
from pathlib import Path
from typing import Any

from deeplab_tf import console
from deeplab_tf.checkpoints import best_metric, manager, run_curves, run_log
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import tfrecord
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.training.monitoring.logs import format_score


def describe(folder: Path, config: TrainConfig, spec: DatasetSpec, step: int) -> str:
    """Lines for the end of a run whose last checkpoint is written.

    Args:
        folder: Of the run.
        config: Its settings.
        spec: Its classes, and of tensorflow_datasets its splits.
        step: Steps that were taken.
    """
    best = manager.best_scores(folder)
    losses = [line["loss"] for line in run_log.read(folder) if "loss" in line]
    reached = [f"Trained {step} steps"]
    if losses and losses[-1] is not None and math.isfinite(losses[-1]):
        reached.append(f"loss {losses[-1]:.4f}")
    if best:
        metric = config.watch.best_metric
        score = format_score(best_metric.value(best, metric))
        reached.append(
            f"best {best_metric.title(metric)} {score} at step {best['step']}"
        )
    lines = [
        ", ".join(reached),
        f"Checkpoints: {folder / f'model.ckpt-{step}'}"
        + (f"; the best in {folder / manager.BEST}" if best else ""),
        f"Numbers: {folder / run_log.FILE}; curves: {folder / run_curves.FILE}, or "
        f"tensorboard --logdir={folder}",
        "Next:",
        *(f"  {line}" for line in _next_commands(folder, config, spec, bool(best))),
    ]
    return "\n".join(lines)


def _next_commands(
    folder: Path, config: TrainConfig, spec: DatasetSpec, has_best: bool
) -> list[str]:
    """Evaluation, pictures and export of the run, each to be copied into a shell."""
    checkpoint = folder / manager.BEST if has_best else folder
    records: dict[str, Any] = {
        "dataset": config.data.dataset,
        "dataset_dir": config.data.dataset_dir,
    }
    lines = []
    if split := _held_out_split(config, spec):
        given = None if split == "val" else split
        for name in ("eval", "vis"):
            flags = {f"{name}_split": given, f"{name}_logdir": folder / name}
            line = console.command_line(
                name, checkpoint_dir=checkpoint, **records, **flags
            )
            lines.append(line)
    names = itertools.chain(["exported"], (f"exported-{n}" for n in itertools.count(2)))
    exported = next(folder / name for name in names if not (folder / name).exists())
    return [
        *lines,
        console.command_line(
            "export", checkpoint_path=checkpoint, export_path=exported
        ),
    ]


def _held_out_split(config: TrainConfig, spec: DatasetSpec) -> str | None:
    """The split to evaluate on; None where there is but that of the training."""
    if config.watch.eval_interval_steps:
        return config.watch.eval_split
    splits = set(
        spec.split_sizes
        if config.data.tfds
        else tfrecord.splits(config.data.dataset_dir or "")
    )
    others = sorted(name for name in splits if not name.startswith("train"))
    preferred = (
        name
        for start in ("val", "test", "")
        for name in others
        if name.startswith(start)
    )
    return next(preferred, None)
