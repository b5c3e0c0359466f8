"""Visualization: pictures of predictions, on records, image files or videos."""

import dataclasses
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from PIL import Image

from deeplab_tf import console, parallel
from deeplab_tf.config import VideoConfig, VisConfig
from deeplab_tf.crf import engines
from deeplab_tf.data import image_files, image_folders
from deeplab_tf.data.labels.statistics import allowed_ids
from deeplab_tf.data.records import Records
from deeplab_tf.data.shard_checksums import Verification
from deeplab_tf.data.spec import Color, DatasetSpec, distinct_colors
from deeplab_tf.data.specs import ade20k, cityscapes
from deeplab_tf.errors import FlagError
from deeplab_tf.files import check_writable, write_whole
from deeplab_tf.prediction import load, predictions, replicas
from deeplab_tf.prediction.predictions import Output, Prediction
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.prediction.tiles import make_tiles
from deeplab_tf.visualizing import colors, drawing, video
from deeplab_tf.visualizing.file_names import FileNames
from deeplab_tf.visualizing.sources import Sources, find_sources
from deeplab_tf.visualizing.submission import Submission
from deeplab_tf.visualizing.video_files import Clip

_COLORMAPS = {
    "pascal": distinct_colors(256),
    "cityscapes": cityscapes.SPEC.palette,
    "ade20k": ade20k.SPEC.palette,
}


def visualize(config: VisConfig) -> None:
    """Draws predictions of a network, or of each new checkpoint of it.

    Writes `segmentation_results/<name>_{image,prediction,overlay}.png`, `legend.png`
    for the predictions and, on request, `raw_segmentation_results/<name>.png` with the
    class ids as gray values; of a video, `<name>_overlay.mp4`, and a folder of class
    ids. For a test server, an archive instead.

    Raises:
        InputError: Something given is not usable; nothing was written.
    """
    check_writable("vis_logdir", config.vis_logdir)
    _crf_of(config)  # Raises before anything is read.
    for path in load.iterate_checkpoints(
        config.checkpoint_dir or "",
        config.max_number_of_iterations,
        config.eval_interval_secs,
    ):
        _visualize(config, path)
    if config.max_number_of_iterations == 1 and not (config.image or config.submission):
        command = console.command_line(
            "export", checkpoint_path=config.checkpoint_dir, export_path="exported"
        )
        logging.info("Next: %s", command)


def _visualize(config: VisConfig, path: str) -> None:
    sources, records = Sources([], []), None
    if config.image:
        sources = find_sources(config.image, most=config.videos.video_frames)
        _check_video_flags(config, sources)
        if config.data.dataset_dir:
            logging.warning(
                "--dataset_dir=%s: with --image, its classes alone are taken; its "
                "records are drawn without --image",
                config.data.dataset_dir,
            )
        predictor = load.load_with_classes(path, config, crop_size=config.vis_crop_size)
    else:
        predictor, records = load.load_with_records(
            path, config, split=config.vis_split, crop_size=config.vis_crop_size
        )
    total = records.count() if records else len(sources.photographs)
    if config.submission:
        submission = Submission(config, predictor, total)
    if records:
        Verification(records.checksums).wait()  # Before the first picture is drawn.
    devices = replicas.visible_gpus(config.vis_batch_size if records else 1)
    drawn = _predict(predictor, sources.photographs, records, config, devices)
    if config.submission:
        submission.write(drawn)
        return
    if records:
        drawn = _name_safely(drawn, predictor.spec)
    _draw_all(drawn, predictor.spec, config, total)
    for name, clip in sources.clips:
        # What a camera sees is not to wait for what it sees next.
        used = () if clip.is_camera else devices
        _draw_clip(name, clip, predictor, config, used)


def _check_video_flags(config: VisConfig, sources: Sources) -> None:
    """Raises where a flag has no effect on what --image names."""
    if config.submission and sources.clips:
        raise FlagError(
            f"--submission={config.submission}: {sources.clips[0][1].name} is a video; "
            "a test server takes photographs"
        )
    default = VideoConfig()
    for field in () if sources.clips else dataclasses.fields(default):
        value = getattr(config.videos, field.name)
        if value != getattr(default, field.name):
            raise FlagError(
                f"--{field.name}={value} has no effect on photographs alone; leave it "
                "out"
            )


def _draw_all(
    drawn: Iterator[Prediction], spec: DatasetSpec, config: VisConfig, total: int
) -> None:
    """Draws predictions of records or photographs, and the legend."""
    palette = _palette(config.colormap_type, spec)
    folder = Path(config.vis_logdir or "")
    folder.mkdir(parents=True, exist_ok=True)
    _write_sheet(folder / "legend.png", drawing.legend(spec.classes, palette))
    with console.bar(total=total, unit="image") as bar:
        for prediction in drawn:
            _draw(folder / image_folders.PREDICTIONS, prediction, spec, palette, config)
            if config.also_save_raw_predictions:
                raw = prediction
                if config.compatibility.official_bugs:
                    raw = dataclasses.replace(raw, name=str(raw.name.encode()))
                _write_raw(folder / image_folders.RAW, raw, spec)
            bar.update()
    if total:
        logging.info(
            "Drew %d image%s in %s (*_overlay.png); colors: %s",
            total,
            "" if total == 1 else "s",
            folder / image_folders.PREDICTIONS,
            folder / "legend.png",
        )


