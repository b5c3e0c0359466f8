"""Run folder: what it says of its run: settings, data set, environment."""

import dataclasses
import json
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl import logging

import deeplab_tf
from deeplab_tf.checkpoints import reader, run_settings
from deeplab_tf.checkpoints.run_settings import CONFIG
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    ResizeConfig,
    TfdsConfig,
    TrainConfig,
)
from deeplab_tf.config.fields import text
from deeplab_tf.data import spec as specs
from deeplab_tf.data import spec_compatibility
from deeplab_tf.data.records import ORDER
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError, printable
from deeplab_tf.files import write_whole
from deeplab_tf.text_files import explain, read_json, to_record

ENVIRONMENT = "environment.txt"
SCHEMA = 1  # Of `config.json`; files without a number are read as 1.
# Settings that may change on the way: no weight depends on them.
_MAY_CHANGE = ("batch_norm_decay", "prediction_with_upsampled_logits")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """Contents of a run folder; None where it says nothing.

    Attributes:
        model: The network.
        resize: Range of sizes into which images are brought.
        crop_size: Height, width of the training crops.
        spec: What the classes mean.
        tfds: What is what in a data set of tensorflow_datasets.
        shards: Folder and split of the records, if it was trained on some.
        largest_image: Height, width of the one with the longest side.
    """

    model: ModelConfig | None = None
    resize: ResizeConfig | None = None
    crop_size: tuple[int, int] | None = None
    spec: DatasetSpec | None = None
    tfds: TfdsConfig | None = None
    shards: tuple[str, str] | None = None
    largest_image: tuple[int, int] | None = None


def check(folder: Path, config: TrainConfig, spec: DatasetSpec) -> None:
    """Checks that a run may start, or go on, in a folder.

    Raises:
        InputError: The folder holds a run of another network or data set.
    """
    if reader.newest(str(folder)) is None:
        return  # Of a run that came to nothing.
    before = read(folder)
    if before.model:
        _check_same(folder, before.model, config.model)
    if before.spec:
        spec_compatibility.check_same_classes(
            before.spec,
            spec,
            subject=f"{folder}: holds a run on",
            way_out="choose another --train_logdir",
            folder=config.data.dataset_dir or "",
            renamed=config.data.classes_renamed,
        )
        _warn_of_other_records(folder, before.spec, spec, config.train_split)


def _warn_of_other_records(
    folder: Path, before: DatasetSpec, now: DatasetSpec, split: str
) -> None:
    """Warns where a run goes on with other records than it began with."""
    for facts in ("split_sizes", "checksums"):
        old, new = getattr(before, facts).get(split), getattr(now, facts).get(split)
        if old and new and old != new:
            logging.warning(
                "%s: the records of %s are not those that the run began with: %s then, "
                "%s now; it goes on with these, in an order of their own",
                folder,
                split,
                _images(before, split),
                _images(now, split),
            )
            return


def _images(spec: DatasetSpec, split: str) -> str:
    checksum = spec.checksums.get(split, "")[:8]
    return f"{spec.split_sizes.get(split, '?')} images {checksum}".rstrip()


def record_order(folder: Path) -> int:
    """Version of the order of records in which a run goes on, or a new one begins.

    Runs begun before the order had a version go on in order 1.

    Raises:
        InputError: It is an order that this version does not know.
    """
    if reader.newest(str(folder)) is None:
        return ORDER
    path, what = folder / CONFIG, "the settings of a run"
    order = read_json(path, what).get(run_settings.ORDER, 1) if path.exists() else 1
    if order not in range(1, ORDER + 1):
        raise InputError(
            f"{path}: {run_settings.ORDER} {order}, of a newer deeplab_tf than this, "
            f"which knows 1 to {ORDER}; update it"
        )
    return int(order)


