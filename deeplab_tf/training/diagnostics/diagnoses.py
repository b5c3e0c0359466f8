"""Diagnoses: what is seen of a run -> what is likely wrong, and the flag that helps.

A table for each occasion, of signs, which are conditions on numbers, and sentences.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deeplab_tf.config import TrainConfig
from deeplab_tf.data.spec import DatasetSpec

ENOUGH_IMAGES = 12  # For the statistics of batch norm; those of fewer are noise.
_DECAYS = (0.5, 0.9, 0.95, 0.98, 0.99, 0.997)
_MUCH_IGNORED = 0.8  # Share of a batch.
_GROWN = 10.0  # Times the loss or gradient before: the learning rate is to blame.
_ABSURD = 100.0  # Times the loss of a network that knows nothing.
_HEAVY = 100.0  # Times the median of the class weights.
_RATIO = 0.1  # Of change to weights in a step, beyond which nothing is learned.
_GOOD_RATIO = 5e-3
_KNOWN = 0.98  # Share of one batch's pixels: of edges, some are odd.
_LAGS = 0.05  # By so much, moving statistics are behind.
_ALL = 0.999
_ROSE, _STOOD = 1.5, 0.98  # Last loss by the first.
_FALLS = 0.9  # Last loss by that of half the steps.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Sentences on what would end a run badly, and on what would be better."""

    wrong: Sequence[str] = ()
    advice: Sequence[str] = ()


