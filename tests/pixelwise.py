"""Exports of a network that one can compute by hand, in every format.

Each pixel is of the class whose color channel is the greatest there, the first of
several; probabilities are the softmax of the channels over 64.
"""

import json
from pathlib import Path

import numpy as np

INFO = {
    "classes": ["red", "green", "blue"],
    "colors": [[200, 0, 0], [0, 200, 0], [0, 0, 200]],
    "outputs": ["classes", "probabilities"],
    "mean_pixel": [127.5, 127.5, 127.5],
    "crop_size": [33, 33],
}
SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml"}
SUFFIXES |= {"frozen_graph": ".pb", "saved_model": ""}


def classes(pixels):
    return np.argmax(pixels, axis=-1)


def probabilities(pixels):
    powers = np.exp(pixels.astype(np.float64) / 64)
    return powers / powers.sum(axis=-1, keepdims=True)


def write(folder: Path, kind: str, *, size=None, batch=None, **info) -> Path:
    """Writes an export.

    Args:
        folder: Where to.
        kind: Of `SUFFIXES`.
        size: Height, width; None for any.
        batch: Number of images; None for any.
        **info: What `export_info.json` says beside `INFO`; None for no such file.
    """
    path = folder / f"model{SUFFIXES[kind]}"
    shape = [batch, *(size or (None, None)), 3]
    _WRITERS[kind](path, shape)
    notes = path.with_name(f"{path.name}.json")
    if kind == "saved_model":
        notes = path / "assets" / "export_info.json"
        notes.parent.mkdir(exist_ok=True)
    if info.pop("described", True):
        facts = INFO | {"input_size": size, "batch": batch} | info
        notes.write_text(json.dumps(facts))
    return path


def onnx_model(shape, input_type=None):
    from onnx import TensorProto, helper, numpy_helper

    def tensor(name, kind, sides):
        named = [side or f"side_{i}" for i, side in enumerate(sides)]
        return helper.make_tensor_value_info(name, kind, named)

    nodes = [
        helper.make_node("Cast", ["ImageTensor"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["pixels"], ["ids"], axis=3, keepdims=0),
        helper.make_node(
            "Cast", ["ids"], ["SemanticPredictions"], to=TensorProto.INT32
        ),
        helper.make_node("Div", ["pixels", "spread"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["SemanticProbabilities"], axis=3),
    ]
    graph = helper.make_graph(
        nodes,
        "pixelwise",
        [tensor("ImageTensor", input_type or TensorProto.UINT8, shape)],
        [
            tensor("SemanticPredictions", TensorProto.INT32, shape[:3]),
            tensor("SemanticProbabilities", TensorProto.FLOAT, shape),
        ],
        [numpy_helper.from_array(np.float32(64), "spread")],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


def _write_onnx(path, shape):
    path.write_bytes(onnx_model(shape).SerializeToString())


def _write_openvino(path, shape):
    import openvino

    source = path.with_suffix(".onnx")
    _write_onnx(source, shape)
    model = openvino.convert_model(source)
    openvino.save_model(model, path, compress_to_fp16=False)
    source.unlink()


def _function(shape):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8, "ImageTensor")])
    def serve(ImageTensor):
        pixels = tf.cast(ImageTensor, tf.float32)
        return {
            "SemanticPredictions": tf.argmax(pixels, -1, tf.int32),
            "SemanticProbabilities": tf.nn.softmax(pixels / 64),
        }

    return serve


def _write_saved_model(path, shape):
    import tensorflow as tf

    module = tf.Module()
    module.serve = _function(shape)
    signatures = {"serving_default": module.serve}
    tf.saved_model.save(module, str(path), signatures=signatures)


def _write_litert(path, shape):
    import tensorflow as tf

    module = tf.Module()
    module.serve = _function(shape)
    function = module.serve.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    path.write_bytes(converter.convert())


def _write_frozen_graph(path, shape):
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.uint8, shape, "ImageTensor")
        pixels = tf.cast(images, tf.float32)
        tf.argmax(pixels, -1, tf.int32, name="SemanticPredictions")
        tf.nn.softmax(pixels / 64, name="SemanticProbabilities")
    path.write_bytes(graph.as_graph_def().SerializeToString())


_WRITERS = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "litert": _write_litert,
    "saved_model": _write_saved_model,
    "frozen_graph": _write_frozen_graph,
}
