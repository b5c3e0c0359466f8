"""Training steps of this project's loop, and of a plain `model.fit` of the same graph.

    python benchmarks/training.py --networks=mobilenet_v2,xception_65 --official

CPU seconds are taken in this process, in turn, on the same graph, batch and loss, in
units of a product of two matrices: quote the ratio. Memory is that of a process for
each. Batch norm learns.
"""

import dataclasses
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.shared.fresh_process import run_in_process
from benchmarks.shared.networks import DEFAULT, NETWORKS, OFFICIAL, check_names
from deeplab_tf import cli
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    DevicesConfig,
    OptimizerConfig,
    TrainConfig,
)
from deeplab_tf.config.devices import Precision
from deeplab_tf.config.fields import flag
from deeplab_tf.data.specs import voc2012
from deeplab_tf.files import write_whole
from deeplab_tf.models.layers.resize import ResizeLike
from deeplab_tf.training.setup import make_trainer

_UNIT = 1536
Steps = Callable[[int], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times a training step of DeepLab beside a plain model.fit."""

    networks: tuple[str, ...] = flag(f"Of {', '.join(NETWORKS)}.", DEFAULT)
    size: int = flag("Side of the crops.", 321)
    batch_size: int = flag("Images a step.", 4)
    steps: int = flag("Steps of a measurement.", 3)
    rounds: int = flag("Measurements of each, in turn.", 5)
    official: bool = flag("Tell the figures of research/deeplab, too.", False)
    fit: bool = flag("Time model.fit, too.", True)
    memory: bool = flag("Measure memory, too, a process each.", True)
    growth_steps: int = flag("Steps over which memory is watched; 0: none.", 0)
    remat: bool = flag("Of our loop: compute activations again.", False)
    gradient_accumulation_steps: int = flag("Of our loop: parts of a batch.", 1)
    precision: Precision = flag("Of our loop.", "float32")
    json: str = flag("Write {net, units, cpu_s, gb} of our loop to this file.", "")

    def __post_init__(self) -> None:
        check_names(self.networks)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs, for each network, units a step, memory, and their ratios."""
    rows = []
    for name in config.networks:
        makes = {"ours": _ours, **({"model.fit": _fit} if config.fit else {})}
        measured = _measure_steps(config, name)
        if config.memory:
            for each, make in makes.items():
                measured[each]["gb"] = run_in_process(_peak, config, name, make)
        for each, row in measured.items():
            logging.info("%s, %s: %s", name, each, _told(row))
        if config.official and name in OFFICIAL:
            figures = dict(zip(("units", "gb"), OFFICIAL[name], strict=True))
            ours = measured["ours"]
            ratios = {key: ours[key] / figures[key] for key in figures if key in ours}
            logging.info("%s, research/deeplab: %s", name, _told(figures))
            logging.info("%s, ours by research/deeplab: %s", name, _told(ratios))
        if config.growth_steps:
            before, after = run_in_process(_growth, config, name)
            logging.info(
                "%s: %.3f GB after 20 steps, %.3f GB after %d more",
                name,
                before,
                after,
                config.growth_steps,
            )
        rows.append({"net": name, **measured["ours"]})
        if config.json:
            write_whole(Path(config.json), json.dumps(rows, indent=1) + "\n")


def _told(row: Mapping[str, float]) -> str:
    return ", ".join(f"{value:.2f} {key}" for key, value in row.items())


def _measure_steps(config: BenchmarkConfig, name: str) -> dict[str, dict[str, float]]:
    """Of each loop, medians of a step: CPU seconds, and these in units of a product."""
    square = tf.random.normal((_UNIT, _UNIT))

    def product(count: int) -> None:
        for _ in range(count):
            tf.matmul(square, square).numpy()

    runs: dict[str, Steps] = {"ours": _ours(config, name)}
    if config.fit:
        runs["model.fit"] = _fit(config, name)
    for steps in (*runs.values(), product):
        steps(2)
    taken: dict[str, list[tuple[float, float]]] = {each: [] for each in runs}
    for _ in range(config.rounds):
        for each, steps in runs.items():
            unit = _seconds(product, 10)
            taken[each].append((unit, _seconds(steps, config.steps)))
    return {
        each: {
            "units": statistics.median(step / unit for unit, step in pairs),
            "cpu_s": statistics.median(step for _, step in pairs),
        }
        for each, pairs in taken.items()
    }


def _settings(config: BenchmarkConfig, name: str) -> TrainConfig:
    return TrainConfig(
        train_logdir="none",
        train_batch_size=config.batch_size,
        model=NETWORKS[name],
        data=DataConfig(dataset_dir="none"),
        augment=AugmentConfig(train_crop_size=(config.size, config.size)),
        optimizer=OptimizerConfig(base_learning_rate=1e-4),
        devices=DevicesConfig(
            remat=config.remat,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            precision=config.precision,
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


def _trainer(config: BenchmarkConfig, name: str) -> Any:
    keras.utils.set_random_seed(0)
    settings = _settings(config, name)
    strategy = tf.distribute.get_strategy()
    return make_trainer(settings, voc2012.SPEC, settings.loss, strategy)


def _ours(config: BenchmarkConfig, name: str) -> Steps:
    """Our loop, which takes so many steps."""
    trainer = _trainer(config, name)
    batches = iter(tf.data.Dataset.from_tensors(_batch(config)).repeat())
    return lambda count: trainer.run(batches, tf.constant(count))


def _fit(config: BenchmarkConfig, name: str) -> Steps:
    """`model.fit` of the same graph, loss at label size and rule of update."""
    graph = _trainer(config, name).model
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
    """CPU seconds of one step."""
    began = time.process_time()
    steps(count)
    return (time.process_time() - began) / count


def _peak(config: BenchmarkConfig, name: str, make: Callable) -> float:
    """GB that a process takes at most."""
    make(config, name)(10)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _growth(config: BenchmarkConfig, name: str) -> tuple[float, float]:
    """GB in memory before and after many steps."""
    steps = _ours(config, name)
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
