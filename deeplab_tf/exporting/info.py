"""`export_info.json`: what an export is, for programs that use it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import deeplab_tf
from deeplab_tf.config import InferenceConfig
from deeplab_tf.exporting.function import Ends
from deeplab_tf.prediction.predictor import Predictor

FILE_NAME = "export_info.json"  # In the assets of a SavedModel.


def describe(
    predictor: Predictor,
    *,
    format: str,
    quantize: str = "none",
    inference: InferenceConfig = InferenceConfig(),
    ends: Ends = Ends(),
) -> dict[str, Any]:
    """What `export_info.json` holds.

    Args:
        predictor: What is exported.
        format: A key of `FORMATS`.
        quantize: Precision.
        inference: Test-time augmentation inside.
        ends: What the file takes and gives.
    """
    spec, resize = predictor.spec, predictor.resize
    return {
        "format": format,
        "quantize": quantize,
        "checkpoint": predictor.checkpoint,
        "dataset": spec.name,
        "num_classes": spec.num_classes,
        "classes": list(spec.classes),
        "colors": [list(color) for color in spec.palette],
        "ignore_label": spec.ignore_label,
        "model_variant": predictor.config.model_variant,
        "output_stride": predictor.config.output_stride,
        "crop_size": list(predictor.crop_size),
        "input_size": ends.size and list(ends.size),
        "batch": ends.batch,
        "outputs": list(ends.outputs),
        "mean_pixel": list(predictor.mean_pixel),
        "min_resize_value": resize.min_resize_value,
        "max_resize_value": resize.max_resize_value,
        "resize_factor": resize.resize_factor,
        "scales": list(inference.eval_scales),
        "flip": inference.add_flipped_images,
        "data_size": list(predictor.crop_size),
        "deeplab_tf": deeplab_tf.__version__,
    }


def write(path: Path, info: Mapping[str, Any]) -> None:
    """Writes `export_info.json`, or the same beside a file."""
    path.write_text(json.dumps(info, indent=1) + "\n", "utf-8")


def beside(path: Path) -> Path:
    """Where it lies beside a file: `model.onnx.json`."""
    return path.with_name(f"{path.name}.json")
