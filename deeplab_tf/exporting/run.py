"""Export: a trained network in another form, compared with the network first."""

import contextlib
import json
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

import deeplab_tf
from deeplab_tf.checkpoints import run_folder
from deeplab_tf.compat import variables_to_constants
from deeplab_tf.config import ExportConfig, InferenceConfig
from deeplab_tf.data import image_files, spec_compatibility, specs, tfrecord
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.exporting import frozen_graph, saved_model
from deeplab_tf.exporting.saved_model import CLASSES, PROBABILITIES
from deeplab_tf.files import check_writable
from deeplab_tf.prediction import load
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.prediction.predictor import Predictor

_AGREEMENT = 0.999  # Share of equal pixels below which an export has failed.
_TEXT = "inference_graph.pbtxt"


def export(config: ExportConfig) -> None:
    """Exports a checkpoint as a command does; see `export_predictor`.

    Raises:
        InputError: Something given is not usable, or the export does not agree with the
            network; nothing was written.
    """
    target = _new_target(config)
    path = config.checkpoint_path or ""
    run = load.read_run(path)
    picture = _read_picture(config.check_image, run)
    predictor = load.load(
        path,
        run=run,
        spec=_find_spec(config, run),
        model=config.model,
        resize=config.resize,
        crop_size=config.crop_size,
        compatibility=config.compatibility,
    )
    export_predictor(
        predictor,
        target,
        inference=InferenceConfig(
            eval_scales=config.inference_scales,
            add_flipped_images=config.add_flipped_images,
        ),
        as_frozen_graph=config.is_graph,
        with_text=config.save_inference_graph,
        picture=picture,
    )


def export_predictor(
    predictor: Predictor,
    target: Path,
    *,
    inference: InferenceConfig = InferenceConfig(),
    as_frozen_graph: bool = False,
    with_text: bool = False,
    picture: np.ndarray | None = None,
) -> None:
    """Writes a SavedModel, or a frozen graph, with all preprocessing inside.

    Signatures of a SavedModel: `serving_default` takes `ImageTensor`, uint8
    `[N, H, W, 3]`; `serving_bytes` takes `image_bytes`, JPEG or PNG files `[N]`. Both
    give `SemanticPredictions`, int32 `[N, H, W]`, and `SemanticProbabilities`, float32
    `[N, H, W, C]`, at the size of the images.

    Args:
        predictor: What is exported.
        target: Folder of the SavedModel, or file of the graph; new.
        inference: Test-time augmentation.
        as_frozen_graph: Write a TensorFlow 1 GraphDef.
        with_text: Write the graph as text, too.
        picture: On which the export, read again, and the network are compared, uint8
            `[H, W, 3]`; by default the packaged one.

    Raises:
        InputError: The export does not agree with the network; nothing was written.
    """
    picture = _packaged_picture() if picture is None else picture
    function = saved_model.concrete_function(predictor, inference)
    write = _write_frozen_graph if as_frozen_graph else _write_saved_model
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=target.parent) as made:
        exported = write(variables_to_constants(function), predictor, Path(made))
        expected = predictor.predict(
            picture,
            scales=inference.eval_scales,
            flip=inference.add_flipped_images,
        )
        agreement = min(compare(predict, expected) for predict in exported)
        if with_text:
            graph = function.graph.as_graph_def()
            tf.io.write_graph(graph, str(made), _TEXT)
        (Path(made) / "model").rename(target)
        if with_text:
            beside = target if target.is_dir() else target.parent
            (Path(made) / _TEXT).rename(beside / _TEXT)
    logging.info(
        "Wrote %s%s: %.2f %% of the pixels agree",
        target,
        "" if as_frozen_graph else " (names and colors in its assets)",
        100 * agreement,
    )


def _write_saved_model(
    frozen: Any, predictor: Predictor, folder: Path
) -> list[saved_model.Predict]:
    """Writes `folder/model`; returns what it predicts, read again."""
    assets = _write_assets(folder / "notes", predictor)
    saved_model.save(saved_model.Serving(frozen, assets), folder / "model")
    return saved_model.load(folder / "model")


def _write_frozen_graph(
    frozen: Any, predictor: Predictor, folder: Path
) -> list[saved_model.Predict]:
    """Writes `folder/model`; returns what it predicts, read again."""
    frozen_graph.save(frozen, folder / "model")
    return [frozen_graph.load(folder / "model")]


def compare(predict: saved_model.Predict, expected: Prediction) -> float:
    """Share of equal pixels between an export, read again, and its network.

    Raises:
        InputError: The two differ.
    """
    outputs = predict(expected.image[np.newaxis])
    equal = float(np.mean(outputs[CLASSES] == expected.classes))
    gap = float(np.max(np.abs(outputs[PROBABILITIES] - expected.probabilities)))
    if equal < _AGREEMENT or gap > 0.01:
        raise InputError(
            f"the export differs from the network: {equal:.2%} of the pixels are "
            f"equal, probabilities differ by up to {gap:.2g}; nothing was written"
        )
    return equal


def _new_target(config: ExportConfig) -> Path:
    path = config.export_path or ""
    target = Path(path)
    if target.exists():
        raise InputError(
            f"--export_path={path} is there already; remove it or take another"
        )
    return check_writable("export_path", path)


def _read_picture(path: str | None, run: run_folder.Run) -> np.ndarray | None:
    """The image on which to compare: as given, or of the training, if there is one."""
    if path:
        return image_files.read_image(Path(path))
    if run.shards:
        with contextlib.suppress(InputError):  # Records may have moved since.
            first = tfrecord.find_shards(*run.shards)[0]
            sample = tfrecord.parse_example(next(tfrecord.read(first)))
            return tfrecord.decode_image(sample["image"]).numpy()
    return None


def _packaged_picture() -> np.ndarray:
    packaged = resources.files(deeplab_tf) / "exporting" / "picture.jpg"
    with resources.as_file(packaged) as file:
        return image_files.read_image(file)


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


def _write_assets(folder: Path, predictor: Predictor) -> list[Path]:
    """Files for whoever uses the export: names, colors, and where it comes from."""
    folder.mkdir()
    spec = predictor.spec
    rows = [",".join(map(str, (i, *color))) for i, color in enumerate(spec.palette)]
    info = {
        "checkpoint": predictor.checkpoint,
        "dataset": spec.name,
        "num_classes": spec.num_classes,
        "model_variant": predictor.config.model_variant,
        "output_stride": predictor.config.output_stride,
        "crop_size": predictor.crop_size,
        "deeplab_tf": deeplab_tf.__version__,
    }
    texts = {
        "labels.txt": "\n".join(spec.classes),
        "colormap.csv": "\n".join(["id,red,green,blue", *rows]),
        "export_info.json": json.dumps(info, indent=1),
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", "utf-8")
    return [folder / name for name in texts]
