"""All formats in all precisions from one checkpoint, and the table of them."""

import json
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
REPORTS = "benchmark.json"


def benchmark(
    predictor: Predictor,
    folder: Path,
    plans: Mapping[str, Plan],
    samples: Pictures,
    calibration: Pictures | None,
) -> list[Report]:
    """Writes exports into a folder, with the table of them; returns their reports.

    `benchmark.txt` is the table, `benchmark.json` a list of what it is made of.

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
    described = [each.describe() for each in reports]
    write_whole(folder / REPORTS, json.dumps(described, indent=1) + "\n")
    write_whole(folder / TABLE, report.table(reports) + "\n")
    return reports
