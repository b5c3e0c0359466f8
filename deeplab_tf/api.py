"""The Python API: load, build and train networks; predict, evaluate and export.

`deeplab_tf` has these names, and loads TensorFlow and Keras when one is used. Settings
have the names of their flags (`python train.py --help`), without the dashes; so have
error messages.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

import keras

from deeplab_tf import compat, flag_slips, flags
from deeplab_tf.config import (
    DataConfig,
    ExportConfig,
    InferenceConfig,
    ModelConfig,
    ResizeConfig,
    TfdsConfig,
    TrainConfig,
)
from deeplab_tf.config.architectures import ARCHITECTURES
from deeplab_tf.config.export import OF_A_FILE
from deeplab_tf.config.fields import Overrides, flag, text
from deeplab_tf.crf import engines
from deeplab_tf.data import image_files, open_split, specs
from deeplab_tf.data.image_files import Photograph
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError, flags_as_arguments, one_of
from deeplab_tf.evaluation.run import Evaluation, evaluate_split
from deeplab_tf.exporting.run import export_network
from deeplab_tf.models import build as models
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.prediction import load as loading
from deeplab_tf.prediction import replicas
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.prediction.tiles import Blend, TileSize, tiles_of
from deeplab_tf.runtime import Tiles
from deeplab_tf.segmentation import Segmentation
from deeplab_tf.training import run as training
from deeplab_tf.training import setup


class _Looks(TypedDict, total=False):
    scales: Sequence[float]
    flip: bool
    crf: str | engines.Parameters | None
    tile: TileSize
    tile_overlap: TileSize
    tile_blend: Blend


class Network:
    """A network with its weights, and what its classes mean.

    Several threads may predict with it at a time.

    Attributes:
        predictor: The same for tensors, batches and records.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def __repr__(self) -> str:
        config, spec = self.config, self.spec
        return (
            f"<deeplab_tf.Network {config.head} on {config.model_variant}, "
            f"{spec.num_classes} classes of {spec.name}>"
        )

    @property
    def model(self) -> keras.Model:
        """Images `[N, H, W, 3]`, RGB in 0...255 -> logits at the logits' stride."""
        return self.predictor.model

    @property
    def spec(self) -> DatasetSpec:
        """Classes and colors."""
        return self.predictor.spec

    @property
    def config(self) -> ModelConfig:
        """Settings of the network."""
        return self.predictor.config

    @overload
    def predict(self, image: Photograph, **looks: Unpack[_Looks]) -> Segmentation: ...

    @overload
    def predict(
        self,
        image: list[Photograph] | tuple[Photograph, ...],
        **looks: Unpack[_Looks],
    ) -> list[Segmentation]: ...

    def predict(
        self,
        image: Any,
        *,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        crf: str | engines.Parameters | None = None,
        tile: TileSize = None,
        tile_overlap: TileSize = None,
        tile_blend: Blend = "probabilities",
    ) -> Any:
        """Classes of a photograph, or of each of a list, whatever their sizes.

        Args:
            image: A path, a PIL image, or an array, uint8, RGB `[H, W, 3]` or gray
                `[H, W]`; a list of these gives a list.
            scales: Test-time augmentation: sizes whose probabilities are averaged.
            flip: Average with the mirror image, too.
            crf: Fully connected CRF behind the network: a preset, as
                "voc_v2_resnet101", or its parameters.
            tile: Side, or height and width, of overlapping tiles into which larger
                photographs are cut; best the crop size of the training.
            tile_overlap: By how much they overlap at least; by default a quarter.
            tile_blend: What is averaged there, "probabilities" or "logits".

        Returns:
            A `Segmentation`, or a list of them.

        Raises:
            InputError: A file cannot be read, or an argument is not usable.
        """
        with flags_as_arguments():
            tiles = tiles_of(tile, tile_overlap, tile_blend)
            how = _inference(scales, flip), _crf(crf), tiles
            if isinstance(image, list | tuple):
                return [self._predict(each, *how) for each in image]
            return self._predict(image, *how)

    def _predict(
        self,
        image: Photograph,
        inference: InferenceConfig,
        crf: engines.Parameters | None,
        tiles: Tiles | None,
    ) -> Segmentation:
        prediction = self.predictor.predict(
            image_files.to_pixels(image),
            scales=inference.eval_scales,
            flip=inference.add_flipped_images,
            crf=crf,
            tiles=tiles,
        )
        assert prediction.probabilities is not None
        return Segmentation(
            prediction.image, prediction.classes, prediction.probabilities, self.spec
        )

    def evaluate(
        self,
        dataset_dir: str | os.PathLike[str] | None = None,
        *,
        split: str = "val",
        dataset: str | None = None,
        batch_size: int = 1,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        crf: str | engines.Parameters | None = None,
    ) -> Evaluation:
        """Scores of the network on a split, as `eval.py` gives them.

        Args:
            dataset_dir: Folder of records, or of a prepared `tfds:` data set.
            split: Of the data set.
            dataset: Its name, where the folder does not tell; `tfds:NAME` for one that
                tensorflow_datasets has prepared.
            batch_size: Images at a time, on each GPU.
            scales: See `predict`.
            flip: See `predict`.
            crf: See `predict`.

        Raises:
            InputError: There are no such records, or they are of other classes.
        """
        inference, parameters = _inference(scales, flip), _crf(crf)
        with flags_as_arguments():
            data = DataConfig(
                dataset=dataset,
                dataset_dir=None if dataset_dir is None else os.fspath(dataset_dir),
            )
            _, records = open_split.open_split(data, TfdsConfig(), split, self.spec)
            return evaluate_split(
                self.predictor,
                records,
                inference=inference,
                batch_size=batch_size,
                crf=parameters,
                devices=replicas.visible_gpus(batch_size),
            )

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        **settings: Any,
    ) -> Path:
        """Writes a SavedModel, or what the end of the path tells: `model.onnx`.

        It is read again and compared with the network first, as by `export.py`.

        Args:
            path: Of a folder, or of a file; new.
            scales: See `predict`.
            flip: See `predict`.
            **settings: Of the file, by the names of their flags: `quantize="int8"`.

        Returns:
            The path.

        Raises:
            InputError: The path is taken, a setting is not usable, or the export
                differs from the network.
            TypeError: There is no such setting.
        """
        target, inference = Path(path), _inference(scales, flip)
        if unknown := settings.keys() - OF_A_FILE:
            raise TypeError(f"{min(unknown)}: there is no such setting of an export")
        if target.exists() and not settings.get("export_version"):
            raise InputError(f"path={target}: is there already; take another")
        settings |= {
            "checkpoint_path": self.predictor.checkpoint or "-",
            "export_path": target,
            "inference_scales": inference.eval_scales,
            "add_flipped_images": flip,
        }
        config = _parse(ExportConfig, settings)
        with flags_as_arguments():
            export_network(self.predictor, config)
        return target


