"""Gradient checkpointing: memory and time of a step that computes activations twice.

    python benchmarks/remat.py

Each way runs in a process of its own: the peak is of its resident memory, over what it
holds once the network is built. Seconds are of all cores together.
"""

import dataclasses
import multiprocessing
import resource
import sys
import time
from pathlib import Path

from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from deeplab_tf import cli
from deeplab_tf.config import ModelConfig
from deeplab_tf.config.fields import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Measures DeepLab v3+ with `--remat` and without."""

    model_variants: tuple[str, ...] = flag(
        "Feature extractors.", ("mobilenet_v2", "xception_65")
    )
    crop_size: int = flag("Sides of the crops.", 321)
    batch_size: int = flag("Images a step.", 4)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs a line for each network and way."""
    for variant in config.model_variants:
        for again in (False, True):
            # A fresh process: one that has been large stays so.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                memory, seconds = pool.apply(_measure, (variant, again, config))
            logging.info(
                "%s, %s: %d MB, %.1f s a step",
                variant,
                "twice" if again else "once",
                memory,
                seconds,
            )


def _measure(variant: str, again: bool, config: BenchmarkConfig) -> tuple[float, float]:
    """Megabytes and processor seconds of a step."""
    import tensorflow as tf

    from deeplab_tf.models.build import build
    from deeplab_tf.training import remat

    settings = ModelConfig(
        model_variant=variant, decoder_output_stride=(4,), atrous_rates=(6, 12, 18)
    )
    side = config.crop_size
    model = build(settings, 21, input_size=(side, side))
    call = remat.rematerialize(model) if again else model
    images = tf.random.uniform((config.batch_size, side, side, 3), 0, 255)
    weights = [variable.value for variable in model.trainable_variables]

    @tf.function
    def step() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            cost = tf.reduce_mean(call(images, training=True) ** 2)
        return [tf.reduce_mean(g) for g in tape.gradient(cost, weights)]

    before = _resident()
    step()
    began = time.process_time()
    step()
    return _resident() - before, time.process_time() - began


def _resident() -> float:
    """The peak so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