def _holding(*rows: tuple[object, str]) -> tuple[str, ...]:
    """Sentences of the rows whose sign holds."""
    return tuple(sentence for sign, sentence in rows if sign)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What is known before the first step.

    Attributes:
        crop_size: Height and width.
        multiple: Sides of this, times a whole number, plus one, align with features.
        images: From which batch norm takes its statistics.
        steps: Of the run.
        learns_statistics: Whether a batch norm does.
        lacks_statistics: Whether they are frozen, and no checkpoint has them.
        new_decays: Of the moving statistics that start anew.
    """

    crop_size: Sequence[int]
    multiple: int
    images: int
    steps: int
    learns_statistics: bool
    lacks_statistics: bool
    new_decays: Sequence[float] = ()


def of_settings(seen: Settings) -> Diagnosis:
    """What is known to disappoint."""
    images, steps, learns = seen.images, seen.steps, seen.learns_statistics
    decay = max(seen.new_decays, default=0.0)
    settled = max((d for d in _DECAYS if d**steps < 1e-3), default=_DECAYS[0])
    return Diagnosis(
        wrong=_holding(
            (
                learns and images == 1,
                "Batch norm sees one image at a time, and makes 0 of what is pooled "
                "over it: take --train_batch_size=12 or more, or, from trained "
                "weights, --fine_tune_batch_norm=false",
            )
        ),
        advice=_holding(
            (
                any((side - 1) % seen.multiple for side in seen.crop_size),
                "--train_crop_size: features align with the image where a side is a "
                f"multiple of {seen.multiple}, plus one",
            ),
            (
                learns and 1 < images < ENOUGH_IMAGES,
                f"Batch norm learns its statistics from {images} images at a time, and "
                f"results suffer below {ENOUGH_IMAGES}: take a larger "
                "--train_batch_size, or, from trained weights, "
                "--fine_tune_batch_norm=false",
            ),
            (
                seen.lacks_statistics,
                "--fine_tune_batch_norm=false keeps the statistics of the initial "
                "checkpoint, and there is none: give --tf_initial_checkpoint",
            ),
            (
                decay**steps > 0.05,
                f"After {steps} steps the moving statistics of batch norm are still "
                f"{100 * decay**steps:.0f} % of their initial values (decay "
                f"{decay:g}), and evaluation uses them: give "
                f"--batch_norm_decay={settled:g}, or train longer",
            ),
        ),
    )


def of_first_batch(ignored: float, ignore_label: int) -> Diagnosis:
    """Of a batch of which that share of the pixels is ignored."""
    return Diagnosis(
        wrong=_holding(
            (
                ignored == 1,
                f"all labels of the first batch are {ignore_label}, the ignore label: "
                "look at them",
            )
        ),
        advice=_holding(
            (
                _MUCH_IGNORED < ignored < 1,
                f"{ignored:.0%} of the first batch's pixels are ignored: where images "
                "are smaller than the crop, take a smaller --train_crop_size; else "
                "look at the labels",
            )
        ),
    )


def of_two_steps(
    losses: Sequence[float], expected: float | None, change: float, base_rate: float
) -> Diagnosis:
    """Whether the learning rate is far too high, by what it did.

    Args:
        losses: Of both steps.
        expected: Loss of a network that knows nothing, if it is known.
        change: Norm of the change of all kernels in a step at the full rate, by their
            norm.
        base_rate: The full rate.
    """
    first, second = losses
    usual = max(first, expected or 0.0)
    explodes = math.isfinite(first) and not second <= _GROWN * usual
    better = base_rate / 10
    if math.isfinite(change) and change > 0:
        better = min(better, base_rate * _GOOD_RATIO / change)
    high = f"--base_learning_rate={base_rate:g} is too high: "
    take = f"; take --base_learning_rate={_round_down(better):g}"
    return Diagnosis(
        wrong=_holding(
            (
                explodes,
                f"{high}the loss went from {first:.4g} to {second:.4g} in one step"
                f"{take}",
            ),
            (
                change > _RATIO,
                f"{high}a step would change the kernels by {change:.2g} of their norm"
                f"{take}",
            ),
        )[:1]
    )


def _round_down(value: float) -> float:
    """To one digit."""
    power = 10.0 ** math.floor(math.log10(value))
    return math.floor(value / power + 1e-9) * power


def of_not_finite(
    facts: Mapping[str, Any], config: TrainConfig, spec: DatasetSpec
) -> tuple[str, ...]:
    """What may have made a loss infinite: what is seen of it, before what is usual.

    Args:
        facts: Of the step, as `nan_dump` writes them to `info.json`.
        config: Of the training.
        spec: What the labels mean.
    """
    is_float16 = config.devices.precision == "mixed_float16"
    scale = (facts["metrics"].get("loss_scale") or [math.inf])[-1]
    weights = np.array(config.loss.label_weights or (1.0,))
    heaviest, median = int(weights.argmax()), float(np.median(weights))
    learns = facts["has_batch_norm"] and config.fine_tune_batch_norm
    images = config.batch_norm_images(facts["replicas"])
    is_local = facts["replicas"] > 1 and not config.devices.sync_batch_norm
    rate, growth = config.optimizer.base_learning_rate, _growth(facts, config, spec)
    return _holding(
        *_signs_in_batch(facts, spec),
        (
            is_float16 and scale <= 1,
            f"float16 overflows even at a loss scale of {scale:g} "
            "(--precision=mixed_bfloat16 or float32)",
        ),
        (
            weights[heaviest] > _HEAVY * median,
            f"class {spec.classes[heaviest]} weighs {weights[heaviest]:g}, the median "
            f"class {median:g} (give --label_weights that are closer together)",
        ),
        (
            growth,
            f"the learning rate, {facts['rate']:.3g}, is too high: {growth} "
            f"(--base_learning_rate={rate / 10:g}, or --gradient_clip_norm=10)",
        ),
        (
            learns and images < ENOUGH_IMAGES,
            f"batch norm learns from {images} image{'s' if images > 1 else ''} at a "
            f"time ({'--sync_batch_norm=true, ' if is_local else ''}"
            "--fine_tune_batch_norm=false from trained weights, or a larger batch)",
        ),
        (  # Without a sign of it, still the usual cause.
            not growth,
            f"--base_learning_rate={rate:g} is too high, or wants --slow_start_step or "
            "--gradient_clip_norm",
        ),
        (is_float16, "float16 overflows (--precision=mixed_bfloat16 or float32)"),
    )


def _signs_in_batch(
    facts: Mapping[str, Any], spec: DatasetSpec
) -> tuple[tuple[object, str], ...]:
    """Signs and sentences on what the step began with: its images, labels, weights."""
    images, ignored = facts["images"], {str(spec.ignore_label)}
    bad_images = [one["name"] for one in images if not one["finite"]]
    checkpoint = facts["checkpoint"] or {"not_finite": []}
    return (
        (
            bad_images,
            f"image {''.join(bad_images[:1])} has values that are not finite",
        ),
        (
            all(set(one["pixels"]) <= ignored for one in images),
            f"no pixel of the batch counts, all are {spec.ignore_label} (look at the "
            "labels, or take a larger --train_crop_size)",
        ),
        (
            checkpoint["not_finite"],
            f"{''.join(checkpoint['not_finite'][:1])} is not finite in "
            f"{checkpoint.get('prefix')} already (remove it, and the run goes on from "
            "the one before)",
        ),
    )


def _growth(facts: Mapping[str, Any], config: TrainConfig, spec: DatasetSpec) -> str:
    """That a loss was beyond all that images can cost, or that it or gradients grew."""

    def values(name: str) -> list[float]:
        """Of the intervals before and the last steps, those that are finite."""
        before = [line.get(name) for line in facts["before"]]
        known = (*before, *facts["metrics"].get(name, ()))
        return [value for value in known if value and math.isfinite(value)]

    worst, chance = max(values("loss"), default=0.0), math.log(spec.num_classes)
    of_pixels = config.loss.loss_normalization == "pixels"
    if of_pixels and not config.loss.label_weights and worst > _ABSURD * chance:
        return f"the loss had been {worst:.3g}, of one that knows nothing {chance:.3g}"
    for name, noun in (("loss", "the loss"), ("gradient_norm", "the gradient's norm")):
        *before, last = values(name) or [0.0]
        usual = np.median(before) if before else math.inf
        if last > _GROWN * usual:
            return f"{noun} had grown from {usual:.3g} to {last:.3g}"
    return ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneBatch:
    """What a network says of the one batch that it was trained on.

    Attributes:
        labels: Pixels by true class, `[C]`; ignored ones are not among them.
        predicted: The same pixels by the class that training predicts, `[C]`.
        right: How many of them are right,
        right_later: and how many with the moving statistics of batch norm.
        losses: Of the run so far, mean of each line of the log.
        rate: `--base_learning_rate`.
        steps: Of the run.
    """

    labels: np.ndarray
    predicted: np.ndarray
    right: int
    right_later: int
    losses: Sequence[float]
    rate: float
    steps: int


def of_one_batch(seen: OneBatch, spec: DatasetSpec) -> tuple[bool, str]:
    """Whether it is known by heart, and a line on it: the likeliest cause if not."""
    total = int(seen.labels.sum())
    share, later = (n / max(total, 1) for n in (seen.right, seen.right_later))
    losses = seen.losses or [0.0]
    first, half, last = losses[0], losses[len(losses) // 2], losses[-1]
    favorite = int(seen.predicted.argmax())
    favorite_share = seen.labels[favorite] / max(total, 1)
    lower, higher = (f"--base_learning_rate={seen.rate * by:g}" for by in (0.1, 10))
    other = higher if last > _STOOD * first else lower
    more = f"--training_number_of_steps={2 * seen.steps}"
    went = f"the loss went from {first:.4g} to {last:.4g}"
    heart = f"One batch is overfitted, known by heart: {share:.1%} of its pixels"
    if total and share >= _KNOWN:
        lag = (
            f"; as evaluation computes them, {later:.1%}: moving statistics of batch "
            "norm lag behind, which more steps or --batch_norm_decay=0.9 make good"
        )
        return True, heart + (lag if share - later > _LAGS else "")
    if not total:
        return False, (
            f"One batch cannot be learned: no pixel of it counts, all are "
            f"{spec.ignore_label}, the ignore label; look at the labels, or take a "
            "larger --train_crop_size"
        )
    cause, *_ = _holding(
        (last > _ROSE * first, f"{went}, the learning rate is too high: {lower}"),
        (
            seen.predicted.max() > _ALL * seen.predicted.sum(),
            f"all are taken for {spec.classes[favorite]}, which {favorite_share:.1%} "
            f"are, and {went}: {other}, and look at the labels "
            "(--save_summaries_images)",
        ),
        (last < _FALLS * half, f"{went}, and still falls: {more}, or {higher}"),
        (True, f"{went}, too slowly: {higher}, or {more}"),
    )
    return False, (
        f"One batch is not overfitted (known by heart) after {seen.steps} steps: "
        f"{share:.1%} of its pixels; {cause}"
    )
