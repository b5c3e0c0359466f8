"""Restoring weights of a network by official name: all of them, or what there is.

A network may start from any checkpoint, or from a file of Keras Applications. Where it
has a smaller fc6 and fc7 than VGG's image classifier, theirs are decimated: Chen et al.
2014, section 3.1, https://arxiv.org/abs/1412.7062. Of 7x7 pixels a 4x4 kernel has rows
and columns 0, 2, 4, 6, and a 3x3 kernel 0, 3, 6. Of 4096 channels 1024 are every
fourth, out of fc6 and into and out of fc7; which ones the authors kept is not known.
Each of several branches (`fc6_1`, ...) starts from the same.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np
from absl import logging

from deeplab_tf.checkpoints import infer_config, keras_applications
from deeplab_tf.checkpoints.reader import CheckpointReader, open_checkpoint
from deeplab_tf.config.fields import text
from deeplab_tf.errors import InputError
from deeplab_tf.models.heads import AUXILIARY, LOGITS, last_layers
from deeplab_tf.models.weight_names import weights_by_name

Slices = tuple[slice, ...]
_DENSE = re.compile(r"(vgg_16/fc[67])(?:_\d+)?(/(?:weights|biases))")
_WHOLE = slice(None)
_HINTS = {
    "decoder": "--decoder_output_stride=4",
    "aspp1": "--atrous_rates, 6,12,18 at output stride 16 or 12,24,36 at 8",
    "image_pooling": "--add_image_level_feature",
    "concat_projection": "--aspp_with_batch_norm",
}


@dataclasses.dataclass(frozen=True)
class RestoreReport:
    """What became of the weights of a network and of a checkpoint, by official name.

    Attributes:
        restored: Taken from the checkpoint.
        excluded: Left at their initial values on request.
        missing: Left so because the checkpoint lacks them.
        unused: In the checkpoint, and not in the network.
    """

    restored: tuple[str, ...]
    excluded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        total = len(self.restored) + len(self.excluded) + len(self.missing)
        parts = [f"Restored {len(self.restored)}/{total} weights"]
        is_head = all(name.startswith(last_layers()) for name in self.missing)
        why = "usual for a new head" if is_head else "the checkpoint lacks them"
        for names, what in (
            (self.excluded, "newly initialized, as asked"),
            (self.missing, f"newly initialized, as {why}"),
            (self.unused, "of the checkpoint are not used"),
        ):
            if names:
                parts.append(f"{len(names)} {what}: {_list_some(names)}")
        return "; ".join(parts)


def restore(model: keras.Model, checkpoint: str | CheckpointReader) -> RestoreReport:
    """Takes all weights of a network from a checkpoint that holds just this network.

    It may hold auxiliary layers, too, which a network that predicts has not.

    Args:
        model: The network.
        checkpoint: Open, or a path that `reader.find_checkpoint` takes.

    Raises:
        InputError: A weight is missing, left over, or of another shape.
    """
    stored = open_checkpoint(checkpoint) if isinstance(checkpoint, str) else checkpoint
    report = check(model, stored)
    _assign(stored, weights_by_name(model), report.restored)
    return report


def check(model: keras.Model, stored: CheckpointReader) -> RestoreReport:
    """As `restore`, without taking the weights: whether they are of this network."""
    weights = weights_by_name(model)
    report = _compare(stored, weights, exclude=())
    left = tuple(name for name in report.unused if not name.startswith(AUXILIARY))
    if report.missing or left:
        report = dataclasses.replace(report, unused=left)
        raise InputError(_contradiction(stored, report))
    _check_shapes(stored, weights, report.restored)
    return report


def check_backbone(model: keras.Model, stored: CheckpointReader) -> None:
    """Whether a checkpoint, as of an image classifier, has a network's whole backbone.

    Raises:
        InputError: A weight is missing, or of another shape.
    """
    weights = weights_by_name(model)
    report = _compare(stored, weights, exclude=last_layers())
    if report.missing:
        raise InputError(_contradiction(stored, dataclasses.replace(report, unused=())))
    _check_shapes(stored, weights, report.restored)


def initialize(
    model: keras.Model, path: str, *, exclude: tuple[str, ...] = ()
) -> RestoreReport:
    """Starts a network from the weights that a checkpoint has for it.

    Args:
        model: Any network of the same backbone.
        path: Of a network trained on these or other classes, or of an image classifier,
            which may be an `.h5` of Keras Applications.
        exclude: Scopes that keep their initial values, as `heads.LOGITS` or
            `heads.last_layers()`.

    Raises:
        InputError: Neither half of the backbone is there, nor half of what is there of
            the backbone; or a shape differs.
    """
    weights = weights_by_name(model)
    stored = _open_initial(path, weights)
    report = _compare(stored, weights, exclude=exclude)
    backbone, offered, common = (
        [name for name in names if not name.startswith(last_layers())]
        for names in (weights, stored.keys, report.restored)
    )
    # A network may be its backbone several times over, as SegNet with its decoder.
    if not common or len(common) < min(len(backbone), len(offered)) / 2:
        raise InputError(
            f"{stored.prefix}: has {len(common)} of {len(backbone)} weights of "
            f"{model.name}: it is of {_scopes(stored.keys)}; set "
            + (_flags(stored, "model_variant") or "--model_variant")
        )
    _check_shapes(stored, weights, report.restored)
    _assign(stored, weights, report.restored)
    return report


def _compare(
    stored: CheckpointReader, weights: Mapping[str, Any], *, exclude: tuple[str, ...]
) -> RestoreReport:
    kept = {name for name in weights if exclude and name.startswith(exclude)}
    wanted = [name for name in weights if name not in kept]
    return RestoreReport(
        restored=tuple(name for name in wanted if name in stored.keys),
        excluded=tuple(name for name in weights if name in kept),
        missing=tuple(name for name in wanted if name not in stored.keys),
        unused=tuple(sorted(stored.keys.keys() - weights.keys())),
    )


def _check_shapes(
    stored: CheckpointReader, weights: Mapping[str, Any], names: Collection[str]
) -> None:
    shapes = {name: tuple(weights[name].shape) for name in names}
    wrong = [name for name in names if shapes[name] != stored.shapes[name]]
    if not wrong:
        return
    name = wrong[0]
    has, needs = stored.shapes[name], shapes[name]
    if name.startswith(LOGITS):
        hint = (
            f"it has {has[-1]} classes, the data set {needs[-1]}; to train on other "
            "classes, give --initialize_last_layer=false "
            "--last_layers_contain_logits_only=true"
        )
    elif name.startswith(last_layers()):
        hint = (
            "set the flags of ASPP and decoder as it was trained; to train other ones, "
            "give --initialize_last_layer=false"
        )
    else:
        told = _flags(stored, "model_variant", "depth_multiplier")
        hint = (
            f"by its weights, it was trained with {told}"
            if told
            else "set --depth_multiplier and --model_variant as it was trained"
        )
        if keras_applications.is_keras_file(stored.prefix):
            hint += "; MobileNets of Keras want --divisible_by=8, too"
    raise InputError(
        f"{stored.prefix}: {name} is {_shape(has)} there, {_shape(needs)} here, and so "
        f"{len(wrong)} weights: {hint}"
    )


def _flags(stored: CheckpointReader, *names: str) -> str:
    """Flags of the network that a checkpoint is of; empty where it does not tell."""
    try:
        config = infer_config.infer_model_config(stored)
    except (InputError, KeyError, ValueError):
        return ""
    return " ".join(f"--{name}={text(getattr(config, name))}" for name in names)


def _contradiction(stored: CheckpointReader, report: RestoreReport) -> str:
    parts = []
    if report.missing:
        parts.append(
            f"lacks {len(report.missing)} weights ({_list_some(report.missing)})"
        )
    if report.unused:
        parts.append(
            f"has {len(report.unused)} that this network has not "
            f"({_list_some(report.unused)})"
        )
    names = (*report.missing, *report.unused)
    hints = [
        flag
        for scope, flag in _HINTS.items()
        if any(name.startswith(scope) for name in names)
    ]
    if not report.restored or not hints:
        told = _flags(stored, "model_variant") or "--model_variant"
        hints = [f"{told}: it is of {_scopes(stored.keys)}"]
    return f"{stored.prefix}: {' and '.join(parts)}; check {'; '.join(hints)}"


def _assign(
    stored: CheckpointReader, weights: Mapping[str, Any], names: Collection[str]
) -> None:
    for name, value in stored.values(names).items():
        weights[name].assign(value)


def _scopes(names: Collection[str]) -> str:
    return ", ".join(sorted({name.split("/")[0] for name in names})[:6])


def _list_some(names: Collection[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (", ..." if len(names) > 3 else "")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


@dataclasses.dataclass(frozen=True)
class DecimatedCheckpoint(CheckpointReader):
    """A checkpoint of which a network takes some weights in part.

    Attributes:
        source: The checkpoint; `keys` are names in it.
        parts: Which indices, of those weights.
    """

    source: CheckpointReader
    parts: Mapping[str, Slices]

    def values(self, names: Collection[str]) -> dict[str, np.ndarray]:
        whole = self.source.values({self.keys[name] for name in names})
        return {
            name: whole[self.keys[name]][self.parts.get(name, ())] for name in names
        }


def _open_initial(path: str, weights: Mapping[str, Any]) -> CheckpointReader:
    """Opens what a network starts from.

    Args:
        path: As `find_checkpoint` takes it, or an `.h5`.
        weights: Of the network, by official name.

    Raises:
        InputError: There is nothing that could be read.
    """
    if keras_applications.is_keras_file(path):
        scopes = {name.split("/")[0] for name in weights}
        stored: CheckpointReader = keras_applications.open_file(path, scopes)
    else:
        stored = open_checkpoint(path)
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    return decimate(stored, shapes)


def decimate(
    stored: CheckpointReader, shapes: Mapping[str, tuple[int, ...]]
) -> CheckpointReader:
    """The checkpoint, with fc6 and fc7 in the shapes that a network has of them.

    Those that cannot be had from it by leaving out stay as they are.
    """
    sources = {
        name: "".join(match.groups())
        for name in shapes
        if (match := _DENSE.fullmatch(name))
    }
    parts: dict[str, Slices] = {}
    for name, source in sources.items():
        has, wants = stored.shapes.get(source), shapes[name]
        if has and stored.shapes.get(name) != wants and (part := _part(has, wants)):
            parts[name] = part
    if not parts:
        return stored
    used = {sources[name] for name in parts}
    logging.info("%s: %s decimated", stored.prefix, ", ".join(sorted(used)))
    keys = {name: name for name in stored.keys if name not in used}
    return DecimatedCheckpoint(
        prefix=stored.prefix,
        keys=keys | {name: sources[name] for name in parts},
        shapes={**stored.shapes, **{name: shapes[name] for name in parts}},
        source=stored,
        parts=parts,
    )


def _part(has: tuple[int, ...], wants: tuple[int, ...]) -> Slices | None:
    """Which indices of a kernel, or of biases, make one of the wanted shape."""
    if len(has) != len(wants):
        return None
    spatial = len(has) - 2  # Negative for biases.
    pairs = zip(has, wants, strict=True)
    part = [
        _evenly(n, m) if axis < spatial else _every(n, m)
        for axis, (n, m) in enumerate(pairs)
    ]
    return None if None in part else tuple(each for each in part if each)


def _evenly(n: int, m: int) -> slice | None:
    """Indices of m of n pixels at equal distances, with the first and the last."""
    if n == m:
        return _WHOLE
    fits = 1 < m < n and (n - 1) % (m - 1) == 0
    return slice(None, None, (n - 1) // (m - 1)) if fits else None


def _every(n: int, m: int) -> slice | None:
    """Indices of m of n channels at equal distances, with the first."""
    return None if n % m else slice(None, None, n // m)
