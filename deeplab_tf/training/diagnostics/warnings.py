"""Warnings: what is worth knowing before a run costs hours."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from absl import logging

from deeplab_tf.checkpoints import keras_applications, reader, zoo
from deeplab_tf.checkpoints.restore import RestoreReport
from deeplab_tf.config import LossConfig, TrainConfig
from deeplab_tf.data import spec as spec_
from deeplab_tf.data import spec_compatibility
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.models.build import multiple
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.weight_names import layers_of, scope
from deeplab_tf.training.diagnostics import diagnoses
from deeplab_tf.training.diagnostics.diagnoses import Diagnosis
from deeplab_tf.training.losses.class_weights import PixelCounts

_FAR_ABOVE = 3.0  # Times the loss to expect.


def class_shares(
    spec: DatasetSpec, split: str, counted: PixelCounts | None, tally: LabelStatistics
) -> np.ndarray | None:
    """Share of each class in the labeled pixels of a split, `[C]`; None if unknown.

    Args:
        spec: What the ids mean, and how often they occur, where that is known.
        split: "train".
        counted: Of all records, if they were counted for this run.
        tally: Of the labels that were checked.
    """
    if counted is not None:
        pixels = counted.pixels
    elif split in spec.pixel_counts:
        pixels = np.array(spec.pixel_counts[split])
    else:
        pixels = np.array([tally.pixels.get(i, 0) for i in range(spec.num_classes)])
    labeled = np.where(np.arange(spec.num_classes) == spec.ignore_label, 0, pixels)
    return labeled / labeled.sum() if labeled.any() else None


def class_table(spec: DatasetSpec, loss: LossConfig, shares: np.ndarray | None) -> str:
    """A line for each class: id, name, share of the labeled pixels, weight."""
    width = max(map(len, spec.classes))
    lines = [
        f"{spec.name}, {spec.num_classes} classes, label {spec.ignore_label} ignored:",
        f" id  {'class':{width}} {'share':>8} {'weight':>8}",
    ]
    given = loss.label_weights or (1.0,)
    weights = given * spec.num_classes if len(given) == 1 else given
    for label, name in enumerate(spec.classes):
        share = "" if shares is None else f"{shares[label]:.3%}"
        weight = f"{weights[label]:.4f}"
        if label == spec.ignore_label:
            share, weight = "", "ignored"
        lines.append(f"{label:3d}  {name:{width}} {share:>8} {weight:>8}")
    return "\n".join(lines)


def warn_of_other_classes(
    spec: DatasetSpec, initial: str, excluded: Sequence[str]
) -> None:
    """Warns where logits start from those of other classes, of the same number."""
    if excluded or keras_applications.is_keras_file(initial):
        return
    if zoo.is_name(initial):
        before = zoo.find(initial).spec
    else:
        before = spec_.load(Path(reader.find_checkpoint(initial)).parent)
    if before is None or before.num_classes != spec.num_classes:
        return  # Shapes tell.
    if how := spec_compatibility.difference(before, spec):
        logging.warning(
            "%s was trained on %s: %s. Its logits are taken all the same; "
            "--initialize_last_layer=false --last_layers_contain_logits_only=true "
            "starts them anew",
            initial,
            before.name,
            how.what,
        )


def warn_of_settings(
    config: TrainConfig,
    model: keras.Model,
    report: RestoreReport | None,
    replicas: int = 1,
) -> None:
    """Warns of settings that are known to disappoint; see `diagnose_settings`."""
    diagnosis = diagnose_settings(config, model, report, replicas)
    for sentence in (*diagnosis.wrong, *diagnosis.advice):
        logging.warning("%s", sentence)


def diagnose_settings(
    config: TrainConfig,
    model: keras.Model,
    report: RestoreReport | None,
    replicas: int = 1,
) -> Diagnosis:
    """What is known of settings before the first step.

    Args:
        config: All settings.
        model: In its training form.
        report: What became of the initial checkpoint's weights, if there is one.
        replicas: Devices over which a batch is spread.
    """
    norms = [
        layer for layer in layers_of(model) if isinstance(layer, FrozenableBatchNorm)
    ]
    learning = [norm for norm in norms if not norm.frozen]
    restored = report.restored if report else ()
    return diagnoses.of_settings(
        diagnoses.Settings(
            crop_size=config.augment.train_crop_size,
            multiple=multiple(config.model),
            images=config.batch_norm_images(replicas),
            steps=config.optimizer.training_number_of_steps,
            learns_statistics=bool(learning),
            lacks_statistics=bool(norms)
            and not config.fine_tune_batch_norm
            and report is None,
            new_decays=[
                norm.momentum
                for norm in learning
                if f"{scope(norm)}/moving_mean" not in restored
            ],
        )
    )


def expected_first_loss(
    loss: LossConfig,
    shares: np.ndarray | None,
    num_classes: int,
    loss_weights: Sequence[float],
) -> float | None:
    """The loss of a network that takes all classes for equally likely.

    Cross entropy of it is ln C, focal's (1 - 1/C) ** gamma times that; both times the
    mean weight of the labels.

    Args:
        loss: Which losses, with the weights of the classes.
        shares: See `class_shares`.
        num_classes: C.
        loss_weights: What each of the logits counts.

    Returns:
        None where it depends on the images: of other losses, or of their sums.
    """
    factors = {
        "cross_entropy": 1.0,
        "focal": (1.0 - 1.0 / num_classes) ** loss.focal_gamma,
    }
    known = all(name in factors for name, _ in loss.terms)
    if not known or loss.loss_normalization != "pixels":
        return None
    given = np.array(loss.label_weights or (1.0,))
    if len(given) == 1 or shares is None:
        weight = float(given.mean())
    else:
        weight = float(np.sum(given * shares))
    factor = sum(factors[name] * times for name, times in loss.terms)
    return float(factor * weight * sum(loss_weights) * np.log(num_classes))


def log_first_loss(
    observed: float, expected: float | None, initial: str | None
) -> None:
    """Logs the loss of the first step beside the one to expect.

    Args:
        observed: Of the first step.
        expected: See `expected_first_loss`; where it is None, nothing is logged.
        initial: The checkpoint from which the run started, if there is one.
    """
    if expected is None:
        return
    both = "Loss of the first step: %.4f; that of a network that knows nothing: %.4f"
    if initial or observed <= _FAR_ABOVE * expected:
        logging.info(both, observed, expected)
        return
    logging.warning(
        both + ". So far above, initial values or labels are odd: look at the classes "
        "above and at --save_summaries_images, or start from --tf_initial_checkpoint",
        observed,
        expected,
    )
