"""Pictures for an export: on which it is compared, and calibrated."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

import deeplab_tf
from deeplab_tf.checkpoints import run_folder
from deeplab_tf.config import DataConfig, ExportConfig, TfdsConfig
from deeplab_tf.config.export import MAX_CALIBRATION
from deeplab_tf.data import decode, image_files, image_folders, open_split, tfrecord
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError

_CHECKED = 4  # Of the training, where no split is asked for.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """A picture, uint8 `[H, W, 3]`, and its class ids `[H, W]`, if it has some."""

    pixels: np.ndarray
    label: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures, read one at a time.

    Attributes:
        source: Where they are from, for people.
        read: Yields them from the first on.
        split: Of the records, if all of them are read, with their labels.
    """

    source: str
    read: Callable[[], Iterator[Sample]]
    split: str | None = None


def packaged() -> Pictures:
    """The picture that the package brings."""
    place = resources.files(deeplab_tf) / "exporting" / "picture.jpg"
    with resources.as_file(place) as file:
        return of_array(image_files.read_image(file), "the packaged picture")


def of_array(pixels: np.ndarray, source: str = "the picture given") -> Pictures:
    """One picture, uint8 `[H, W, 3]`."""
    return Pictures(source=source, read=lambda: iter([Sample(pixels=pixels)]))


def to_check(config: ExportConfig, run: run_folder.Run, spec: DatasetSpec) -> Pictures:
    """Those on which export and network are compared.

    Args:
        config: Of the command.
        run: Of the checkpoint.
        spec: Its classes.

    Raises:
        InputError: What was asked for cannot be read.
    """
    if config.check_split:
        records = _open(config, "check_split", config.check_split, run, spec)
        return Pictures(
            source=f"{records.count()} records of {config.check_split}",
            read=lambda: _labeled(records),
            split=config.check_split,
        )
    if config.check_image:
        path = Path(config.check_image)
        return of_array(image_files.read_image(path), str(path))
    return of_training(run, _CHECKED) or packaged()


def of_training(run: run_folder.Run, count: int) -> Pictures | None:
    """The first pictures of a training, where its records can be read."""
    if not run.shards:
        return None
    with contextlib.suppress(InputError):  # Records may have moved since.
        paths = tfrecord.find_shards(*run.shards)
        samples = list(itertools.islice(_bare(paths), count))
        folder, split = run.shards
        return Pictures(
            source=f"{len(samples)} records of the training ({folder}, {split})",
            read=lambda: iter(samples),
        )
    return None


def to_calibrate(
    config: ExportConfig, run: run_folder.Run, spec: DatasetSpec
) -> Pictures:
    """Those on which 8 bits are calibrated.

    Raises:
        InputError: There are none, or what was asked for cannot be read.
    """
    if config.calibration_images:
        folder = Path(config.calibration_images)
        paths = image_folders.find_images(folder)[:MAX_CALIBRATION]
        return Pictures(
            source=f"{len(paths)} pictures of {folder}",
            read=lambda: (Sample(pixels=image_files.read_image(p)) for p in paths),
        )
    if split := config.calibration_split:
        records = _open(config, "calibration_split", split, run, spec)
        return Pictures(
            source=f"{min(MAX_CALIBRATION, records.count())} records of {split}",
            read=lambda: itertools.islice(_labeled(records), MAX_CALIBRATION),
        )
    if pictures := of_training(run, MAX_CALIBRATION):
        return pictures
    raise InputError(
        "--quantize=int8 is calibrated on pictures, and records of the training cannot "
        "be read; --calibration_images=FOLDER names some, 8 or more of those to come"
    )


def fit(
    pixels: np.ndarray, size: tuple[int, int] | None, mean: tuple[float, ...]
) -> np.ndarray:
    """A picture for a file of one size: made smaller if need be, then padded.

    Args:
        pixels: uint8 `[H, W, 3]`.
        size: Height, width; None leaves it as it is.
        mean: RGB of what is padded, below and to the right.
    """
    if size in (None, pixels.shape[:2]):
        return pixels
    height, width = size or pixels.shape[:2]
    ratio = min(1.0, height / pixels.shape[0], width / pixels.shape[1])
    if ratio < 1:
        inner = [max(1, int(side * ratio)) for side in pixels.shape[1::-1]]
        shrunk = Image.fromarray(pixels).resize((inner[0], inner[1]))
        pixels = np.asarray(shrunk)
    padded = np.empty((height, width, 3), np.uint8)
    padded[:] = np.floor(np.add(mean, 0.5))
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    return padded


def _open(
    config: ExportConfig,
    flag: str,
    split: str,
    run: run_folder.Run,
    spec: DatasetSpec,
) -> Records:
    folder = config.dataset_dir or (run.shards[0] if run.shards else None)
    if folder is None:
        raise InputError(
            f"--{flag}={split}: the checkpoint does not tell where its records are; "
            "--dataset_dir does"
        )
    data = DataConfig(dataset_dir=folder, dataset=config.dataset)
    return open_split.open_split(data, TfdsConfig(), split, spec)[1]


def _labeled(records: Records) -> Iterator[Sample]:
    for record in records.in_order():
        image, ids = decode.decode_record(record)
        label = ids.numpy()[..., 0]
        if records.table is not None:
            label = records.table[label]
        yield Sample(pixels=image.numpy(), label=label)


def _bare(paths: list[str]) -> Iterator[Sample]:
    for serialized in itertools.chain.from_iterable(map(tfrecord.read, paths)):
        encoded = tfrecord.parse_example(serialized)["image"]
        yield Sample(pixels=tfrecord.decode_image(encoded).numpy())
