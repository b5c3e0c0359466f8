"""One pass over a split with a trained network."""

from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from tqdm import tqdm

from deeplab_tf.checkpoints import trained
from deeplab_tf.checkpoints.trained import Trained
from deeplab_tf.config import EvalConfig, InferenceConfig
from deeplab_tf.data import specs, tfrecord, validation
from deeplab_tf.data.pipeline import Sample
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import metrics, report
from deeplab_tf.files import check_writable


def evaluate(config: EvalConfig) -> dict[str, Any]:
    """Scores a network, or each new checkpoint of it; returns the last scores.

    Args:
        config: All settings.

    Returns:
        What `metrics.json` holds.

    Raises:
        InputError: Something given is not usable; nothing was written.
    """
    check_writable("eval_logdir", config.eval_logdir)
    scores: dict[str, Any] = {}
    for path in trained.rounds(
        config.checkpoint_dir or "",
        config.max_number_of_evaluations,
        config.eval_interval_secs,
    ):
        scores = _evaluate(config, path)
    return scores


def _evaluate(config: EvalConfig, path: str) -> dict[str, Any]:
    directory = config.data.dataset_dir or ""
    run = trained.find_run(path)
    spec = specs.resolve(config.data.dataset, directory, run.spec)
    shards = tfrecord.find_shards(directory, config.eval_split)
    validation.check_records(shards, spec, config.validate_labels)
    network = trained.load(
        path,
        run,
        spec,
        model=config.model,
        resize=config.resize,
        crop_size=config.eval_crop_size,
        compatibility=config.compatibility,
    )
    confusion, num_images = confusion_of(
        network, shards, config.inference, batch_size=config.eval_batch_size
    )
    scores = report.summary(confusion, spec, num_images)
    logging.info("%s", report.table(confusion, spec))
    report.warn_of_collapse(confusion, spec)
    folder = Path(config.eval_logdir or "")
    tag = _tag(config.inference)
    report.write(folder, scores, confusion, step=network.step, tag=tag)
    logging.info("Wrote %s", folder / "metrics.json")
    return scores


def confusion_of(
    network: Trained, shards: list[str], looks: InferenceConfig, *, batch_size: int
) -> tuple[np.ndarray, int]:
    """Confusion matrix of a network over records, `[C, C]`, and their number."""
    classes = network.classifier(looks)
    spec, confusion = network.spec, np.zeros((network.spec.num_classes,) * 2, np.int64)
    total = sum(tfrecord.count(path) for path in shards)
    num_images = 0
    with tqdm(total=total, unit="image", disable=None) as bar:
        for batch in network.batches(shards, batch_size):
            confusion += _confusion(batch, classes(batch["image"]).numpy(), spec)
            num_images += len(batch["name"])
            bar.update(len(batch["name"]))
    return confusion, num_images


def _confusion(batch: Sample, predicted: np.ndarray, spec: DatasetSpec) -> np.ndarray:
    label = batch["label"].numpy()[..., 0]
    try:
        return metrics.confusion_matrix(
            label, predicted, spec.num_classes, spec.ignore_label
        )
    except ValueError as error:
        names = ", ".join(name.decode() for name in batch["name"].numpy())
        raise InputError(f"label of {names}: {error}") from None


def _tag(looks: InferenceConfig) -> str:
    """As the official event files have it: `miou_1.0`."""
    scales = "".join(f"_{scale}" for scale in looks.eval_scales)
    return f"miou{scales}" + ("_flipped" if looks.add_flipped_images else "")
