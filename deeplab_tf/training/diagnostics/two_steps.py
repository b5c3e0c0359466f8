"""What two steps tell of the settings."""

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from deeplab_tf.config import TrainConfig
from deeplab_tf.training.step import Trainer

MUCH_IGNORED = 0.8  # Share of a batch.
_RATIO = 0.1  # Of change to weights in a step, beyond which nothing is learned.
_GOOD_RATIO = 5e-3
_GROWN = 10.0  # Times the first loss.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps:
    """Two steps of a run.

    Attributes:
        metrics: As those of `Trainer.run`.
        seconds: That each took; the first one compiles.
        rate: Learning rate of the first one.
        ratio: Norm of the change of all kernels in it by their norm.
    """

    metrics: Mapping[str, Sequence[float]]
    seconds: Sequence[float]
    rate: float
    ratio: float


def take_two(trainer: Trainer, batches: Iterator) -> Steps:
    """Two steps of a trainer, and what is seen of them."""
    metrics: list[Mapping[str, Any]] = []
    seconds, before = [], _kernels(trainer)
    rate, ratio = float(trainer.optimizer.learning_rate.numpy()), math.nan
    for step in range(2):
        began = time.monotonic()
        metrics.append(trainer.run(batches, 1))
        seconds.append(time.monotonic() - began)
        if not step:
            ratio = _ratio(before, _kernels(trainer))
    found = {
        name: [value for each in metrics for value in each[name]] for name in metrics[0]
    }
    return Steps(metrics=found, seconds=seconds, rate=rate, ratio=ratio)


def _kernels(trainer: Trainer) -> list[np.ndarray]:
    """Values of all weights that are no vector."""
    return [each.numpy() for each in trainer.weights.values() if len(each.shape) > 1]


def _ratio(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    """Norm of the change by the norm of what changes."""
    change = sum(
        float(np.sum(np.square(new - old, dtype=np.float64)))
        for old, new in zip(before, after, strict=True)
    )
    norm = sum(float(np.sum(np.square(old, dtype=np.float64))) for old in before)
    return math.sqrt(change / norm) if norm else math.nan


def facts(steps: Steps, config: TrainConfig) -> list[str]:
    """Lines on loss, learning and time."""
    first, second = steps.metrics["loss"]
    total = config.optimizer.training_number_of_steps
    return [
        f"Loss: {first:.4g}, then {second:.4g}",
        f"Learning: the first step changed the kernels by {steps.ratio:.2g} of their "
        f"norm, at a learning rate of {steps.rate:.3g}",
        f"Time: {steps.seconds[0]:.0f} s to compile, {steps.seconds[1]:.2g} s a step"
        f"{_waited(steps)}; {total} steps: about {_hours(total * steps.seconds[1])}, "
        "as far as two steps tell",
    ]


def _waited(steps: Steps) -> str:
    if "data_wait" not in steps.metrics:
        return ""
    share = steps.metrics["data_wait"][1] / max(steps.seconds[1], 1e-9)
    return f" ({share:.0%} of it waiting for data)"


def _hours(seconds: float) -> str:
    if seconds < 7200:
        return f"{max(1, round(seconds / 60))} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def rate_too_high(
    steps: Steps, config: TrainConfig, expected: float | None
) -> str | None:
    """Whether the learning rate is far too high, by what it did; one line with advice.

    A warm-up's first rate says little of the full one, so the change of the weights is
    that which the full one would make; it is in proportion to the rate.

    Args:
        steps: The two.
        config: All settings.
        expected: Loss of a network that knows nothing, if it is known.
    """
    base = config.optimizer.base_learning_rate
    ratio = steps.ratio * base / steps.rate if steps.rate else steps.ratio
    sign = _sign(steps, expected)
    if not sign and ratio > _RATIO:
        sign = f"a step would change the kernels by {ratio:.2g} of their norm"
    if not sign:
        return None
    better = base / 10
    if math.isfinite(ratio) and ratio > 0:
        better = min(better, base * _GOOD_RATIO / ratio)
    return (
        f"--base_learning_rate={base:g} is too high: {sign}; take "
        f"--base_learning_rate={_rounded(better):g}"
    )


def _sign(steps: Steps, expected: float | None) -> str:
    """That the loss has become worse than chance can make it."""
    first, second = steps.metrics["loss"]
    usual = max(first, expected or 0.0)
    if not math.isfinite(first):
        return ""
    if not second <= _GROWN * usual:
        return f"the loss went from {first:.4g} to {second:.4g} in one step"
    return ""


def _rounded(value: float) -> float:
    """Down to one digit."""
    power = 10.0 ** math.floor(math.log10(value))
    return math.floor(value / power + 1e-9) * power
