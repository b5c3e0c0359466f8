"""Image classifiers in files of Keras Applications, by our official names.

VGG16, ResNet50, 101 and 152 (not V2) and MobileNetV2, with or without top, as `.h5` of
Keras 1 and 2 or as `.weights.h5` of Keras 3. Their graphs are those of `vgg_16`,
`resnet_50`, ... and, with `divisible_by=8`, `mobilenet_v2`.

VGG and ResNet were trained on BGR, and have their first kernels turned to RGB. ResNets
have biases before batch norm there, which go into the moving means, and an epsilon of
1.001e-5, which is taken for our 1e-5. In `resnet_v1_50` of TF-slim the strides lie in
other layers: it takes the weights, but is another function until it is trained.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from deeplab_tf.checkpoints.reader import CheckpointReader
from deeplab_tf.errors import InputError

Layers = Mapping[str, list[np.ndarray]]  # Weights of a layer, in the order of Keras.
Arrays = dict[str, np.ndarray]  # By official name.
_BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_DEPTHS = {6: 50, 23: 101, 36: 152}  # Units of the third block -> layers.


@dataclasses.dataclass(frozen=True)
class InMemoryCheckpoint(CheckpointReader):
    """Weights in memory, as an open checkpoint."""

    arrays: Arrays

    def values(self, names: Collection[str]) -> Arrays:
        return {name: self.arrays[name] for name in names}


def is_keras_file(path: str) -> bool:
    """Whether this is a file of Keras, by its name."""
    return path.endswith(".h5")


def open_file(path: str, scopes: Collection[str] = ()) -> InMemoryCheckpoint:
    """Reads a file.

    Args:
        path: Ends in ".h5".
        scopes: Of the network it is for, which may be "resnet_v1_50", ...

    Raises:
        InputError: It cannot be read, or is of another classifier.
    """
    layers = read_layers(path)
    convert = next((f for layer, f in _FAMILIES.items() if layer in layers), None)
    if convert is None or "block5_conv4" in layers:  # VGG19's.
        raise InputError(
            f"{path}: of no VGG16, ResNet50, 101 or 152, or MobileNetV2; its layers "
            f"are {', '.join([*layers][:4]) or 'without names'}, ..."
        )
    arrays = {
        _with_slim_scope(name, scopes): value for name, value in convert(layers).items()
    }
    return InMemoryCheckpoint(
        prefix=path,
        keys={name: name for name in arrays},
        shapes={name: value.shape for name, value in arrays.items()},
        arrays=arrays,
    )


def read_layers(path: str) -> Layers:
    """The weights of every layer by its name there.

    Raises:
        InputError: There is no such file, or it is damaged.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    layers: dict[str, list[np.ndarray]] = {}

    def visit(name: str, item: Any) -> None:
        if "weight_names" in item.attrs:  # Of Keras 1 and 2: a group is a layer.
            names = [_text(each) for each in item.attrs["weight_names"]]
            layers[name.rsplit("/", 1)[-1]] = [item[each][()] for each in names]
        elif "name" in item.attrs:  # Of Keras 3: "0", "1", ... are its weights.
            numbers = sorted(item, key=int)
            layers[_text(item.attrs["name"])] = [item[each][()] for each in numbers]

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: no weights of Keras, or damaged ({error})") from None
    return {name: values for name, values in layers.items() if values}


def _with_slim_scope(name: str, scopes: Collection[str]) -> str:
    """The name of a weight with TF-slim's scope, where the network has that."""
    slim = name.replace("resnet_", "resnet_v1_", 1)
    return slim if slim.split("/")[0] in scopes else name


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _name_arrays(scope: str, values: list[np.ndarray]) -> Arrays:
    """The weights of a layer; a batch norm is told by their number."""
    if len(values) == len(_BATCH_NORM):
        kinds = tuple(f"BatchNorm/{kind}" for kind in _BATCH_NORM)
    elif scope.endswith("/depthwise"):
        kinds = ("depthwise_weights",)
    else:
        kinds = ("weights", "biases")
    return {
        f"{scope}/{kind}": value for kind, value in zip(kinds, values, strict=False)
    }


def _vgg(layers: Layers) -> Arrays:
    arrays: Arrays = {}
    for layer, values in layers.items():
        scope = re.sub(r"block(\d)_conv(\d)", r"vgg_16/conv\1/conv\1_\2", layer)
        scope = {"fc1": "vgg_16/fc6", "fc2": "vgg_16/fc7"}.get(scope, scope)
        arrays |= _name_arrays(scope, values)
    _swap_to_rgb(arrays, "vgg_16/conv1/conv1_1/weights")
    channels = layers["block5_conv3"][0].shape[-1]
    for name, depth in (("vgg_16/fc6/weights", channels), ("vgg_16/fc7/weights", 0)):
        if name in arrays:
            arrays[name] = _as_convolution(arrays[name], depth)
    return arrays


def _as_convolution(matrix: np.ndarray, channels: int) -> np.ndarray:
    """A dense layer on a flattened square of `channels`, 0 for all, as a kernel.

    Keras flattens by row, column and channel.
    """
    inputs, outputs = matrix.shape
    side = math.isqrt(inputs // (channels or inputs))
    return matrix.reshape(side, side, -1, outputs)


def _resnet(layers: Layers) -> Arrays:
    units = sum(
        re.fullmatch(r"conv4_block\d+_1_conv", name) is not None for name in layers
    )
    root = f"resnet_{_DEPTHS.get(units, 0)}"
    arrays: Arrays = {}
    for layer, values in layers.items():
        arrays |= _name_arrays(_unit(root, layer), values)
    for name in [name for name in arrays if name.endswith("/biases")]:
        mean = name.replace("/biases", "/BatchNorm/moving_mean")
        if mean in arrays:
            arrays[mean] = arrays[mean] - arrays.pop(name)
    _swap_to_rgb(arrays, f"{root}/conv1/weights")
    return arrays


def _unit(root: str, layer: str) -> str:
    """`conv3_block1_0_bn` -> `.../block2/unit_1/bottleneck_v1/shortcut`."""
    name = re.sub("_(conv|bn)$", "", layer)
    if not (match := re.fullmatch(r"conv(\d)_block(\d+)_(\d)", name)):
        return f"{root}/conv1" if name == "conv1" else name
    block, unit, number = map(int, match.groups())
    inner = f"conv{number}" if number else "shortcut"
    return f"{root}/block{block - 1}/unit_{unit}/bottleneck_v1/{inner}"


def _mobilenet_v2(layers: Layers) -> Arrays:
    arrays: Arrays = {}
    for layer, values in layers.items():
        name = re.sub("^bn_|_(bn|BN)$", "", layer)
        name = re.sub(r"^block_(\d+)_", r"expanded_conv_\1/", name)
        name = name.replace("expanded_conv_depth", "expanded_conv/depth")
        name = name.replace("expanded_conv_project", "expanded_conv/project")
        arrays |= _name_arrays(
            f"MobilenetV2/{'Conv' if name == 'Conv1' else name}", values
        )
    return arrays


def _swap_to_rgb(arrays: Arrays, name: str) -> None:
    """Makes a kernel for BGR one for RGB."""
    arrays[name] = arrays[name][:, :, ::-1]


# A layer that no other family has -> what converts its family.
_FAMILIES: Mapping[str, Callable[[Layers], Arrays]] = {
    "block5_conv3": _vgg,
    "conv5_block3_3_bn": _resnet,
    "block_16_project_BN": _mobilenet_v2,
}
