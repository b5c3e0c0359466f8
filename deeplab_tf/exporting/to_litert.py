"""LiteRT: a `.tflite` file, in float32, with smaller weights, or in int8."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.exporting.saved_model import IMAGES

# What stays in float32 beside int8: what comes behind the network.
_BEHIND = ["RESIZE_BILINEAR", "SOFTMAX", "ARG_MAX"]


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
    """The network in 8 bits; what is behind it stays in float32."""
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=_BEHIND)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_options=options
    )
    return debugger.get_nondebug_quantized_model()