def _draw_clip(
    name: str,
    clip: Clip,
    predictor: Predictor,
    config: VisConfig,
    devices: Sequence[str],
) -> None:
    """Draws a video: the overlay, or panels side by side, of the size of its frames."""
    folder, spec = Path(config.vis_logdir or ""), predictor.spec
    palette = _palette(config.colormap_type, spec)
    if config.palette == "contrast":
        palette = colors.contrast(palette)
    videos = config.videos
    output: Output = "probabilities" if videos.video_smoothing else "classes"

    def predict(frames: Iterable[np.ndarray]) -> Iterator[Prediction]:
        crf, engine = _crf_of(config)
        options = _options(config, "logits" if crf else output, devices)
        predicted = predictor.predict_images(frames, **options)
        return (
            predictions.refine(each, crf, engine) if crf else each for each in predicted
        )

    def draw(prediction: Prediction) -> np.ndarray:
        if config.also_save_raw_predictions:
            _write_raw(folder / image_folders.RAW / name, prediction, spec)
        overlay = drawing.overlay(prediction.image, prediction.classes, palette)
        shown = {"original": prediction.image, "prediction": overlay}
        panels = config.panels or ("prediction",)
        return np.concatenate([shown[panel] for panel in panels], axis=1)

    video.draw_clip(
        clip,
        folder / image_folders.PREDICTIONS / f"{name}_overlay.mp4",
        predict,
        draw,
        stride=videos.video_stride,
        smoothing=videos.video_smoothing,
    )


def _name_safely(predictions: Iterator[Prediction], spec: DatasetSpec) -> Iterator:
    """Yields those of records, whose names may be anything, with names for files.

    Warns, in the end, of other names, and of labels that are not of these classes.
    """
    names, strange = FileNames(), list[str]()
    for prediction in predictions:
        name = names.choose(prediction.name)
        strange += [name] if _has_strange_ids(prediction, spec) else []
        yield dataclasses.replace(prediction, name=name)
    names.warn()
    if strange:
        logging.warning(
            "Labels of %d images hold ids that are no classes, first %s; they are "
            "drawn as ignored",
            len(strange),
            strange[0],
        )


def _has_strange_ids(prediction: Prediction, spec: DatasetSpec) -> bool:
    """Whether a label holds what is neither a class nor the ignore label."""
    return bool({*np.unique(np.asarray(prediction.label)).tolist()} - allowed_ids(spec))


def _palette(colormap: str | None, spec: DatasetSpec) -> tuple[Color, ...]:
    palette = _COLORMAPS[colormap] if colormap else spec.palette
    if len(palette) < spec.num_classes:
        raise FlagError(
            f"--colormap_type={colormap} has {len(palette)} colors, {spec.name} "
            f"{spec.num_classes} classes; leave it out for the data set's own"
        )
    return palette[: spec.num_classes]


def _predict(
    predictor: Predictor,
    photographs: Sequence[tuple[str, Path]],
    records: Records | None,
    config: VisConfig,
    devices: Sequence[str],
) -> Iterator[Prediction]:
    """Of the photographs, or of the records; refined, if that was asked for."""
    crf, engine = _crf_of(config)
    options = _options(config, "logits" if crf else "classes", devices)
    predicted: Iterator[Prediction]
    if records is None:
        images = (image_files.read_image(path) for _, path in photographs)
        each = predictor.predict_images(images, **options)
        predicted = (
            dataclasses.replace(prediction, name=name)
            for prediction, (name, _) in zip(each, photographs, strict=True)
        )
    else:
        predicted = predictor.predict_split(
            records, batch_size=config.vis_batch_size, **options
        )
    predicted = parallel.look_ahead(predicted)
    if not crf:
        yield from predicted
        return
    total = len(photographs) if records is None else records.count()
    for prediction, classes in predictions.refine_in_processes(
        predicted, crf, engine, total=total
    ):
        yield dataclasses.replace(prediction, classes=classes, logits=None)


def _crf_of(config: VisConfig) -> tuple[engines.Parameters | None, str]:
    """Of the CRF, parameters and engine, if there is one."""
    engine = engines.find_engine(config.refinement.crf_engine)
    return engines.parameters_of(config.refinement), engine


def _options(
    config: VisConfig, output: Output, devices: Sequence[str]
) -> dict[str, Any]:
    """How a `Predictor` is to predict."""
    return {
        "scales": config.inference.eval_scales,
        "flip": config.inference.add_flipped_images,
        "output": output,
        "tiles": make_tiles(config.tiles),
        "devices": devices,
    }


def _draw(
    folder: Path,
    prediction: Prediction,
    spec: DatasetSpec,
    palette: tuple[Color, ...],
    config: VisConfig,
) -> None:
    path = folder / prediction.name
    path.parent.mkdir(parents=True, exist_ok=True)
    image, classes = prediction.image, prediction.classes.astype(np.uint8)
    label = prediction.label
    if label is not None and (label == spec.ignore_label).all():
        label = None
    _write_picture(Path(f"{path}_image.png"), image_files.png(image))
    _write_picture(Path(f"{path}_prediction.png"), image_files.png(classes, palette))
    if config.palette == "contrast":
        palette = colors.contrast(palette)
    sheet = drawing.panels(
        image, classes, label, spec, names=config.panels, palette=palette
    )
    _write_sheet(Path(f"{path}_overlay.png"), sheet)


def _write_raw(folder: Path, prediction: Prediction, spec: DatasetSpec) -> None:
    """Class ids as gray values; for Cityscapes those of its test server."""
    ids = prediction.classes.astype(np.uint8)
    if spec.name == cityscapes.SPEC.name:
        ids = np.array([label for label, _, _ in cityscapes.LABELS], np.uint8)[ids]
    path = folder / f"{prediction.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_picture(path, image_files.png(ids))


def _write_sheet(path: Path, sheet: Image.Image) -> None:
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    _write_picture(path, stream.getvalue())


def _write_picture(path: Path, content: bytes) -> None:
    write_whole(path, content, flushed=False)  # There are many.