@dataclasses.dataclass(frozen=True, kw_only=True)
class _LoadConfig:
    """Settings of `load`."""

    dataset: str | None = flag("Data set that names the classes.", None)
    num_classes: int | None = flag("Classes, where nothing tells their names.", None)
    crop_size: tuple[int, int] | None = flag("Smaller images are padded to it.", None)
    model: Overrides[ModelConfig] = Overrides(ModelConfig())
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())


def load(path: str | os.PathLike[str], **settings: Any) -> Network:
    """Opens a trained network.

    Args:
        path: A run's folder, its `best/`, an official checkpoint's folder, prefix or
            `.index`; `zoo:NAME` of the official model zoo, which is fetched; or a
            `.keras` file saved from `Network.model` or `build`.
        **settings: What `config.json` does not tell, or tells otherwise, by the name of
            its flag: `depth_multiplier=0.5, output_stride=8`; `dataset` or
            `num_classes` of a checkpoint that does not tell its classes; `crop_size`,
            to which smaller images are padded.

    Raises:
        InputError: There is no checkpoint, or it is of another network.
        TypeError: There is no such setting.
    """
    compat.require_tensorflow_backend("a network with its weights")
    compat.allow_memory_growth()
    config = _parse(_LoadConfig, settings)
    source, is_file = os.fspath(path), Path(path).suffix == ".keras"
    open_network = loading.load_keras if is_file else loading.load
    with flags_as_arguments():
        predictor = open_network(
            source,
            spec=_named_spec(source, config),
            model=config.model,
            resize=config.resize,
            crop_size=config.crop_size,
        )
    return Network(predictor)


