"""ONNX: one file for ONNX Runtime, in float32, with float16 weights, or in int8."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_tf.exporting import frozen_graph, int8
from deeplab_tf.exporting.saved_model import IMAGES

_OPSET = 18
_WEIGHED = ("Conv", "ConvTranspose", "MatMul", "Gemm")  # Ops that have weights.
_ACTIVATIONS = ("Clip", "Relu")  # Whose ranges are those of what comes before them.
_FEW = 64  # Numbers in a tensor that is not worth being made smaller.


def save(
    frozen: Any,
    names: Sequence[str],
    path: Path,
    *,
    quantize: str = "none",
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Writes a `.onnx` file.

    Args:
        frozen: Of `function.freeze`.
        names: Of its outputs, in order.
        path: Of the file.
        quantize: "none"; "float16", which keeps the weights so, and computes in
            float32; or "int8", for weights and activations of the convolutions.
        calibration: Images uint8 `[N, H, W, 3]`, for "int8".
    """
    import onnx

    model = _convert(frozen, names)
    _raise_factors(model)
    _drop_padding(model)
    _write_out_softmax(model)
    if quantize == "float16":
        _halve_weights(model)
    onnx.checker.check_model(model)
    if quantize == "int8":
        _quantize(model, path, calibration)
    else:
        onnx.save(model, str(path))


def _convert(frozen: Any, names: Sequence[str]) -> Any:
    """A ModelProto with the official names of its ends."""
    import tf2onnx

    inputs, outputs = [f"{IMAGES}:0"], [f"{name}:0" for name in names]
    model, _ = tf2onnx.convert.from_graph_def(
        frozen_graph.graph_def(frozen, names),
        name="deeplab_tf",
        input_names=inputs,
        output_names=outputs,
        opset=_OPSET,
        tensors_to_rename={each: each.removesuffix(":0") for each in inputs + outputs},
    )
    for end in (*model.graph.input, *model.graph.output):
        for dimension, letter in zip(
            end.type.tensor_type.shape.dim, "NHW", strict=False
        ):
            if not dimension.dim_value:
                dimension.dim_param = letter
    return model


def _raise_factors(model: Any) -> None:
    """Makes factors of sizes the next larger float32.

    The runtime multiplies by them and drops the rest: of those that float32 has rounded
    down, a pixel would be missing. Corner-aligned places do not depend on them.
    """
    from onnx import numpy_helper

    factors = {
        node.input[2]
        for node in model.graph.node
        if node.op_type == "Resize" and node.input[2]
    }
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name in factors and values.size:
            larger = np.where(
                values == 1, values, np.nextafter(values, np.float32(9e9))
            )
            tensor.CopyFrom(numpy_helper.from_array(larger, tensor.name))


def _drop_padding(model: Any) -> None:
    """Takes "same" padding from windows of one pixel, which need none.

    The runtime would pad by -1 where such a window strides over an even size.
    """
    for node in model.graph.node:
        facts = {each.name: each for each in node.attribute}
        if "auto_pad" in facts and set(facts["kernel_shape"].ints) == {1}:
            node.attribute.remove(facts["auto_pad"])


def _write_out_softmax(model: Any) -> None:
    """Writes Softmax as exp(x - max) / sum, with which ONNX Runtime is twice as fast.

    Its own takes 90 % of the time where there is one for each pixel of a photograph.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    nodes = []
    for node in graph.node:
        if node.op_type != "Softmax":
            nodes.append(node)
            continue
        (x,), (y,), axes = node.input, node.output, f"{node.output[0]}/axes"
        axis = next((each.i for each in node.attribute if each.name == "axis"), -1)
        graph.initializer.append(numpy_helper.from_array(np.array([axis]), axes))
        top, gap, raised, total = (
            f"{y}/{part}" for part in ("max", "minus_max", "exp", "sum")
        )
        nodes += [
            helper.make_node("ReduceMax", [x, axes], [top], keepdims=1),
            helper.make_node("Sub", [x, top], [gap]),
            helper.make_node("Exp", [gap], [raised]),
            helper.make_node("ReduceSum", [raised, axes], [total], keepdims=1),
            helper.make_node("Div", [raised, total], [y]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _halve_weights(model: Any) -> None:
    """Keeps weights as float16; the runtime makes them float32 as it opens the file."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    weights = {
        name for node in graph.node if node.op_type in _WEIGHED for name in node.input
    }
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        is_large = values.dtype == np.float32 and values.size >= _FEW
        if tensor.name in weights and is_large:
            name, half = tensor.name, f"{tensor.name}/float16"
            limit = np.finfo(np.float16).max
            halved = np.clip(values, -limit, limit).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(halved, half))
            casts.append(helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _quantize(model: Any, path: Path, calibration: Iterable[np.ndarray]) -> None:
    """Writes the model with its convolutions in 8 bits, a scale for each channel.

    Weights have 7 of them: with 8, CPUs without VNNI add up to more than they can hold,
    and a MobileNetV2 agreed in 96 % of the pixels in place of 99 %.
    """
    from onnxruntime import quantization

    batches = iter(calibration)

    class Reader(quantization.CalibrationDataReader):
        """Feeds the pictures."""

        def get_next(self) -> dict[str, np.ndarray] | None:
            images = next(batches, None)
            return None if images is None else {IMAGES: images}

    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    quantization.quantize_static(
        model,
        str(path),
        Reader(),
        nodes_to_exclude=int8.exact(convolutions),
        op_types_to_quantize=[*_WEIGHED, *_ACTIVATIONS],
        per_channel=True,
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
