"""Export: a trained network in another form, compared with the network first."""

import dataclasses
import shlex
from pathlib import Path

from absl import logging

from deeplab_tf import storage
from deeplab_tf.checkpoints import run_folder
from deeplab_tf.config import ExportConfig
from deeplab_tf.data import spec_compatibility, specs
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.exporting import pictures, plan, report
from deeplab_tf.exporting.benchmark import TABLE, benchmark
from deeplab_tf.exporting.pictures import Pictures
from deeplab_tf.exporting.report import Report
from deeplab_tf.exporting.write import refuse_taken, require, write
from deeplab_tf.files import check_writable
from deeplab_tf.prediction import load
from deeplab_tf.prediction.predictor import Predictor


def export(config: ExportConfig) -> None:
    """Exports a checkpoint as a command does; see `write`.

    Raises:
        InputError: Something given is not usable, or the export does not agree with the
            network; nothing was written.
    """
    if storage.is_remote(config.export_path or ""):
        _export_to_remote(config)
        return
    target = _new_target(config)
    path = config.checkpoint_path or ""
    run = load.read_run(path)
    spec = _find_spec(config, run)
    samples = pictures.to_check(config, run, spec)
    calibration = _find_calibration(config, run, spec)
    predictor = load.load(
        path,
        run=run,
        spec=spec,
        model=config.model,
        resize=config.resize,
        crop_size=config.crop_size,
        compatibility=config.compatibility,
    )
    if config.benchmark:
        plans = plan.make_all(config, predictor.crop_size)
        reports = benchmark(predictor, target, plans, samples, calibration)
    else:
        one = plan.make(config, predictor.crop_size)
        reports = [write(predictor, target, one, samples, calibration)]
    _tell(target, reports)


def _export_to_remote(config: ExportConfig) -> None:
    """Exports to a disk, and copies what was written."""
    folder, _, name = (config.export_path or "").rstrip("/").rpartition("/")
    target = storage.join(folder, name)
    if storage.exists(target):
        raise InputError(
            f"--export_path={target} is there already; remove it or take another"
        )
    with storage.stage_folder(folder) as local:
        export(dataclasses.replace(config, export_path=str(Path(local, name))))
    logging.info("Copied to %s", target)


def export_network(predictor: Predictor, config: ExportConfig) -> None:
    """Exports a network that is open, as `export` does.

    Args:
        predictor: The network; it wins over what the config says of one.
        config: Of the export.

    Raises:
        InputError: See `export`.
    """
    target, path = _new_target(config), predictor.checkpoint
    run = load.read_run(path) if path else run_folder.Run()
    samples = pictures.to_check(config, run, predictor.spec)
    calibration = _find_calibration(config, run, predictor.spec)
    one = plan.make(config, predictor.crop_size)
    _tell(target, [write(predictor, target, one, samples, calibration)])


def _new_target(config: ExportConfig) -> Path:
    given = f"--export_path={config.export_path}"
    target = Path(config.export_path or "")
    if config.export_version:
        given += f" --export_version={config.export_version}"
        target /= str(config.export_version)
    refuse_taken(target, config.format or "saved_model", given)
    if config.format:
        require(config.format)
    check_writable("export_path", config.export_path)
    return target


def _find_calibration(
    config: ExportConfig, run: run_folder.Run, spec: DatasetSpec
) -> Pictures | None:
    """Pictures for int8; None where there is none to come, or no picture to be read."""
    if config.quantize == "int8":
        return pictures.to_calibrate(config, run, spec)
    if not config.benchmark:
        return None
    try:
        return pictures.to_calibrate(config, run, spec)
    except InputError as error:
        logging.warning("%s; int8 is left out", error)
        return None


def _tell(target: Path, reports: list[Report]) -> None:
    logging.info(report.table(reports))  # Of several lines, which "%s" would escape.
    first, *others = reports
    if others:
        logging.info(
            "Wrote %d exports to %s, and %s", len(reports), target, target / TABLE
        )
        return
    logging.info(
        "Wrote %s%s: %.2f %% of the pixels agree",
        target,
        " (names and colors in its assets)" if first.format == "saved_model" else "",
        100 * first.agreement.mean,
    )
    if first.format != "keras":
        command = ["deeplab-predict", f"--model={target}"]
        line = shlex.join([*command, "--input=photos", "--output=predicted"])
        logging.info("Next: %s", line)


def _find_spec(config: ExportConfig, run: run_folder.Run) -> DatasetSpec:
    """The classes: those of the run, of a named data set, or numbered ones."""
    if not (run.spec or config.dataset):
        return load.number_classes(config.checkpoint_path or "", config.num_classes)
    spec = specs.resolve(config.dataset, None, run.spec)
    if run.spec:
        spec_compatibility.check_same_classes(
            run.spec,
            spec,
            subject="the checkpoint was trained on",
            remedy="leave --dataset out",
        )
    if config.num_classes not in (None, spec.num_classes):
        raise FlagError(
            f"--num_classes={config.num_classes}, but {spec.name} has "
            f"{spec.num_classes} classes; leave it out"
        )
    return spec
