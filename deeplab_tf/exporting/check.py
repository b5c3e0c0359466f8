"""An export, read again: how it agrees with its network, and what it costs."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from deeplab_tf.config.export import FORMATS
from deeplab_tf.exporting import frozen_graph, memory, opened, pictures, saved_model
from deeplab_tf.exporting.agreement import Agreement, classes_of
from deeplab_tf.exporting.opened import Opened
from deeplab_tf.exporting.pictures import Pictures
from deeplab_tf.exporting.plan import Plan
from deeplab_tf.exporting.report import Report
from deeplab_tf.models.registration import register
from deeplab_tf.prediction.predictor import Predictor


def check(path: Path, predictor: Predictor, plan: Plan, samples: Pictures) -> Report:
    """Reads an export again, and compares it with its network.

    Args:
        path: File or folder of the export, with what lies beside it.
        predictor: Of the network.
        plan: What was to be written.
        samples: Pictures to compare them on.

    Raises:
        InputError: Its runtime cannot run it.
    """
    threads = opened.count_threads()
    agreement = Agreement(
        plan.quantize, predictor.spec.num_classes, predictor.spec.ignore_label
    )
    timed: np.ndarray | None = None
    largest = (0, 0)
    with _open(path, predictor, plan, threads) as (export, *others):
        for sample in samples.read():
            height, width = sample.pixels.shape[:2]
            largest = max(largest[0], height), max(largest[1], width)
            pixels = pictures.fit(sample.pixels, plan.ends.size, predictor.mean_pixel)
            expected = predictor.predict(pixels, **_views(plan))
            outputs = export.run(pixels[np.newaxis])
            agreement.add(outputs, expected)
            if sample.label is not None:
                by_network, by_export = expected.classes, classes_of(outputs)
                if pixels is not sample.pixels:
                    by_export = export.predict(sample.pixels)
                    by_network = predictor.predict(
                        sample.pixels, output="classes", **_views(plan)
                    ).classes
                agreement.add_label(sample.label, by_network, by_export)
            if timed is None:
                for other in others:
                    memory.release()
                    agreement.add(other.run(pixels[np.newaxis]), expected)
                size = plan.ends.size or predictor.crop_size
                timed = pictures.fit(sample.pixels, size, predictor.mean_pixel)
        assert timed is not None
        latencies = export.time(timed[np.newaxis])
    _warn_of_tiles(path.name, plan.ends.size, largest)
    return Report(
        format=plan.format,
        quantize=plan.quantize,
        agreement=agreement,
        pictures=samples.source,
        file_bytes=size_of(path),
        load_seconds=export.load_seconds,
        latencies=latencies,
        image_size=(timed.shape[0], timed.shape[1]),
        threads=threads,
        memory=export.memory,
        is_fresh=export.is_fresh,
        has_tensorflow=export.has_tensorflow,
    )


def _warn_of_tiles(
    name: str, size: tuple[int, int] | None, largest: tuple[int, int]
) -> None:
    """Warns of pictures that a file of one size does not see as wholes."""
    if size and (whole := tuple(map(max, size, largest))) != size:
        logging.warning(
            "%s takes %dx%d pixels (height x width), and pictures here have up to "
            "%dx%d: clients cut those into tiles, each of which sees less; "
            "--input_size=%d,%d takes them whole",
            *(name, *size, *largest, *whole),
        )


def size_of(path: Path) -> int:
    """Bytes of a folder, or of a file and its weights."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    weights = path.with_suffix(".bin")
    has_weights = path.suffix == ".xml" and weights.exists()
    return path.stat().st_size + (weights.stat().st_size if has_weights else 0)


def _views(plan: Plan) -> dict[str, Any]:
    return {
        "scales": plan.inference.eval_scales,
        "flip": plan.inference.add_flipped_images,
    }


@contextlib.contextmanager
def _open(
    path: Path, predictor: Predictor, plan: Plan, threads: int
) -> Iterator[list[Opened]]:
    """The export, and other ways to call it that are to give the same."""
    if FORMATS[plan.format].module or not (plan.in_process or plan.format == "keras"):
        with opened.fresh(path, threads) as process:
            yield [process]
    elif plan.format == "saved_model":
        functions: list[saved_model.Predict] = []

        def load() -> saved_model.Predict:
            functions.extend(saved_model.load(path))
            return functions[0]

        first = opened.Here(load)
        yield [
            first,
            *(opened.Here(functools.partial(_same, f)) for f in functions[1:]),
        ]
    elif plan.format == "frozen_graph":
        yield [opened.Here(lambda: frozen_graph.load(path))]
    else:
        yield [opened.Here(lambda: _load_keras(path, predictor))]


def _same(function: saved_model.Predict) -> saved_model.Predict:
    return function


def _load_keras(path: Path, predictor: Predictor) -> Any:
    """A function of the network in a file, with what prediction needs beside it."""
    register()
    model = keras.saving.load_model(path, compile=False)
    again = dataclasses.replace(predictor, model=model)

    def predict(images: np.ndarray) -> dict[str, np.ndarray]:
        expected = again.predict(images[0])
        assert expected.probabilities is not None
        return {
            saved_model.CLASSES: expected.classes[np.newaxis],
            saved_model.PROBABILITIES: expected.probabilities[np.newaxis],
        }

    return predict
