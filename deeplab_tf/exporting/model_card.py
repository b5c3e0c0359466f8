"""Model card: what an exported network is, learned from and is worth, for people.

Reference: Mitchell et al., Model Cards for Model Reporting (2019),
https://arxiv.org/abs/1810.03993
"""

import contextlib
import dataclasses
import datetime
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import deeplab_tf
from deeplab_tf.checkpoints import run_log
from deeplab_tf.checkpoints.manager import BEST
from deeplab_tf.config import InferenceConfig, ModelConfig, ResizeConfig
from deeplab_tf.config.fields import text
from deeplab_tf.errors import InputError
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.text_files import read_json

_SCORES = "the scores of an evaluation"
FILE_NAME = "README.md"  # In the folder of a SavedModel.
_LICENSES = """\
* Code that made it: deeplab_tf, Apache 2.0.
* Weights: as whoever trained them says, within the terms of the photographs and labels,
  and of the weights that the training began with; ImageNet, VOC, Cityscapes and ADE20K
  have terms of their own, some for research alone."""
_LIMITS = """\
* It knows the classes below and no others: whatever an image shows is one of them.
* Its scores are of images like those of the training. Other cameras, light, places and
  sizes of things can make it worse; measure it on images of your own.
* Probabilities are those of a softmax: they rank, and are not calibrated.
* It reads no EXIF data: photographs are to be upright."""


def write(folder: Path, predictor: Predictor, inference: InferenceConfig) -> None:
    """Writes `README.md` of an export."""
    content = card(predictor, inference, datetime.date.today())
    (folder / FILE_NAME).write_text(content, "utf-8")


def card(predictor: Predictor, inference: InferenceConfig, date: datetime.date) -> str:
    """What `README.md` says, in Markdown.

    Args:
        predictor: What is exported.
        inference: Test-time augmentation inside.
        date: Of the export.
    """
    name = predictor.model.name
    sections = {
        f"# {name}, {predictor.spec.num_classes} classes": _origin(predictor, date),
        "## Data": _data(predictor),
        "## Scores": _scores(predictor),
        "## Settings": _settings(predictor, inference),
        "## Licenses": iter([_LICENSES]),
        "## Limits": iter([_LIMITS]),
        "## Classes": _classes(predictor),
    }
    return (
        "\n\n".join(
            f"{title}\n\n" + "\n".join(lines) for title, lines in sections.items()
        )
        + "\n"
    )


def _origin(predictor: Predictor, date: datetime.date) -> Iterator[str]:
    yield "Semantic segmentation: a class for each pixel of an RGB image of any size."
    yield ""
    yield f"* Weights: `{predictor.checkpoint or predictor.model.name}`"
    yield f"* Parameters: {predictor.model.count_params():,}"
    yield f"* Exported: {date.isoformat()}"
    yield (
        f"* Versions: deeplab_tf {deeplab_tf.__version__}, TensorFlow {tf.__version__},"
        f" Keras {keras.__version__}, Python {platform.python_version()}"
    )


def _data(predictor: Predictor) -> Iterator[str]:
    spec = predictor.spec
    yield f"* Data set: {spec.name}"
    for split, images in spec.split_sizes.items():
        checksum = spec.checksums.get(split)
        told = f", SHA-256 {checksum}" if checksum else ""
        yield f"* {split}: {images} images{told}"
    yield f"* Pixels that count nowhere: id {spec.ignore_label}"


def _scores(predictor: Predictor) -> Iterator[str]:
    scores = _find_scores(predictor)
    if scores.get("miou") is None:
        yield "None are known of these weights: `eval.py` measures them."
        return
    file = scores.get("file")
    how = f"by `{file}`" if file else "without test-time augmentation"
    yield f"Of the run, at step {predictor.step}, {how}:"
    yield ""
    yield f"* mIoU: {scores['miou']:.2%}"
    if scores.get("pixel_accuracy") is not None:
        yield f"* Pixel accuracy: {scores['pixel_accuracy']:.2%}"
    if scores.get("num_images"):
        yield f"* Images: {scores['num_images']}"


def _find_scores(predictor: Predictor) -> dict[str, Any]:
    """Those of the checkpoint: of `best/`, of the log of the run, or of `eval.py`."""
    folder = Path(predictor.checkpoint).parent
    lines: list[dict[str, Any]] = []
    with contextlib.suppress(OSError):
        lines += run_log.read(folder)
    with contextlib.suppress(InputError, OSError):
        lines.append(read_json(folder / "metrics.json", _SCORES))
    for scores in reversed(lines):
        of_step = scores.get("step") == predictor.step
        if of_step and isinstance(scores.get("miou"), float):
            return scores
    return _find_evaluation(Path(predictor.checkpoint), predictor.step)


def _find_evaluation(checkpoint: Path, step: int) -> dict[str, Any]:
    """What `eval.py` wrote last of a checkpoint below the folder of its run."""
    is_best = checkpoint.parent.name == BEST
    run = checkpoint.parent.parent if is_best else checkpoint.parent
    evaluations: list[tuple[float, dict[str, Any]]] = []
    for path in run.glob("*/metrics.json") if checkpoint.name else ():
        with contextlib.suppress(InputError, OSError):
            scores = read_json(path, _SCORES)
            if scores.get("step") != step:
                continue
            source = Path(str(scores.get("checkpoint")))
            is_same = source.name == checkpoint.name
            if is_same and (source.parent.name == BEST) == is_best:
                file = path.relative_to(run.parent).as_posix()
                evaluations.append((path.stat().st_mtime, scores | {"file": file}))
    return max(evaluations, key=lambda each: each[0])[1] if evaluations else {}


def _settings(predictor: Predictor, inference: InferenceConfig) -> Iterator[str]:
    height, width = predictor.crop_size
    yield f"* `--crop_size={height},{width}`: smaller images are padded to it"
    records: list[tuple[Any, Any]] = [
        (predictor.config, ModelConfig()),
        (predictor.resize, ResizeConfig()),
        (inference, InferenceConfig()),
    ]
    for record, usual in records:
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            if value != getattr(usual, field.name) and value is not None:
                yield f"* `--{field.name}={text(value)}`"


def _classes(predictor: Predictor) -> Iterator[str]:
    yield "| id | class | color |"
    yield "| --- | --- | --- |"
    spec = predictor.spec
    for i, (name, color) in enumerate(zip(spec.classes, spec.palette, strict=True)):
        shown = name.replace("|", "\\|")
        yield f"| {i} | {shown} | {', '.join(map(str, color))} |"
