"""Dense prediction cell: a searched cell of convolutions in place of the ASPP.

Reference: Chen et al. 2018, https://arxiv.org/abs/1809.04184.
"""

import json
from pathlib import Path, PurePath
from typing import Any

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.layers.blocks import Style, Tensor, conv, separable_conv
from deeplab_tf.models.layers.dropout import Dropout
from deeplab_tf.text_files import explain, fits, read_json

SCOPE = "meta_architecture"


def cell(x: Tensor, config: ModelConfig, style: Style) -> Tensor:
    """Branches, each of the features or of an earlier branch; then projected.

    Args:
        x: Features, `[N, h, w, C]`.
        config: The file that lists the branches, and filters.
        style: Of the layers.

    Returns:
        `[N, h, w, aspp_convs_filters]`.

    Raises:
        InputError: The file is not there, or lists what cannot be built.
    """
    filters, path = config.aspp_convs_filters, config.dense_prediction_cell_json
    if config.output_stride > 16:
        raise FlagError(
            f"--dense_prediction_cell_json needs --output_stride=16 or 8, not "
            f"{config.output_stride}"
        )
    outputs: list[Tensor] = []
    for i, branch in enumerate(_branches(path)):
        source = x if branch["input"] < 0 else outputs[branch["input"]]
        name = f"{SCOPE}.branch{i}"
        if branch["kernel"] == 1:
            outputs.append(conv(source, filters, 1, style=style, name=name))
            continue
        # Of height and width, at output stride 16.
        rate = tuple(side * 16 // config.output_stride for side in branch["rate"])
        at = StrideRate(1, rate)  # type: ignore[arg-type]
        outputs.append(separable_conv(source, filters, style=style, name=name, at=at))
    x = layers.Concatenate(name=f"{SCOPE}.concat")(outputs)
    x = Dropout(0.1, name=f"{SCOPE}.dropout")(x)
    return conv(x, filters, 1, style=style, name=f"{SCOPE}.concat_projection")


def _branches(path: str) -> list[dict[str, Any]]:
    """The list in a file, or in one of that name which lies here.

    The official code has its cell as deeplab/core/dense_prediction_cell_*.json.
    """
    place = Path(path)
    if not place.exists():
        place = Path(__file__).with_name(PurePath(path).name)
    if not place.exists():
        raise InputError(f"--dense_prediction_cell_json={path}: no such file")
    what = "a list of branches"
    branches = read_json(place, what, list)
    with explain(place, what):
        for i, branch in enumerate(branches):
            if not _is_convolution(branch) or not -1 <= branch["input"] < i:
                raise InputError(
                    f"{place}: branch {i}, {json.dumps(branch)}: "
                    '{"op": "conv", "kernel": 3, "rate": [6, 12], "input": -1} is '
                    "possible, with the number of an earlier branch as input"
                )
    return branches


def _is_convolution(branch: dict[str, Any]) -> bool:
    if branch["op"] != "conv" or not fits(branch["input"], int):
        return False
    return branch["kernel"] == 1 or (
        branch["kernel"] == 3
        and fits(tuple(branch["rate"]), tuple[int, int])
        and min(branch["rate"]) > 0
    )
