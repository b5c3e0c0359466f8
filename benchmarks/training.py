"""Training steps of this project's loop, and of a plain `model.fit` of the same graph.

    python benchmarks/training.py --variants=mobilenet_v2,xception_65

Times are taken in this process, in turn, on the same graph, batch and loss: quote the
ratio. Memory is that of a process for each; then many steps show whether it grows.
"""

import dataclasses
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from deeplab_tf import cli
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    DevicesConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)
from deeplab_tf.config.fields import flag
from deeplab_tf.data.specs import voc2012
from deeplab_tf.models.layers.resize import ResizeLike
from deeplab_tf.training.setup import make_trainer

_STRIDES = {"mobilenet_v2": (4,), "xception_65": (4,)}
Steps = Callable[[int], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times a training step of DeepLab v3+ beside a plain model.fit."""

    variants: tuple[str, ...] = flag("Feature extractors.", tuple(_STRIDES))
    size: int = flag("Side of the crops.", 321)
    batch_size: int = flag("Images a step.", 2)
    steps: int = flag("Steps of a measurement.", 5)
    rounds: int = flag("Pairs of measurements.", 5)
    growth_steps: int = flag("Steps over which memory is watched; 0: none.", 500)
    remat: bool = flag("Of our loop: compute activations again.", False)
    gradient_accumulation_steps: int = flag("Of our loop: parts of a batch.", 1)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs, for each network, seconds a step, memory, and their ratios."""
    for variant in config.variants:
        _compare_times(config, variant)
        peaks = [_in_process(_peak, config, variant, make) for make in (_fit, _ours)]
        logging.info(
            "%s: model.fit %.2f GB, ours %.2f GB at most, ratio %.2f",
            variant,
            *peaks,
            peaks[1] / peaks[0],
        )
        if config.growth_steps:
            before, after = _in_process(_growth, config, variant)
            logging.info(
                "%s: %.3f GB after 20 steps, %.3f GB after %d more",
                variant,
                before,
                after,
                config.growth_steps,
            )


def _compare_times(config: BenchmarkConfig, variant: str) -> None:
    theirs, ours = _fit(config, variant), _ours(config, variant)
    for steps in (theirs, ours):
        steps(3)
    pairs = [
        (_seconds(theirs, config.steps), _seconds(ours, config.steps))
        for _ in range(config.rounds)
    ]
    logging.info(
        "%s, crop %d, batch %d: model.fit %.3f s, ours %.3f s a step, ratio %.3f (%s)",
        variant,
        config.size,
        config.batch_size,
        statistics.median(slow for slow, _ in pairs),
        statistics.median(fast for _, fast in pairs),
        statistics.median(fast / slow for slow, fast in pairs),
        ", ".join(f"{fast / slow:.3f}" for slow, fast in pairs),
    )


def _settings(config: BenchmarkConfig, variant: str) -> TrainConfig:
    return TrainConfig(
        train_logdir="none",
        train_batch_size=config.batch_size,
        model=ModelConfig(
            model_variant=variant, decoder_output_stride=_STRIDES[variant]
        ),
        data=DataConfig(dataset_dir="none"),
        augment=AugmentConfig(train_crop_size=(config.size, config.size)),
        optimizer=OptimizerConfig(base_learning_rate=1e-4),
        devices=DevicesConfig(
            remat=config.remat,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
        ),
    )


def _batch(config: BenchmarkConfig) -> dict[str, tf.Tensor]:
    shape = (config.batch_size, config.size, config.size)
    chance = tf.random.Generator.from_seed(0)
    return {
        "image": chance.uniform((*shape, 3), 0, 255),
        "label": chance.uniform((*shape, 1), 0, 21, tf.int32),
        "number": tf.range(config.batch_size, dtype=tf.int64),
    }


def _trainer(config: BenchmarkConfig, variant: str) -> Any:
    keras.utils.set_random_seed(0)
    settings = _settings(config, variant)
    strategy = tf.distribute.get_strategy()
    return make_trainer(settings, voc2012.SPEC, settings.loss, strategy)


def _ours(config: BenchmarkConfig, variant: str) -> Steps:
    """Our loop, which takes so many steps."""
    trainer = _trainer(config, variant)
    batches = iter(tf.data.Dataset.from_tensors(_batch(config)).repeat())
    return lambda count: trainer.run(batches, tf.constant(count))


def _fit(config: BenchmarkConfig, variant: str) -> Steps:
    """`model.fit` of the same graph, loss at label size and rule of update."""
    graph = _trainer(config, variant).model
    logits = ResizeLike()([graph.output, graph.input])
    model = keras.Model(graph.input, logits)
    model.compile(
        keras.optimizers.SGD(1e-4, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
    )
    batch = _batch(config)
    data = tf.data.Dataset.from_tensors((batch["image"], batch["label"])).repeat()
    return lambda count: model.fit(
        data, steps_per_epoch=count, verbose=0, shuffle=False
    )


def _seconds(steps: Steps, count: int) -> float:
    """Of one step."""
    began = time.perf_counter()
    steps(count)
    return (time.perf_counter() - began) / count


def _in_process(task: Callable, *args: Any) -> Any:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, args)


def _peak(config: BenchmarkConfig, variant: str, make: Callable) -> float:
    """GB that a process takes at most."""
    make(config, variant)(10)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _growth(config: BenchmarkConfig, variant: str) -> tuple[float, float]:
    """GB in memory before and after many steps."""
    steps = _ours(config, variant)
    steps(20)
    before = _resident()
    for _ in range(config.growth_steps // 20):
        steps(20)
    return before, _resident()


def _resident() -> float:
    """GB of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e9


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
