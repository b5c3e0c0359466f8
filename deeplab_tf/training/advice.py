"""What is worth knowing before a run costs hours."""

from collections.abc import Sequence

import keras
from absl import logging

from deeplab_tf.checkpoints.restoring import Report
from deeplab_tf.config import TrainConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.models.build import multiple
from deeplab_tf.models.custom import FrozenableBatchNorm
from deeplab_tf.models.names import layers_of, scope

_DECAYS = (0.5, 0.9, 0.95, 0.98, 0.99, 0.997)


def tell_classes(spec: DatasetSpec, split: str) -> None:
    """Lists the classes, with their share of the pixels where it was counted."""
    counts = spec.pixel_counts.get(split)
    total = sum(counts) if counts else 0
    shares = [f" {count / total:.1%}" for count in counts] if counts and total else []
    named = [
        f"{label} {name}{share}"
        for label, (name, share) in enumerate(
            zip(spec.classes, shares or [""] * spec.num_classes, strict=True)
        )
    ]
    logging.info("%s, %d classes: %s", spec.name, spec.num_classes, ", ".join(named))


def warn(config: TrainConfig, model: keras.Model, report: Report | None) -> None:
    """Warns of settings that are known to disappoint."""
    aligned = multiple(config.model)
    if any((side - 1) % aligned for side in config.augment.train_crop_size):
        logging.warning(
            "--train_crop_size: features align with the image where a side is a "
            "multiple of %d, plus one",
            aligned,
        )
    norms = [
        layer for layer in layers_of(model) if isinstance(layer, FrozenableBatchNorm)
    ]
    if any(not norm.frozen for norm in norms) and config.train_batch_size < 12:
        logging.warning(
            "Batch norm learns its statistics from %d images at a time, and results "
            "suffer below 12: take a larger --train_batch_size, or, from trained "
            "weights, --fine_tune_batch_norm=false",
            config.train_batch_size,
        )
    if norms and not config.fine_tune_batch_norm and report is None:
        logging.warning(
            "--fine_tune_batch_norm=false keeps the statistics of the initial "
            "checkpoint, and there is none: give --tf_initial_checkpoint"
        )
    _warn_of_unsettled_statistics(config, norms, report)


def _warn_of_unsettled_statistics(
    config: TrainConfig, norms: Sequence[FrozenableBatchNorm], report: Report | None
) -> None:
    restored = report.restored if report else ()
    new = [
        norm.momentum
        for norm in norms
        if not norm.frozen and f"{scope(norm)}/moving_mean" not in restored
    ]
    steps = config.optimizer.training_number_of_steps
    if new and (kept := max(new) ** steps) > 0.05:
        fast = [decay for decay in _DECAYS if decay**steps < 1e-3] or [_DECAYS[0]]
        logging.warning(
            "After %d steps the moving statistics of batch norm are still %.0f %% of "
            "their initial values (decay %g), and evaluation uses them: give "
            "--batch_norm_decay=%g, or train longer",
            steps,
            100 * kept,
            max(new),
            fast[-1],
        )
