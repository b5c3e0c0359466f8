"""What may have made a loss infinite: what is seen of it, before what is usual."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from deeplab_tf.config import TrainConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.training.diagnostics.warnings import ENOUGH_IMAGES

_GROWN = 10.0  # Times the median of the steps before: the rate is to blame.
_ABSURD = 100.0  # Times the loss of a network that knows nothing.
_HEAVY = 100.0  # Times the median of the class weights.


def likeliest(facts: Mapping[str, Any], config: TrainConfig, spec: DatasetSpec) -> str:
    """The two likeliest causes, and what would do, in one line.

    Args:
        facts: As `dump` writes them to `info.json`.
        config: Of the training.
        spec: What the labels mean.
    """
    found = [
        *_of_data(facts, spec),
        *_of_checkpoint(facts),
        *_of_scale(facts, config),
        *_of_weights(config, spec),
        *(grown := list(_of_growth(facts, config, spec))),
        *_of_batch_norm(facts, config),
        *([] if grown else _of_rate(config)),
        *_of_precision(config),
    ]
    return f"Likeliest: {'; or '.join(found[:2])}"


def _of_data(facts: Mapping[str, Any], spec: DatasetSpec) -> Iterator[str]:
    bad = [one["name"] for one in facts["images"] if not one["finite"]]
    if bad:
        yield f"image {bad[0]} has values that are not finite"
    if all(set(one["pixels"]) <= {str(spec.ignore_label)} for one in facts["images"]):
        yield (
            f"no pixel of the batch counts, all are {spec.ignore_label} (look at the "
            "labels, or take a larger --train_crop_size)"
        )


def _of_checkpoint(facts: Mapping[str, Any]) -> Iterator[str]:
    checkpoint = facts["checkpoint"]
    if checkpoint and checkpoint["not_finite"]:
        yield (
            f"{checkpoint['not_finite'][0]} is not finite in {checkpoint['prefix']} "
            "already (remove it, and the run goes on from the one before)"
        )


def _of_scale(facts: Mapping[str, Any], config: TrainConfig) -> Iterator[str]:
    scales = facts["metrics"].get("loss_scale", ())
    if config.devices.precision == "mixed_float16" and scales and scales[-1] <= 1:
        yield (
            f"float16 overflows even at a loss scale of {scales[-1]:g} "
            "(--precision=mixed_bfloat16 or float32)"
        )


def _of_weights(config: TrainConfig, spec: DatasetSpec) -> Iterator[str]:
    weights = np.array(config.loss.label_weights)
    if len(weights) != spec.num_classes:
        return
    label, median = int(weights.argmax()), np.median(weights)
    if weights[label] > _HEAVY * median:
        yield (
            f"class {spec.classes[label]} weighs {weights[label]:g}, the median class "
            f"{median:g} (give --label_weights that are closer together)"
        )


def _of_growth(
    facts: Mapping[str, Any], config: TrainConfig, spec: DatasetSpec
) -> Iterator[str]:
    sign = _too_large(facts, config, spec) or _growth(facts)
    if sign:
        yield (
            f"the learning rate, {facts['rate']:.3g}, is too high: {sign} "
            f"(--base_learning_rate={config.optimizer.base_learning_rate / 10:g}, or "
            "--gradient_clip_norm=10)"
        )


def _too_large(facts: Mapping[str, Any], config: TrainConfig, spec: DatasetSpec) -> str:
    """That a loss was beyond all that images can cost."""
    worst = max(_values(facts, "loss"), default=0.0)
    if config.loss.loss_normalization == "images" or config.loss.label_weights:
        return ""
    knows_nothing = math.log(spec.num_classes)
    if worst <= _ABSURD * knows_nothing:
        return ""
    return (
        f"the loss had been {worst:.3g}, of one that knows nothing {knows_nothing:.3g}"
    )


def _growth(facts: Mapping[str, Any]) -> str:
    """That the loss or the gradients grew in the steps before."""
    for name, noun in (("loss", "the loss"), ("gradient_norm", "the gradient's norm")):
        values = _values(facts, name)
        if len(values) < 2 or values[-1] <= _GROWN * np.median(values[:-1]):
            continue
        usual = np.median(values[:-1])
        return f"{noun} had grown from {usual:.3g} to {values[-1]:.3g}"
    return ""


def _values(facts: Mapping[str, Any], name: str) -> list[float]:
    """Of the intervals before and the last steps, those that are finite."""
    before = [line.get(name) for line in facts["before"]]
    values = [*before, *facts["metrics"].get(name, ())]
    return [value for value in values if value and math.isfinite(value)]


def _of_batch_norm(facts: Mapping[str, Any], config: TrainConfig) -> Iterator[str]:
    count = config.images_at_a_time
    learns = facts["has_batch_norm"] and config.fine_tune_batch_norm
    if learns and count < ENOUGH_IMAGES:
        yield (
            f"batch norm learns from {count} images at a time "
            "(--fine_tune_batch_norm=false from trained weights, or a larger batch)"
        )


def _of_rate(config: TrainConfig) -> Iterator[str]:
    """Without a sign of it, still the usual cause."""
    yield (
        f"--base_learning_rate={config.optimizer.base_learning_rate:g} is too high, or "
        "wants --slow_start_step or --gradient_clip_norm"
    )


def _of_precision(config: TrainConfig) -> Iterator[str]:
    if config.devices.precision == "mixed_float16":
        yield "float16 overflows (--precision=mixed_bfloat16 or float32)"
