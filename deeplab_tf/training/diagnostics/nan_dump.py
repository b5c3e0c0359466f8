"""NaN dump: a batch whose loss is not finite, kept for a look at it."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from deeplab_tf.checkpoints import reader, run_log
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import corrupt_records, image_files, pipeline, tfrecord
from deeplab_tf.data.pipeline import InputData, Sample
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.files import safe_name, write_whole
from deeplab_tf.training.diagnostics import diagnoses
from deeplab_tf.training.step import Metrics

FOLDER = "nan_dump"
_MOST = 16  # Images that are written.
_LINES = 5  # Of metrics.jsonl, before it.


def first_bad_step(metrics: Metrics, step: int) -> int | None:
    """The first step whose loss is not finite.

    Args:
        metrics: Of some steps.
        step: The last of them.
    """
    losses = metrics["loss"]
    bad = [i for i, loss in enumerate(losses) if not math.isfinite(loss)]
    return step - len(losses) + 1 + bad[0] if bad else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BadStep:
    """A step of which something is not finite.

    Attributes:
        step: From 1.
        what: "the loss is nan".
        rate: Learning rate.
        metrics: Of the steps up to it, or further, as `Logs.add` takes them.
        has_batch_norm: Whether the network has any.
        replicas: Devices over which a batch is spread.
    """

    step: int
    what: str
    rate: float
    metrics: Metrics
    has_batch_norm: bool
    replicas: int


def write(
    folder: Path,
    source: InputData,
    config: TrainConfig,
    spec: DatasetSpec,
    bad: BadStep,
) -> list[str]:
    """Keeps the batch of a step in `nan_dump/`, and what is known of it.

    The batch is made again, as it was: it follows from the seed and the step alone.

    Args:
        folder: Of the run.
        source: The split it was trained on.
        config: Of the training.
        spec: What the labels mean.
        bad: The step.

    Returns:
        The likeliest causes, and, if it could be written, where the batch is.

    Raises:
        InputError: A record can no longer be read.
    """
    batches = pipeline.training_batches(
        source,
        config.augment,
        config.train_batch_size,
        seed=config.seed,
        start=(bad.step - 1) * config.train_batch_size,
    )
    batch = next(corrupt_records.read_batches(batches.take(1), source.records))
    facts = dataclasses.asdict(bad) | {
        "before": run_log.read(folder)[-_LINES:],
        "checkpoint": _checkpoint(folder),
        "images": list(_images(batch)),
    }
    causes = diagnoses.of_not_finite(facts, config, spec)
    facts["causes"] = f"Likeliest: {'; or '.join(causes[:2])}"
    place = folder / FOLDER / f"step_{bad.step}"
    try:
        _save(place, facts, batch, spec)
    except OSError as error:
        logging.warning("%s could not be written (%s)", place, error.strerror)
        return [facts["causes"]]
    return [facts["causes"], f"The batch of step {bad.step}: {place}"]


def _save(
    place: Path, facts: Mapping[str, Any], batch: Sample, spec: DatasetSpec
) -> None:
    place.mkdir(parents=True, exist_ok=True)
    write_whole(place / "info.json", json.dumps(_plain(facts), indent=1) + "\n")
    pairs = zip(batch["image"].numpy(), batch["label"].numpy(), strict=True)
    for (image, label), one in zip(list(pairs)[:_MOST], facts["images"], strict=False):
        shown = np.clip(np.nan_to_num(image), 0, 255).astype(np.uint8)
        ids = np.clip(label[..., 0], 0, 255).astype(np.uint8)
        write_whole(place / f"{one['file']}_image.png", image_files.png(shown))
        mask = image_files.png(ids, spec.palette)
        write_whole(place / f"{one['file']}_label.png", mask)


def _images(batch: Sample) -> Iterator[dict[str, Any]]:
    """Yields what there is to know of each image, and how its files begin."""
    for i, name in enumerate(map(tfrecord.decode_name, batch["name"])):
        image, label = batch["image"][i].numpy(), batch["label"][i].numpy()
        ids, counts = np.unique(label, return_counts=True)
        yield {
            "name": name,
            "file": safe_name(f"{i:02d}_{name}"),
            "finite": bool(np.isfinite(image).all()),
            "min": float(image.min()),
            "max": float(image.max()),
            "pixels": dict(zip(map(str, ids.tolist()), counts.tolist(), strict=True)),
        }


def _checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint, and which of its weights are not finite."""
    newest = reader.newest(str(folder))
    if newest is None:
        return None
    try:
        stored = reader.open_checkpoint(newest)
        values = stored.values(stored.keys)
    except InputError as error:
        return {"prefix": newest, "damaged": str(error), "not_finite": []}
    bad = [name for name, value in values.items() if not np.isfinite(value).all()]
    return {"prefix": newest, "not_finite": bad}


def _plain(value: Any) -> Any:
    """What is not finite as text: JSON has no number for it."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
