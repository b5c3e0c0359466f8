"""All formats in all precisions from one checkpoint, and the table of them."""

from collections.abc import Mapping
from pathlib import Path

from absl import logging

from deeplab_tf.errors import InputError
from deeplab_tf.exporting import report
from deeplab_tf.exporting.pictures import Pictures
from deeplab_tf.exporting.plan import Plan
from deeplab_tf.exporting.report import Report
from deeplab_tf.exporting.write import write
from deeplab_tf.files import write_whole
from deeplab_tf.prediction.predictor import Predictor

TABLE = "benchmark.txt"


def benchmark(
    predictor: Predictor,
    folder: Path,
    plans: Mapping[str, Plan],
    samples: Pictures,
    calibration: Pictures | None,
) -> list[Report]:
    """Writes exports into a folder, with `benchmark.txt`; returns their reports.

    What cannot be written, as it differs from the network or its runtime is not
    installed, is told, and left out.

    Args:
        predictor: What is exported.
        folder: Of the exports; new.
        plans: By the names of their files.
        samples: Pictures on which exports and network are compared.
        calibration: Pictures for "int8"; None leaves that out.

    Raises:
        InputError: None could be written.
    """
    reports = []
    for name, plan in plans.items():
        if plan.quantize == "int8" and calibration is None:
            logging.warning("%s: there are no pictures to calibrate it on", name)
            continue
        logging.info("Writing %s", folder / name)
        try:
            reports.append(write(predictor, folder / name, plan, samples, calibration))
        except InputError as error:
            logging.warning("%s: %s", name, error)
    if not reports:
        raise InputError(f"--export_path={folder}: nothing was written")
    write_whole(folder / TABLE, report.table(reports) + "\n")
    return reports
