"""LiteRT: a `.tflite` file, in float32, with smaller weights, or in int8."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.exporting import int8
from deeplab_tf.exporting.saved_model import IMAGES

# What stays in float32 beside int8, wherever it is.
_EXACT = ["RESIZE_BILINEAR", "SOFTMAX", "ARG_MAX"]


def save(
    frozen: Any,
    names: Sequence[str],
    path: Path,
    *,
    quantize: str = "none",
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Writes a `.tflite` file.

    Args:
        frozen: Of `function.freeze`; of one image of one size, dilation is folded into
            the convolutions, and all of it is computed by XNNPACK.
        names: Of its outputs, in order.
        path: Of the file.
        quantize: "none"; "float16" or "dynamic", which make the weights smaller; or
            "int8".
        calibration: Images uint8 `[N, H, W, 3]`, for "int8".
    """
    module = tf.Module()
    (images,) = frozen.inputs
    signature = tf.TensorSpec(images.shape, tf.uint8, IMAGES)

    @tf.function(input_signature=[signature], autograph=False)
    def serve(ImageTensor: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(names, frozen(ImageTensor), strict=True))

    module.serve = serve
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [serve.get_concrete_function()], module
    )
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        converter.representative_dataset = lambda: ([each] for each in calibration)
        path.write_bytes(_quantize(converter))
    else:
        path.write_bytes(converter.convert())


def _quantize(converter: Any) -> bytes:
    """The network in 8 bits, between its first convolutions and its last one."""
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=_EXACT)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_options=options
    )
    options.denylisted_nodes = _around(debugger.calibrated_model)
    return debugger.get_nondebug_quantized_model()


def _around(model: bytes) -> list[str]:
    """Names of the results up to the first convolutions, and from the last one on."""
    from ai_edge_litert import schema_py_generated as schema

    read = schema.ModelT.InitFromPackedBuf(model, 0)
    (graph,) = read.subgraphs
    kinds = [read.operatorCodes[op.opcodeIndex].builtinCode for op in graph.operators]
    convolutions = [
        place
        for place, kind in enumerate(kinds)
        if kind
        in (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.DEPTHWISE_CONV_2D)
    ]
    *_, first, last = int8.exact(convolutions)
    around = graph.operators[: first + 1] + graph.operators[last:]
    outputs = [output for op in around for output in op.outputs]
    return [graph.tensors[output].name.decode() for output in outputs]
