"""Pictures of a network's predictions, on records or on image files."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from deeplab_tf.checkpoints.run_folder import Run
from deeplab_tf.config import VisConfig
from deeplab_tf.crf import engines
from deeplab_tf.data import image_files, open_split
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import Color, DatasetSpec, distinct_colors
from deeplab_tf.data.specs import ade20k, cityscapes
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.files import check_writable
from deeplab_tf.prediction import load, predictions
from deeplab_tf.prediction.load import Trained
from deeplab_tf.prediction.predictions import Predicted
from deeplab_tf.visualizing import drawing

_COLORMAPS = {
    "pascal": distinct_colors(256),
    "cityscapes": cityscapes.SPEC.palette,
    "ade20k": ade20k.SPEC.palette,
}


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is drawn.

    Attributes:
        name: Of the image, without suffix.
        image: RGB, uint8 `[H, W, 3]`.
        classes: Predicted ids, uint8 `[H, W]`.
        truth: True ids, uint8 `[H, W]`, or None.
    """

    name: str
    image: np.ndarray
    classes: np.ndarray
    truth: np.ndarray | None


def visualize(config: VisConfig) -> None:
    """Draws predictions of a network, or of each new checkpoint of it.

    Writes `segmentation_results/<name>_{image,prediction,overlay}.png` and, on request,
    `raw_segmentation_results/<name>.png` with the class ids as grey values.

    Raises:
        InputError: Something given is not usable; nothing was written.
    """
    check_writable("vis_logdir", config.vis_logdir)
    engines.chosen(config.refinement)  # Raises before anything is read.
    engines.find_engine(config.refinement.crf_engine)
    for path in load.rounds(
        config.checkpoint_dir or "",
        config.max_number_of_iterations,
        config.eval_interval_secs,
    ):
        _visualize(config, path)


def _visualize(config: VisConfig, path: str) -> None:
    files = _files(config.image) if config.image else []
    run = load.find_run(path)
    spec, records = _data(config, run)
    palette = _palette(config.colormap_type, spec)
    network = load.load(
        path,
        run,
        spec,
        model=config.model,
        resize=config.resize,
        crop_size=config.vis_crop_size,
        compatibility=config.compatibility,
    )
    total = records.count() if records else len(files)
    found = _predictions(network, files, records, config, total)
    folder = Path(config.vis_logdir or "")
    for prediction in tqdm(found, total=total, unit="image", disable=None):
        _draw(folder / "segmentation_results", prediction, spec, palette)
        if config.also_save_raw_predictions:
            raw = prediction
            if config.compatibility.official_bugs:
                raw = dataclasses.replace(raw, name=str(raw.name.encode()))
            _write_raw(folder / "raw_segmentation_results", raw, spec)
    logging.info("Drew %d images in %s", total, folder / "segmentation_results")


def _files(image: str) -> list[tuple[str, Path]]:
    """Names and paths of one image, or of all below a folder.

    Raises:
        InputError: There is no such file, one is no image, or two have one name.
    """
    path = Path(image)
    if not path.exists():
        raise InputError(f"--image={image}: no such file or folder")
    folder, paths = path, [path]
    if path.is_dir():
        paths = image_files.find_images(path)
    else:
        folder = path.parent
    named: dict[str, Path] = {}
    for found in paths:
        image_files.read_image(found)  # Raises before the first picture is drawn.
        name = found.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise InputError(f"{found} and {named[name]}: two images of one name")
        named[name] = found
    return list(named.items())


def _data(config: VisConfig, run: Run) -> tuple[DatasetSpec, Records | None]:
    """What the classes mean and, unless image files are drawn, the records."""
    tfds = open_split.tfds_config(config.data, config.tfds, run.spec, run.tfds)
    if config.image is None:
        return open_split.open_split(config.data, tfds, config.vis_split, run.spec)
    return open_split.open_spec(config.data, tfds, run.spec), None


def _palette(colormap: str | None, spec: DatasetSpec) -> tuple[Color, ...]:
    palette = _COLORMAPS[colormap] if colormap else spec.palette
    if len(palette) < spec.num_classes:
        raise FlagError(
            f"--colormap_type={colormap} has {len(palette)} colours, {spec.name} "
            f"{spec.num_classes} classes; leave it out for the data set's own"
        )
    return palette[: spec.num_classes]


def _predictions(
    network: Trained,
    files: list[tuple[str, Path]],
    records: Records | None,
    config: VisConfig,
    total: int,
) -> Iterator[Prediction]:
    """Of the files, or of the records; refined, if that was asked for."""
    parameters = engines.chosen(config.refinement)
    looks, with_scores = config.inference, parameters is not None
    if records is None:
        read = ((name, image_files.read_image(path)) for name, path in files)
        found = predictions.of_images(network, read, looks, with_scores=with_scores)
    else:
        found = predictions.of_records(
            network,
            records,
            looks,
            batch_size=config.vis_batch_size,
            with_scores=with_scores,
        )
    drawn: Iterable[tuple[Predicted, np.ndarray]]
    drawn = ((each, each.classes) for each in found)
    if parameters:
        engine = engines.find_engine(config.refinement.crf_engine)
        drawn = predictions.refined(found, parameters, engine, total=total)
    for each, classes in drawn:
        known = (each.label != network.spec.ignore_label).any()
        truth = each.label.astype(np.uint8) if known else None
        yield Prediction(each.name, each.image, classes.astype(np.uint8), truth)


def _draw(
    folder: Path, prediction: Prediction, spec: DatasetSpec, palette: tuple[Color, ...]
) -> None:
    path = folder / prediction.name
    path.parent.mkdir(parents=True, exist_ok=True)
    image, classes = prediction.image, prediction.classes
    Path(f"{path}_image.png").write_bytes(image_files.png(image))
    Path(f"{path}_prediction.png").write_bytes(image_files.png(classes, palette))
    sheet = drawing.overlay(image, classes, prediction.truth, spec.classes, palette)
    sheet.save(f"{path}_overlay.png")


def _write_raw(folder: Path, prediction: Prediction, spec: DatasetSpec) -> None:
    """Class ids as grey values; for Cityscapes those of its test server."""
    ids = prediction.classes
    if spec.name == cityscapes.SPEC.name:
        ids = np.array([label for label, _, _ in cityscapes.LABELS], np.uint8)[ids]
    path = folder / f"{prediction.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image_files.png(ids))
