"""All formats in all precisions from one checkpoint, and the table of them."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from deeplab_tf.config.export import FORMATS
from deeplab_tf.errors import InputError
from deeplab_tf.exporting import report
from deeplab_tf.exporting.check import Plan
from deeplab_tf.exporting.function import Ends
from deeplab_tf.exporting.pictures import Pictures
from deeplab_tf.exporting.report import Report
from deeplab_tf.exporting.write import write
from deeplab_tf.prediction.predictor import Predictor

TABLE = "benchmark.txt"


def benchmark(
    predictor: Predictor,
    folder: Path,
    plan: Plan,
    samples: Pictures,
    calibration: Pictures | None,
) -> list[Report]:
    """Writes all formats into a folder, with `benchmark.txt`; returns their reports.

    What cannot be written, as it differs from the network or its runtime is not
    installed, is told, and left out.

    Args:
        predictor: What is exported.
        folder: Of the exports; new.
        plan: What they have in common.
        samples: Pictures on which exports and network are compared.
        calibration: Pictures for "int8"; None leaves that out.

    Raises:
        InputError: None could be written.
    """
    reports = []
    for name, each in _plans(plan, predictor.crop_size):
        if each.quantize == "int8" and calibration is None:
            logging.warning("%s: there are no pictures to calibrate it on", name)
            continue
        logging.info("Writing %s", folder / name)
        try:
            reports.append(write(predictor, folder / name, each, samples, calibration))
        except InputError as error:
            logging.warning("%s: %s", name, error)
    if not reports:
        raise InputError(f"--export_path={folder}: nothing was written")
    (folder / TABLE).write_text(report.table(reports) + "\n", "utf-8")
    return reports


def _plans(plan: Plan, crop_size: tuple[int, int]) -> Iterator[tuple[str, Plan]]:
    """Name of each file, and what it is to be."""
    for format, facts in FORMATS.items():
        for quantize in facts.quantizations:
            ends = plan.ends
            if facts.is_fixed and ends.size is None:
                ends = Ends(size=crop_size, batch=1, outputs=ends.outputs)
            stem = format if quantize == "none" else f"{format}_{quantize}"
            yield (
                f"{stem}{facts.suffix}",
                dataclasses.replace(
                    plan, format=format, quantize=quantize, ends=ends, in_process=False
                ),
            )
