"""Weights into a network, by official name, with a report of what went where."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import keras

from deeplab_tf.checkpoints.initial import open_initial
from deeplab_tf.checkpoints.keras_applications import is_file
from deeplab_tf.checkpoints.reader import Stored, open_checkpoint
from deeplab_tf.errors import InputError
from deeplab_tf.models.heads import AUXILIARY, LOGITS, last_layers
from deeplab_tf.models.weight_names import weights_by_name

_HINTS = {
    "decoder": "--decoder_output_stride=4",
    "aspp1": "--atrous_rates, 6,12,18 at output stride 16 or 12,24,36 at 8",
    "image_pooling": "--add_image_level_feature",
    "concat_projection": "--aspp_with_batch_norm",
}


@dataclasses.dataclass(frozen=True)
class Report:
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
        for names, what in (
            (self.excluded, "start anew as asked"),
            (self.missing, "start anew, the checkpoint lacks them"),
            (self.unused, "of the checkpoint are not used"),
        ):
            if names:
                parts.append(f"{len(names)} {what}: {_listed(names)}")
        return "; ".join(parts)


def restore(model: keras.Model, path: str) -> Report:
    """Takes all weights of a network from a checkpoint that holds just this network.

    It may hold auxiliary layers, too, which a network that predicts has not.

    Raises:
        InputError: A weight is missing, left over, or of another shape.
    """
    stored, weights = open_checkpoint(path), weights_by_name(model)
    report = _compare(stored, weights, exclude=())
    left = tuple(name for name in report.unused if not name.startswith(AUXILIARY))
    if report.missing or left:
        report = dataclasses.replace(report, unused=left)
        raise InputError(_contradiction(stored, report))
    _check_shapes(stored, weights, report.restored)
    _assign(stored, weights, report.restored)
    return report


def initialize(
    model: keras.Model, path: str, *, exclude: tuple[str, ...] = ()
) -> Report:
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
    stored = open_initial(path, weights)
    report = _compare(stored, weights, exclude=exclude)
    backbone, offered, found = (
        [name for name in names if not name.startswith(last_layers())]
        for names in (weights, stored.keys, report.restored)
    )
    # A network may be its backbone several times over, as SegNet with its decoder.
    if not found or len(found) < min(len(backbone), len(offered)) / 2:
        raise InputError(
            f"{stored.prefix}: has {len(found)} of {len(backbone)} weights of "
            f"{model.name}: it is of {_scopes(stored.keys)}; set --model_variant"
        )
    _check_shapes(stored, weights, report.restored)
    _assign(stored, weights, report.restored)
    return report


def _compare(
    stored: Stored, weights: Mapping[str, Any], *, exclude: tuple[str, ...]
) -> Report:
    kept = {name for name in weights if exclude and name.startswith(exclude)}
    wanted = [name for name in weights if name not in kept]
    return Report(
        restored=tuple(name for name in wanted if name in stored.keys),
        excluded=tuple(name for name in weights if name in kept),
        missing=tuple(name for name in wanted if name not in stored.keys),
        unused=tuple(sorted(stored.keys.keys() - weights.keys())),
    )


def _check_shapes(
    stored: Stored, weights: Mapping[str, Any], names: Collection[str]
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
        hint = "set --depth_multiplier and --model_variant as it was trained"
        if is_file(stored.prefix):
            hint += "; MobileNets of Keras want --divisible_by=8, too"
    raise InputError(
        f"{stored.prefix}: {name} is {_shape(has)} there, {_shape(needs)} here, and so "
        f"{len(wrong)} weights: {hint}"
    )


def _contradiction(stored: Stored, report: Report) -> str:
    parts = []
    if report.missing:
        parts.append(f"lacks {len(report.missing)} weights ({_listed(report.missing)})")
    if report.unused:
        parts.append(
            f"has {len(report.unused)} that this network has not "
            f"({_listed(report.unused)})"
        )
    names = (*report.missing, *report.unused)
    hints = [
        flag
        for scope, flag in _HINTS.items()
        if any(name.startswith(scope) for name in names)
    ]
    if not report.restored or not hints:
        hints = [f"--model_variant: it is of {_scopes(stored.keys)}"]
    return f"{stored.prefix}: {' and '.join(parts)}; check {'; '.join(hints)}"


def _assign(stored: Stored, weights: Mapping[str, Any], names: Collection[str]) -> None:
    for name, value in stored.values(names).items():
        weights[name].assign(value)


def _scopes(names: Collection[str]) -> str:
    return ", ".join(sorted({name.split("/")[0] for name in names})[:6])


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (", ..." if len(names) > 3 else "")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
