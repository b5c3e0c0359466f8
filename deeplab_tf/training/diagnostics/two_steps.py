"""Two steps of a run, and what they tell of its settings."""

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence

import numpy as np

from deeplab_tf.training.diagnostics import diagnoses
from deeplab_tf.training.diagnostics.diagnoses import Diagnosis
from deeplab_tf.training.step import Metrics, Trainer


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoSteps:
    """Two steps of a run.

    Attributes:
        metrics: As those of `Trainer.run`.
        seconds: That each took; the first one compiles.
        rate: Learning rate of the first one.
        change: Norm of the change of all kernels in it by their norm.
    """

    metrics: Metrics
    seconds: Sequence[float]
    rate: float
    change: float


def take_two(trainer: Trainer, batches: Iterator) -> TwoSteps:
    """Two steps of a trainer, and what is seen of them."""
    metrics: list[Metrics] = []
    seconds, before = [], _kernels(trainer)
    rate, change = trainer.learning_rate, math.nan
    for step in range(2):
        began = time.monotonic()
        metrics.append(trainer.run(batches, 1))
        seconds.append(time.monotonic() - began)
        if not step:
            change = _relative_change(before, _kernels(trainer))
    both = {name: [*metrics[0][name], *metrics[1][name]] for name in metrics[0]}
    return TwoSteps(metrics=both, seconds=seconds, rate=rate, change=change)


def _kernels(trainer: Trainer) -> list[np.ndarray]:
    """Values of all weights that are no vector."""
    return [each.numpy() for each in trainer.weights.values() if len(each.shape) > 1]


def _relative_change(before: list[np.ndarray], after: list[np.ndarray]) -> float:
    """Norm of the change by the norm of what changes."""
    change = sum(
        float(np.sum(np.square(new - old, dtype=np.float64)))
        for old, new in zip(before, after, strict=True)
    )
    norm = sum(float(np.sum(np.square(old, dtype=np.float64))) for old in before)
    return math.sqrt(change / norm) if norm else math.nan


def diagnose(steps: TwoSteps, base_rate: float, expected: float | None) -> Diagnosis:
    """Whether the learning rate is far too high.

    A warm-up's first rate says little of the full one, so the change of the weights is
    that which the full one would make; it is in proportion to the rate.

    Args:
        steps: The two.
        base_rate: The full rate.
        expected: Loss of a network that knows nothing, if it is known.
    """
    full = steps.change * base_rate / steps.rate if steps.rate else steps.change
    return diagnoses.of_two_steps(steps.metrics["loss"], expected, full, base_rate)


def facts(steps: TwoSteps, total: int) -> list[str]:
    """Lines on loss, learning and time of a run of so many steps."""
    first, second = steps.metrics["loss"]
    return [
        f"Loss: {first:.4g}, then {second:.4g}",
        f"Learning: the first step changed the kernels by {steps.change:.2g} of their "
        f"norm, at a learning rate of {steps.rate:.3g}",
        f"Time: {steps.seconds[0]:.0f} s to compile, {steps.seconds[1]:.2g} s a step"
        f"{_data_wait(steps)}; {total} steps: about "
        f"{_hours(total * steps.seconds[1])}, as far as two steps tell",
    ]


def _data_wait(steps: TwoSteps) -> str:
    if "data_wait" not in steps.metrics:
        return ""
    share = steps.metrics["data_wait"][1] / max(steps.seconds[1], 1e-9)
    return f" ({share:.0%} of it waiting for data)"


def _hours(seconds: float) -> str:
    if seconds < 7200:
        return f"{max(1, round(seconds / 60))} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
