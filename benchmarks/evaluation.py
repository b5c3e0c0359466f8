"""Evaluation with and without its counts, against a pass that adds up one matrix.

    python benchmarks/evaluation.py --classes=21

All run in this process, in turn, on the same records and network; quote the ratios of
the least CPU seconds. Peak memory is that of a process each. The unit is a product of
two matrices of 1536 rows and columns.
"""

import dataclasses
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from deeplab_tf import cli
from deeplab_tf.config import DataConfig, EvalConfig, ModelConfig, TfdsConfig
from deeplab_tf.config.fields import flag
from deeplab_tf.data import image_files, open_split, tfrecord_writer
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.evaluation import csv_tables, metrics
from deeplab_tf.evaluation.html_report import write
from deeplab_tf.evaluation.image_counts import ImageCounts
from deeplab_tf.evaluation.run import evaluate_split
from deeplab_tf.models.build import build
from deeplab_tf.prediction.predictor import Predictor

_UNIT = 1536
_WIDTHS = (2, 4, 8, 16, 32)
PLAIN = "plain pass"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times MobileNetV2 without a decoder, the network that costs least."""

    classes: int = flag("Of the network and the labels.", 21)
    images: int = flag("Of the split.", 16)
    size: tuple[int, int] = flag("Their height,width.", (375, 500))
    rounds: int = flag("Evaluations of each kind, in turn.", 5)
    only: str = flag("Run this kind alone, and tell the peak of memory.", "")
    memory: bool = flag("Measure memory, too, a process a kind.", True)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs least CPU and wall milliseconds an image, ratios, and peak memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = _kinds(_predictor(config), _records(config, folder), folder)
        if config.only:
            kinds[config.only]()
            # What getrusage tells begins with the peak of the process before it.
            status = Path("/proc/self/status").read_text()
            print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
            return
        _measure(kinds, config)
    _measure_update(config)


def _predictor(config: BenchmarkConfig) -> Predictor:
    spec = _spec(config.classes)
    model = build(ModelConfig(), config.classes)
    return Predictor(model=model, config=ModelConfig(), spec=spec)


def _spec(count: int) -> DatasetSpec:
    names = tuple(f"class {i}" for i in range(count))
    return DatasetSpec(name="drawn", classes=names, palette=distinct_colors(count))


def _records(config: BenchmarkConfig, folder: Path) -> Records:
    rng = np.random.default_rng(0)
    _spec(config.classes).save(folder)
    records = []
    for i in range(config.images):
        label = _label(rng, config)
        shade = rng.integers(0, 256, (256, 3))[label]
        image = np.clip(shade + rng.normal(0, 9, shade.shape), 0, 255)
        records.append(
            tfrecord_writer.Record(
                name=f"drawn_{i}",
                image=image_files.png(image.astype(np.uint8)),
                image_format="png",
                size=config.size,
                label=image_files.png(label),
            )
        )
    tfrecord_writer.write_shards(records, folder, "val", per_shard=[len(records)])
    data = DataConfig(dataset_dir=str(folder))
    return open_split.open_split(data, TfdsConfig(), "val")[1]


def _label(rng: np.random.Generator, config: BenchmarkConfig) -> np.ndarray:
    """Some eight objects on a ground, each with void around it."""
    height, width = config.size
    y, x = np.mgrid[:height, :width]
    label = np.zeros(config.size, np.uint8)
    for _ in range(8):
        middle = rng.integers(0, height), rng.integers(0, width)
        radii = rng.uniform(0.05, 0.3, 2) * config.size
        far = ((y - middle[0]) / radii[0]) ** 2 + ((x - middle[1]) / radii[1]) ** 2
        label[far < 1.1] = 255
        label[far < 1] = rng.integers(1, config.classes)
    return label


def _kinds(
    predictor: Predictor, records: Records, folder: Path
) -> dict[str, Callable[[], Any]]:
    """By name, evaluations from the records to the scores."""
    spec = predictor.spec

    def plain() -> float:
        total = np.zeros((spec.num_classes,) * 2, np.int64)
        for each in predictor.predict_split(records):
            label = np.asarray(each.label)
            total += metrics.confusion_matrix(
                label, each.classes, spec.num_classes, spec.ignore_label
            )
        return metrics.mean_iou(total)

    def evaluation(**settings: Any) -> Callable[[], Any]:
        def run() -> Any:
            evaluated = evaluate_split(predictor, records, **settings)
            csv_tables.write(folder, evaluated, checkpoint="", settings={})
            return evaluated.scores

        return run

    def report() -> None:
        observers = write.Observers(spec)
        evaluated = evaluate_split(
            predictor,
            records,
            **every,
            observers=[*observers],
            needs_probabilities=True,
        )
        csv_tables.write(folder, evaluated, checkpoint="", settings={})
        write.write_report(folder, evaluated, observers, predictor, settings)

    data = DataConfig(dataset_dir=str(folder))
    settings = EvalConfig(checkpoint_dir="-", eval_logdir=str(folder), data=data)
    every: dict[str, Any] = {
        "boundary": True,
        "calibration": True,
        "trimap_widths": _WIDTHS,
    }
    return {
        PLAIN: plain,
        "eval.py": evaluation(),
        "--boundary_iou": evaluation(boundary=True),
        "--calibration": evaluation(calibration=True),
        "--trimap_widths": evaluation(trimap_widths=_WIDTHS),
        "all of them": evaluation(**every),
        "--report": report,
    }


def _measure(kinds: dict[str, Callable[[], Any]], config: BenchmarkConfig) -> None:
    least = {name: [float("inf")] * 2 for name in kinds}
    for run in kinds.values():
        run()
    for _ in range(config.rounds):
        for name, run in kinds.items():
            taken = _seconds(run)
            least[name] = [min(*pair) for pair in zip(least[name], taken, strict=True)]
    logging.info(
        "%d classes: ms an image of CPU and wall, to the plain; MB", config.classes
    )
    for name, seconds in least.items():
        cpu, wall = (1000 * each / config.images for each in seconds)
        ratios = [a / b for a, b in zip(seconds, least[PLAIN], strict=True)]
        memory = _peak(name, config) if config.memory else "-"
        logging.info(
            "%-24s %6.1f %6.1f  %.2f %.2f  %s", name, cpu, wall, *ratios, memory
        )


def _peak(name: str, config: BenchmarkConfig) -> str:
    """Peak of the resident memory of a process that does one kind, in MB."""
    command = [
        sys.executable,
        __file__,
        f"--only={name}",
        f"--classes={config.classes}",
    ]
    command += [
        f"--images={config.images}",
        f"--size={config.size[0]},{config.size[1]}",
    ]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return result.stdout.split()[-1]


def _measure_update(config: BenchmarkConfig) -> None:
    """What counting an image takes, in units; at most 0.02 is promised."""
    rng = np.random.default_rng(0)
    square = tf.random.normal((_UNIT, _UNIT))
    unit = min(_seconds(lambda: tf.matmul(square, square).numpy())[0] for _ in range(9))
    for classes in (21, 151):
        each = dataclasses.replace(config, classes=classes)
        label = _label(rng, each).astype(np.int32)
        predicted = np.roll(np.where(label < classes, label, 0), 3, axis=1)

        update = functools.partial(_update, label, predicted, classes)
        least = min(_seconds(update)[0] for _ in range(30))
        logging.info(
            "update at %d classes: %.2f ms, %.4f units",
            classes,
            1e3 * least,
            least / unit,
        )


def _update(label: np.ndarray, predicted: np.ndarray, classes: int) -> ImageCounts:
    matrix = metrics.confusion_matrix(label, predicted, classes, 255)
    return ImageCounts.of("", (len(label), len(label[0])), matrix)


def _seconds(run: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall."""
    began = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - began[0], time.perf_counter() - began[1]


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