def write(
    folder: Path, config: TrainConfig, spec: DatasetSpec, *, order: int = ORDER
) -> None:
    """Describes a run in its folder, which is made if need be.

    What it said before, if that differs, is kept beside it, as `config.1.json`.

    Args:
        folder: Of the run.
        config: Its settings.
        spec: What the classes mean.
        order: Version of the order of its records.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "schema": SCHEMA,
        run_settings.ORDER: order,
        **dataclasses.asdict(config),
    }
    lines = {"command": " ".join(sys.argv)} | environment()
    contents = {
        CONFIG: json.dumps(settings, indent=2) + "\n",
        specs.FILE_NAME: spec.to_json(),
        ENVIRONMENT: "".join(
            f"{name}: {printable(value)}\n" for name, value in lines.items()
        ),
    }
    changed = [
        path
        for name, content in contents.items()
        if (path := folder / name).exists() and path.read_bytes() != content.encode()
    ]
    _keep(folder, changed)
    for name, content in contents.items():
        write_whole(folder / name, content)


def _keep(folder: Path, paths: Sequence[Path]) -> None:
    """Copies files to names with the next number, which they share."""
    if not paths:
        return
    kept_name = re.compile(r"(config|dataset|environment)\.(\d+)\.(json|txt)")
    numbers = [kept_name.fullmatch(path.name) for path in folder.iterdir()]
    number = 1 + max((int(match[2]) for match in numbers if match), default=0)
    kept = [path.with_suffix(f".{number}{path.suffix}") for path in paths]
    for path, copy in zip(paths, kept, strict=True):
        write_whole(copy, path.read_bytes())
    logging.info(
        "Kept what %s said of the run before: %s",
        folder,
        ", ".join(copy.name for copy in kept),
    )


def changes(folder: Path, config: TrainConfig) -> list[str]:
    """A line for each setting that a run in the folder had otherwise: old -> new."""
    try:
        saved = run_settings.read(folder)
    except InputError:
        return []
    now = run_settings.flatten(json.loads(json.dumps(dataclasses.asdict(config))))
    return [
        f"--{name}: {run_settings.shown(saved[name])} -> {run_settings.shown(value)}"
        for name, value in now.items()
        if name in saved and saved[name] != value
    ]


def read(folder: Path) -> Run:
    """Reads the description of a run.

    Raises:
        InputError: It cannot be understood.
    """
    path, spec = folder / CONFIG, specs.load(folder)
    if not path.exists():
        return Run(spec=spec)
    what = "the settings of a run"
    settings = read_json(path, what)
    with explain(path, what):
        _check_schema(path, settings.get("schema", SCHEMA))
        data = to_record(DataConfig, settings["data"])
        return Run(
            model=to_record(ModelConfig, settings["model"]),
            resize=to_record(ResizeConfig, settings["resize"]),
            crop_size=to_record(AugmentConfig, settings["augment"]).train_crop_size,
            spec=spec,
            tfds=to_record(TfdsConfig, settings.get("tfds", {})),
            shards=(
                (data.dataset_dir, str(settings["train_split"]))
                if data.dataset_dir and not data.tfds
                else None
            ),
            largest_image=(
                spec.largest_images.get(settings["train_split"]) if spec else None
            ),
        )


def _check_schema(path: Path, schema: int) -> None:
    if schema > SCHEMA:
        raise InputError(
            f"{path}: schema {schema}, of a newer deeplab_tf than this, which reads "
            f"{SCHEMA}; update it"
        )


def _check_same(folder: Path, before: ModelConfig, now: ModelConfig) -> None:
    changed = [
        field.name
        for field in dataclasses.fields(now)
        if field.name not in _MAY_CHANGE
        and getattr(before, field.name) != getattr(now, field.name)
    ]
    if changed:
        name = changed[0]
        raise InputError(
            f"{folder}: holds a run with --{name}={text(getattr(before, name))}, not "
            f"{text(getattr(now, name))}; choose another --train_logdir"
        )


def environment() -> dict[str, str]:
    """Versions, operating system and devices: what a number may depend on."""
    devices = [device.name for device in tf.config.list_physical_devices()]
    return {
        "deeplab_tf": f"{deeplab_tf.__version__} {_revision()}".strip(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "devices": ", ".join(devices),
    }


def _revision() -> str:
    """The commit of this code, where it is run from a checkout."""
    try:
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
