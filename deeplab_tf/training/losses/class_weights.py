"""Class weights, from how often they occur in the records, or from a file."""

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf.config import LossConfig
from deeplab_tf.data import corrupt_records
from deeplab_tf.data.decode import Sample
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.files import find_recipe_file, write_whole
from deeplab_tf.text_files import read_lines

FILE_NAME = "class_weights.txt"
_IDS = 256


class PixelCounts(NamedTuple):
    """Pixels of a split; those of the ignore label are nowhere in it.

    Attributes:
        pixels: Of each class, `[C]`.
        beside: Of all classes together, in the images that show the class, `[C]`.
    """

    pixels: np.ndarray
    beside: np.ndarray


def resolve(
    config: LossConfig, spec: DatasetSpec, source: InputData
) -> tuple[LossConfig, PixelCounts | None]:
    """The loss with the weights that `class_weights` asks for, and what was counted.

    They follow from the records, or the file, alone: a run that goes on has the same.

    Raises:
        InputError: The file is not of these classes, or a record cannot be read.
    """
    how = config.class_weights
    if not how:
        return config, None
    if how in _RULES:
        logging.info("--class_weights=%s: reading the labels of all records", how)
        counts = count_pixels(spec, source)
        weights = _RULES[how](counts)
    else:
        counts, weights = None, read(find_recipe_file(how), spec)
    loss = dataclasses.replace(
        config, class_weights="", label_weights=tuple(weights.tolist())
    )
    return loss, counts


def median_frequency(counts: PixelCounts) -> np.ndarray:
    """Median frequency balancing: median of the frequencies, over each, `[C]`.

    A class's frequency is its share of the labeled pixels of the images that show it:
    Eigen and Fergus 2014, https://arxiv.org/abs/1411.4734, and SegNet,
    https://arxiv.org/abs/1511.00561. A class without pixels weighs 0.
    """
    shown = counts.pixels > 0
    frequency = counts.pixels[shown] / counts.beside[shown]
    weights = np.zeros(len(shown))
    weights[shown] = np.median(frequency) / frequency
    return weights


def inverse_log(counts: PixelCounts) -> np.ndarray:
    """`1 / ln(1.02 + p)` of each class's share p of all labeled pixels, `[C]`.

    Reference: ENet, Paszke et al. 2016, https://arxiv.org/abs/1606.02147; from 1.42
    where a class is everything to 50.5 where it is nothing.
    """
    return 1 / np.log(1.02 + counts.pixels / counts.pixels.sum())


_RULES = {"median_frequency": median_frequency, "inverse_log": inverse_log}


def count_pixels(spec: DatasetSpec, source: InputData) -> PixelCounts:
    """Counts the pixels of every label of a split, at its own size.

    Raises:
        InputError: A record cannot be read, or no pixel has a label.
    """
    histograms = source.records.in_order().map(
        functools.partial(_histogram, source=source), tf.data.AUTOTUNE
    )
    pixels, beside = np.zeros((2, spec.num_classes), np.int64)
    for histogram in corrupt_records.read_batches(histograms, source.records):
        counts = histogram["pixels"].numpy().astype(np.int64)
        counts[spec.ignore_label] = 0
        counts = counts[: spec.num_classes]
        pixels += counts
        beside += counts.sum() * (counts > 0)
    if not pixels.any():
        raise InputError("--class_weights: all pixels of the split are ignored")
    return PixelCounts(pixels, beside)


def _histogram(sample: Sample, *, source: InputData) -> Sample:
    ids = tf.cast(source.label(sample), tf.int32)
    return {"pixels": tf.math.bincount(ids, minlength=_IDS, maxlength=_IDS)}


def read(path: Path, spec: DatasetSpec) -> np.ndarray:
    """Weights of a file: one a line, or `name weight` in any order, `[C]`.

    What follows a `#` says nothing.

    Raises:
        FlagError: There is no such file.
        InputError: It is not of these classes.
    """
    if not path.is_file():
        rules = ", ".join(_RULES)
        raise FlagError(f"--class_weights={path}: {rules}, or a file; no such file")
    text = read_lines(path)
    lines = [words for line in text if (words := line.split("#")[0].split())]
    if len(lines) != spec.num_classes:
        raise InputError(
            f"{path}: {len(lines)} weights for {spec.num_classes} classes of "
            f"{spec.name}"
        )
    weights = [_weight(path, line[-1]) for line in lines]
    names = [" ".join(line[:-1]) for line in lines]
    if not any(names):
        return np.array(weights)
    if missing := [name for name in spec.classes if name not in names]:
        raise InputError(
            f"{path}: no weight of {missing[0]!r}, a class of {spec.name}; it names "
            f"{', '.join(names[:6])}"
        )
    return np.array([weights[names.index(name)] for name in spec.classes])


def _weight(path: Path, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < np.inf:
        raise InputError(f"{path}: {text!r} is no weight; a number, 0 or more, is one")
    return value


def write(folder: Path, spec: DatasetSpec, config: LossConfig, how: str) -> None:
    """Keeps the weights of a run in its folder, as a file that `read` takes."""
    lines = [
        f"{name} {weight!r}\n"
        for name, weight in zip(spec.classes, config.label_weights, strict=True)
    ]
    write_whole(folder / FILE_NAME, f"# --class_weights={how}\n" + "".join(lines))
