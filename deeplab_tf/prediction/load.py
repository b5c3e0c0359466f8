"""Opening a trained network: checkpoint and run folder -> Predictor."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints import (
    infer_config,
    reader,
    restore,
    run_folder,
    zoo,
    zoo_fetch,
)
from deeplab_tf.config import (
    CompatibilityConfig,
    EvalConfig,
    ModelConfig,
    ResizeConfig,
    VisConfig,
)
from deeplab_tf.config.fields import Overrides
from deeplab_tf.data import open_split, specs
from deeplab_tf.data.labels import validate_records
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.data.transforms import size_in_range
from deeplab_tf.errors import InputError
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.build import build
from deeplab_tf.models.mixed_precision import dtype_policy
from deeplab_tf.models.receptive_field import coarsest_stride
from deeplab_tf.models.registration import register
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.prediction.tensor_predictor import CROP_SIZE


def load(  # noqa: PLR0913  # Each has the name of a flag.
    path: str,
    *,
    spec: DatasetSpec | None = None,
    run: run_folder.Run | None = None,
    model: Overrides[ModelConfig] = Overrides(ModelConfig()),
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig()),
    crop_size: tuple[int, int] | None = None,
    compatibility: CompatibilityConfig = CompatibilityConfig(),
    precision: str = "float32",
) -> Predictor:
    """Builds a network and takes its weights from a checkpoint.

    Args:
        path: Training folder, or folder, prefix or `.index` of a checkpoint, or
            `zoo:NAME`.
        spec: The classes it is used for, those that it learned; by default those of the
            run, or numbered ones.
        run: What `read_run` says of it, where that is known; settings by hand win.
        model: Settings of the network.
        resize: Settings of the resizing.
        crop_size: Or that of the run, or 513, 513.
        compatibility: Which mistakes to make.
        precision: What layers compute in; see `dtype_policy`.

    Raises:
        InputError: There is no checkpoint, or it is not of this network.
    """
    run = run or read_run(path)
    spec = spec or run.spec or number_classes(path)
    learned = run.model
    if learned and zoo.is_name(path):
        learned = zoo.settings_at(learned, model.given)
    config = model.onto(learned)
    if learned:
        _warn_of_rates(config, learned, model.given)
    prefix = reader.find_checkpoint(zoo_fetch.locate(path))
    with dtype_policy(precision):
        network = build(config, spec.num_classes)
    report = restore.restore(network, prefix)
    logging.info("%s: %s", prefix, report)
    return Predictor(
        model=network,
        config=config,
        spec=spec,
        resize=compatibility.resize(resize.onto(run.resize)),
        crop_size=crop_size or run.crop_size or CROP_SIZE,
        checkpoint=prefix,
        softmax_twice=compatibility.official_bugs,
        trained_size=_trained_size(run),
    )


def _warn_of_rates(
    config: ModelConfig, learned: ModelConfig, given: Mapping[str, Any]
) -> None:
    """Tells where the output stride is another one and the rates of the ASPP stay."""
    fitting = zoo.settings_at(learned, given).atrous_rates
    if config.atrous_rates != fitting and "atrous_rates" not in given:
        logging.warning(
            "--output_stride=%d, and the network learned at %d: its atrous rates stay "
            "%s; --atrous_rates=%s would see as far",
            config.output_stride,
            learned.output_stride,
            _join(config.atrous_rates),
            _join(fitting),
        )


def _join(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _trained_size(run: run_folder.Run) -> tuple[int, int] | None:
    """Height, width of the largest image that it learned from, as it was resized."""
    if not (run.largest_image and run.resize and run.resize.min_resize_value):
        return run.largest_image
    height, width = size_in_range(tf.constant(run.largest_image), run.resize).numpy()
    return int(height), int(width)


def load_keras(
    path: str,
    *,
    spec: DatasetSpec | None = None,
    model: Overrides[ModelConfig] = Overrides(ModelConfig()),
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig()),
    crop_size: tuple[int, int] | None = None,
) -> Predictor:
    """Opens a `.keras` file of a network that `build` made.

    The file holds graph and weights; what else prediction needs, its name and its
    strides tell.

    Args:
        path: Of the file.
        spec: Its classes; by default numbered ones.
        model: Settings of the network, which win.
        resize: Range of sizes into which images are to be brought.
        crop_size: To which smaller images are padded, or 513, 513.

    Raises:
        InputError: It cannot be read, or is no network of ours.
    """
    register()
    try:
        network = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: not a network of deeplab_tf ({reason})") from None
    architecture, _, variant = network.name.rpartition(".")
    if variant not in BACKBONES:
        raise InputError(
            f"{path}: a model named {network.name}, not a network of deeplab_tf"
        )
    own_size = network.input_shape[1:3]
    if None not in own_size:
        network = _of_any_size(network)
    config = ModelConfig(
        architecture=architecture,
        model_variant=variant,
        output_stride=coarsest_stride(network),
        decoder_output_stride=_decoder_stride(network),
    )
    return Predictor(
        model=network,
        config=model.onto(config),
        spec=spec or number_classes(path, network.outputs[-1].shape[-1]),
        resize=resize.onto(None),
        crop_size=crop_size or (CROP_SIZE if None in own_size else own_size),
    )


def _of_any_size(network: keras.Model) -> keras.Model:
    """The same graph and weights, for images of any size."""
    images = keras.Input((None, None, 3), name="images")
    clone = keras.models.clone_model(network, input_tensors=images)
    clone.set_weights(network.get_weights())
    return clone


def _decoder_stride(network: keras.Model) -> tuple[int, ...]:
    """Input size over decoder size, if it has a decoder."""
    if not any(layer.name.startswith("decoder.") for layer in network.layers):
        return ()
    _, height, _, _ = network.compute_output_shape((1, 257, 257, 3))
    return (256 // (height - 1),)


def load_with_records(
    path: str,
    config: EvalConfig | VisConfig,
    *,
    split: str,
    crop_size: tuple[int, int] | None,
    validate_labels: str | None = None,
) -> tuple[Predictor, Records]:
    """The network of a checkpoint, and the records of a split, as a command wants both.

    Args:
        path: As `load` takes it.
        config: Of the command.
        split: Of the records.
        crop_size: See `load`.
        validate_labels: How many labels to read first; see `check_records`. None where
            records need none.

    Raises:
        InputError: Either cannot be opened, or they are of different classes.
    """
    run = read_run(path)
    tfds = open_split.tfds_config(config.data, config.tfds, run.spec, run.tfds)
    spec, records = open_split.open_split(
        config.data,
        tfds,
        split,
        run.spec,
        needs_labels=validate_labels is not None,
    )
    if validate_labels:
        validate_records.check_records(records, spec, validate_labels)
    return _load_as_configured(path, config, run, spec, crop_size), records


def load_with_classes(
    path: str, config: EvalConfig | VisConfig, *, crop_size: tuple[int, int] | None
) -> Predictor:
    """As `load_with_records`, without records."""
    run = read_run(path)
    tfds = open_split.tfds_config(config.data, config.tfds, run.spec, run.tfds)
    spec = open_split.open_spec(config.data, tfds, run.spec)
    return _load_as_configured(path, config, run, spec, crop_size)


def _load_as_configured(
    path: str,
    config: EvalConfig | VisConfig,
    run: run_folder.Run,
    spec: DatasetSpec,
    crop_size: tuple[int, int] | None,
) -> Predictor:
    return load(
        path,
        spec=spec,
        run=run,
        model=config.model,
        resize=config.resize,
        crop_size=crop_size,
        compatibility=config.compatibility,
        precision=config.precision,
    )


def read_run(path: str) -> run_folder.Run:
    """What the folder of a checkpoint says of its training.

    Raises:
        InputError: There is no checkpoint.
    """
    return zoo_fetch.read_run(path)


def number_classes(path: str, count: int | None = None) -> DatasetSpec:
    """Classes 0, 1, 2, ... of a checkpoint without `dataset.json`.

    Args:
        path: As `load` takes it.
        count: Or as many as the checkpoint's logits have, if it has the usual ones.
    """
    if count is None:
        stored = reader.open_checkpoint(zoo_fetch.locate(path))
        count = infer_config.infer_num_classes(stored)
    count = count or specs.DATASETS[specs.DEFAULT].num_classes
    logging.info("Classes are numbered; --dataset would name them")
    return DatasetSpec(
        name="unknown",
        classes=tuple(f"class_{i}" for i in range(count)),
        palette=distinct_colors(count),
    )


def iterate_checkpoints(
    path: str,
    count: int,
    seconds: float,
    *,
    is_finished: Callable[[], bool] = lambda: False,
    skips: Callable[[str], bool] = lambda prefix: False,
) -> Iterator[str]:
    """Yields the newest checkpoint, and each newer one that appears.

    Args:
        path: Folder of a run, or a checkpoint, which cannot become newer; one of the
            zoo is yielded by its name.
        count: How many in all; 0 or less for no end. One is not waited for.
        seconds: Between two looks at the folder.
        is_finished: Whether no checkpoint will appear any more: then it ends.
        skips: Which checkpoint is not yielded, nor counted.

    Raises:
        InputError: There is no checkpoint, and only one was asked for.
    """
    if zoo.is_name(path):
        yield path
        return
    if count == 1 or reader.is_checkpoint(path):
        yield reader.find_checkpoint(path)
        return
    last, remaining = None, count if count > 0 else math.inf
    while remaining:
        is_last = is_finished()  # Asked first: the newest is the last one then.
        newest = reader.newest(path)
        if newest and newest != last and skips(newest):
            last = newest
        if newest in (None, last):
            if is_last:
                return
            logging.info("Waiting for a new checkpoint in %s", path)
            time.sleep(seconds)
            continue
        yield newest
        last, remaining = newest, remaining - 1