def _named_spec(path: str, config: _LoadConfig) -> DatasetSpec | None:
    """The classes as asked for; None for what the checkpoint tells."""
    if config.dataset:
        return specs.resolve(config.dataset, None, None)
    if config.num_classes:
        return loading.number_classes(path, config.num_classes)
    return None


def build(
    architecture: str = "deeplab_v3plus",
    *,
    num_classes: int,
    backbone: str | None = None,
    input_size: tuple[int | None, int | None] = (None, None),
    **settings: Any,
) -> keras.Model:
    """Builds a network with initial weights.

    Args:
        architecture: One of `list_architectures()`.
        num_classes: Channels of the logits.
        backbone: One of `list_backbones()`; by default the architecture's own.
        input_size: Height and width; None for any.
        **settings: Of the network, by the names of their flags: `output_stride=8`.

    Returns:
        Images `[N, H, W, 3]`, RGB in 0...255 -> logits `[N, h, w, num_classes]`.

    Raises:
        InputError: There is no such network.
        TypeError: There is no such setting.
    """
    compat.allow_memory_growth()
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"architecture={architecture}: {one_of(architecture, ARCHITECTURES)}"
        )
    if backbone is not None and backbone not in BACKBONES:
        raise InputError(f"backbone={backbone}: {one_of(backbone, BACKBONES)}")
    if num_classes < 1:
        raise InputError(f"num_classes={num_classes}: 1 or more is needed")
    chosen = {"architecture": architecture, "model_variant": backbone}
    config = _parse(ModelConfig, chosen | settings)
    with flags_as_arguments():
        return models.build(config, num_classes, input_size=input_size)


def train(*, recipe: str | None = None, **settings: Any) -> Network:
    """Trains a network, or goes on with the run in its folder, as `train.py` does.

    Args:
        recipe: Name of a recipe, as "mobilenet_v2_finetune"; settings win over it.
        **settings: By the names of their flags; `dataset_dir` and `train_logdir` are
            needed.

    Returns:
        The network of the run's last checkpoint.

    Raises:
        InputError: Something given is not usable, or training has come to nothing.
        TypeError: There is no such setting.
    """
    compat.require_tensorflow_backend("training")
    compat.allow_memory_growth()
    config = _parse(TrainConfig, settings, recipe=recipe)
    if config.check:
        raise TypeError("check: python train.py --check looks at a set-up")
    with flags_as_arguments():
        setup.require_statistics(config)
        training.train(config)
    return load(str(config.train_logdir))


def list_architectures() -> list[str]:
    """Names of the architectures, for `build` and `--architecture`."""
    return list(ARCHITECTURES)


def list_backbones() -> list[str]:
    """Names of the feature extractors, for `build` and `--model_variant`."""
    return list(BACKBONES)


def _parse(record: type, settings: Mapping[str, Any], recipe: str | None = None) -> Any:
    """A record of settings, checked as a command line is.

    Raises:
        InputError: A value is not usable.
        TypeError: There is no such setting.
    """
    known = flags.names(record)
    for name in settings:
        if name not in known:
            near, remark = flag_slips.suggest(name, known)
            hint = f"; did you mean {near}?" if near else f"; {remark}".rstrip("; ")
            raise TypeError(f"{name}: there is no such setting{hint}")
    command_line = ["--validate_flags=warn"]
    command_line += [f"--recipe={recipe}"] if recipe else []
    for name, value in settings.items():
        if value is not None:
            value = tuple(value) if isinstance(value, list) else value
            command_line.append(f"--{name}={text(value)}")
    with flags_as_arguments():
        return flags.parse(record, ["deeplab_tf", *command_line])


def _inference(scales: Sequence[float], flip: bool) -> InferenceConfig:
    if not scales or min(scales) <= 0:
        raise InputError(f"scales={scales}: numbers above 0, as (0.5, 1.0), are needed")
    return InferenceConfig(eval_scales=tuple(scales), add_flipped_images=flip)


def _crf(crf: str | engines.Parameters | None) -> engines.Parameters | None:
    if not isinstance(crf, str):
        return crf
    if crf not in engines.PRESETS:
        raise InputError(f"crf={crf}: {one_of(crf, engines.PRESETS)}")
    return engines.PRESETS[crf]
