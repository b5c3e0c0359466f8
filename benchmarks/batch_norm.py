"""Training steps with one kernel for batch norm, and with Keras' composition of ops.

    python benchmarks/batch_norm.py --sizes=97,321

Both run in this process, in turn, on the same network and batch; quote the ratio.
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import tensorflow as tf
from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from deeplab_tf import cli
from deeplab_tf.config import ModelConfig
from deeplab_tf.config.fields import flag
from deeplab_tf.models.build import build
from deeplab_tf.models.layers import batch_norm


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times training steps of MobileNetV2 with two forms of batch norm."""

    sizes: tuple[int, ...] = flag("Sides of the crops.", (97, 321))
    batch_size: int = flag("Images a step.", 8)
    rounds: int = flag("Pairs of measurements.", 5)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs, for each size, seconds a step of both forms, and their ratio."""
    for size in config.sizes:
        fused = _step(size, config.batch_size)
        composed_call = keras.layers.BatchNormalization.call
        with mock.patch.object(batch_norm.FrozenableBatchNorm, "call", composed_call):
            composed = _step(size, config.batch_size)
        pairs = [(_seconds(composed), _seconds(fused)) for _ in range(config.rounds)]
        logging.info(
            "crop %d, batch %d: composed %.3f s, one kernel %.3f s, ratio %.2f",
            size,
            config.batch_size,
            statistics.median(slow for slow, _ in pairs),
            statistics.median(fast for _, fast in pairs),
            statistics.median(slow / fast for slow, fast in pairs),
        )


def _step(size: int, batch_size: int) -> Callable[[], Any]:
    """A compiled forward and backward pass, already warm."""
    keras.utils.set_random_seed(0)
    config = ModelConfig(decoder_output_stride=(4,))
    model = build(config, 21, input_size=(size, size))
    images = tf.random.uniform((batch_size, size, size, 3), 0, 255)
    weights = [weight.value for weight in model.trainable_variables]

    @tf.function
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            cost = tf.reduce_mean(model(images, training=True) ** 2)
        return tape.gradient(cost, weights)

    step()
    return step


def _seconds(step: Callable[[], Any]) -> float:
    step()
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
