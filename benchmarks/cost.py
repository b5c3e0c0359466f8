"""What networks cost: prediction, measured here; and on published GPUs, calculated.

    python benchmarks/cost.py --calculated=calculated.json
    python benchmarks/cost.py --predictions=predictions.json

The calculation takes no GPU, and is none's measurement: operations at a share of the
published peak, and the bytes of all layers at a share of the published bandwidth, one
after the other. Each network is taken in a process of its own.
"""

import dataclasses
import json
import math
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.shared.fresh_process import run_in_process
from benchmarks.shared.networks import NETWORKS, check_names
from deeplab_tf import cli
from deeplab_tf.config import AugmentConfig, DataConfig, TrainConfig
from deeplab_tf.config.fields import POSITIVE, check_ranges, flag
from deeplab_tf.data.specs import voc2012
from deeplab_tf.errors import FlagError
from deeplab_tf.files import write_whole
from deeplab_tf.models.build import build
from deeplab_tf.models.summary import summarize
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.training import remat_cuts
from deeplab_tf.training.diagnostics import memory
from deeplab_tf.training.setup import make_trainer

_UNIT = 1536


@dataclasses.dataclass(frozen=True)
class Gpu:
    """Published figures of a card: the maker's data sheets, without sparsity.

    Attributes:
        half: TFLOP/s of products in float16 or bfloat16.
        bandwidth: GB/s of its memory.
        memory: GB.
    """

    half: float
    bandwidth: float
    memory: float


GPUS: Mapping[str, Gpu] = {
    "T4": Gpu(65, 320, 16),
    "L4": Gpu(121, 300, 24),
    "V100 SXM2": Gpu(125, 900, 32),
    "A100 SXM 40 GB": Gpu(312, 1555, 40),
    "H100 SXM": Gpu(989, 3350, 80),
}
# Assumed: what networks of this kind reach of the published figures.
SHARE_OF_PEAK, SHARE_OF_BANDWIDTH = 0.4, 0.7
EIGHT_BY_ONE = 6.3  # How much faster eight cards are; the goal of docs/gpu.md.
# Each result of a layer is written once and read by the next one, and once more in the
# backward pass, where its gradient is written and read, too.
_PASSES = 5
_OPERATIONS = 6  # For a multiply-add.


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What networks cost."""

    networks: tuple[str, ...] = flag(f"Of {', '.join(NETWORKS)}.", tuple(NETWORKS))
    size: int = flag("Side of images and crops.", 513, within=POSITIVE)
    rounds: int = flag("Predictions, of which the fastest counts.", 5, within=POSITIVE)
    calculated: str = flag("Write what is calculated to this file.", "")
    predictions: str = flag("Measure predictions, and write them to this file.", "")

    def __post_init__(self) -> None:
        check_ranges(self)
        check_names(self.networks)
        if not (self.calculated or self.predictions):
            raise FlagError("--calculated or --predictions names a file")


def benchmark(config: BenchmarkConfig) -> None:
    """Writes a row a network."""
    for path, task in (
        (config.calculated, calculate),
        (config.predictions, measure_prediction),
    ):
        if not path:
            continue
        rows = []
        for name in config.networks:
            rows.append(run_in_process(task, config, name))
            logging.info("%s", json.dumps(rows[-1]))
            write_whole(Path(path), json.dumps(rows, indent=1) + "\n")


def calculate(config: BenchmarkConfig, name: str) -> dict[str, Any]:
    """Operations and bytes of a network, and what they come to on each GPU."""
    sides = config.size, config.size
    summary = summarize(NETWORKS[name], voc2012.SPEC.num_classes, sides)
    needs, layers = _needs(config, name)
    # Results of layers take half the bytes, the loss is float32.
    image = needs.image + needs.loss
    half = image - layers // 2
    state = needs.weights + needs.slots + needs.learned
    return {
        "net": name,
        "size": config.size,
        "parameters": summary.parameters,
        "multiply_adds": summary.multiply_adds,
        "state_gb": state / 1e9,
        "image_gb": {"float32": image / 1e9, "half": half / 1e9},
        "share_of_peak": SHARE_OF_PEAK,
        "share_of_bandwidth": SHARE_OF_BANDWIDTH,
        "eight_by_one": EIGHT_BY_ONE,
        "gpus": {
            card: {
                "training_images_s": speed(gpu, summary.multiply_adds, half),
                "most_images": max(0, math.floor((0.9e9 * gpu.memory - state) / half)),
            }
            for card, gpu in GPUS.items()
        },
    }


def speed(gpu: Gpu, multiply_adds: int, image: int) -> float:
    """Images a second in training, in half precision.

    Args:
        gpu: Its published figures.
        multiply_adds: Of one image.
        image: Bytes of one image, in half precision.
    """
    operations, moved = _OPERATIONS * multiply_adds, _PASSES * image
    return 1 / (
        operations / (SHARE_OF_PEAK * gpu.half * 1e12)
        + moved / (SHARE_OF_BANDWIDTH * gpu.bandwidth * 1e9)
    )


def _needs(config: BenchmarkConfig, name: str) -> tuple[memory.Needs, int]:
    """As `train.py --check` estimates them; and bytes of all layers of an image."""
    settings = TrainConfig(
        train_logdir="none",
        train_batch_size=1,
        model=NETWORKS[name],
        data=DataConfig(dataset_dir="none"),
        augment=AugmentConfig(train_crop_size=(config.size, config.size)),
    )
    strategy = tf.distribute.get_strategy()
    trainer = make_trainer(settings, voc2012.SPEC, settings.loss, strategy)
    layers = remat_cuts.activations(trainer.model)
    return memory.needs(trainer, settings, 1, 1), layers


def measure_prediction(config: BenchmarkConfig, name: str) -> dict[str, Any]:
    """Seconds of one photograph, and memory of a process, Python's with it."""
    keras.utils.set_random_seed(0)
    model = build(NETWORKS[name], voc2012.SPEC.num_classes)
    predictor = Predictor(model=model, config=NETWORKS[name], spec=voc2012.SPEC)
    sides = config.size, config.size, 3
    image = np.random.default_rng(0).integers(0, 256, sides).astype(np.uint8)
    predictor.predict(image, output="classes")
    taken = []
    for _ in range(config.rounds):
        began = time.process_time(), time.perf_counter()
        predictor.predict(image, output="classes")
        taken.append((time.process_time() - began[0], time.perf_counter() - began[1]))
    cpu, wall = map(min, zip(*taken, strict=True))
    return {
        "net": name,
        "size": config.size,
        "cpu_s": cpu,
        "wall_s": wall,
        "gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "unit_s": _unit(config.rounds),
    }


def _unit(rounds: int) -> float:
    """CPU seconds of a product of two matrices, in which training.py counts."""
    square, taken = tf.random.normal((_UNIT, _UNIT)), []
    for _ in range(rounds + 1):
        began = time.process_time()
        tf.matmul(square, square).numpy()
        taken.append(time.process_time() - began)
    return min(taken)


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
