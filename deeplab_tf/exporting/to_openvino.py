"""OpenVINO: an `.xml` file with its weights in a `.bin` beside it."""

import contextlib
import importlib.util
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_tf.errors import InputError
from deeplab_tf.exporting import frozen_graph, int8
from deeplab_tf.exporting.saved_model import IMAGES

# What stays in float32 beside int8: what is around the network itself.
_AROUND = ("Interpolate", "SoftMax", "TopK", "Pad", "Softmax", "Subtract", "Add")

_CONVOLUTIONS = ("Convolution", "GroupConvolution")


def save(
    frozen: Any,
    names: Sequence[str],
    path: Path,
    *,
    quantize: str = "none",
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Writes `path`, and its `.bin`.

    It is read from a frozen graph, without OpenVINO's own converter, which would tell
    its maker over the network that it was called.

    Args:
        frozen: Of `function.freeze`.
        names: Of its outputs, in order.
        path: Of the `.xml`.
        quantize: "none"; "float16", which keeps the weights so; or "int8", which needs
            nncf.
        calibration: Images uint8 `[N, H, W, 3]`, for "int8".

    Raises:
        InputError: nncf is not installed.
    """
    import openvino

    if quantize == "int8":
        _require_nncf()
    graph = path.with_suffix(".pb")
    frozen_graph.save(frozen, graph, names)
    try:
        model = openvino.Core().read_model(str(graph))
    finally:
        graph.unlink()
    _name_ends(model, names)
    if quantize == "int8":
        model = _quantize(model, calibration)
    openvino.save_model(model, str(path), compress_to_fp16=quantize == "float16")


def _require_nncf() -> None:
    if importlib.util.find_spec("nncf") is None:
        raise InputError("--quantize=int8 of openvino needs nncf: pip install nncf")


def _name_ends(model: Any, names: Sequence[str]) -> None:
    """Gives the ends their official names, in our order."""
    model.inputs[0].get_tensor().set_names({IMAGES})
    ordered = [
        next(end for end in model.outputs if f"{name}:0" in end.get_names())
        for name in names
    ]
    for end, name in zip(ordered, names, strict=True):
        end.get_tensor().set_names({name})


def _quantize(model: Any, calibration: Iterable[np.ndarray]) -> Any:
    """Convolutions in 8 bits but for some, and weights in 7, as of ONNX."""
    os.environ.setdefault("NNCF_DISABLE_TELEMETRY", "1")
    import nncf

    images = [{IMAGES: each} for each in calibration]
    convolutions = [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() in _CONVOLUTIONS
    ]
    with contextlib.redirect_stdout(None):
        return nncf.quantize(
            model,
            nncf.Dataset(images),
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(
                names=int8.exact(convolutions), types=list(_AROUND), validate=False
            ),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE
            ),
        )
