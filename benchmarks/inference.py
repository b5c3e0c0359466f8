"""Inference on a CPU: our exports, and those that other runtimes make of them.

    python benchmarks/inference.py --networks=mobilenet_v2

All run in this process, in turn, on the same image and number of threads; quote the
ratios of CPU seconds. Weights are drawn, since speed does not depend on them; those of
batch norm, too, or biases of zero would be left out.
"""

import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.shared.networks import DEFAULT, NETWORKS, check_names
from deeplab_tf import cli
from deeplab_tf.compat import variables_to_constants
from deeplab_tf.config import InferenceConfig, ModelConfig
from deeplab_tf.config.fields import flag
from deeplab_tf.data.specs import DATASETS
from deeplab_tf.exporting import (
    fold_batch_norm,
    frozen_graph,
    inference_graph,
    saved_model,
)
from deeplab_tf.models.build import build
from deeplab_tf.prediction.predictor import Predictor

Run = Callable[[], Any]
BEFORE = "SavedModel before"  # Of version 0.2, to which the others are compared.
_UNIT = 1536


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times one image through each network, output stride 16, in each form."""

    networks: tuple[str, ...] = flag(f"Of {', '.join(NETWORKS)}.", DEFAULT)
    size: tuple[int, int] = flag("Height,width of the image.", (513, 513))
    rounds: int = flag("Runs of each form, in turn.", 12)
    threads: int = flag("That each runtime may use.", 2)
    others: bool = flag("Time ONNX Runtime, OpenVINO and LiteRT, too.", True)

    def __post_init__(self) -> None:
        check_names(self.networks)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs, for each form, least CPU and wall milliseconds, and median ratios."""
    tf.config.threading.set_intra_op_parallelism_threads(config.threads)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, *config.size, 3)).astype(np.uint8)
    for name in config.networks:
        with tempfile.TemporaryDirectory() as folder:
            forms = _forms(
                random_predictor(NETWORKS[name], rng), Path(folder), image, config
            )
            _measure(name, forms, config.rounds)


def random_predictor(config: ModelConfig, rng: np.random.Generator) -> Predictor:
    """A network of random weights, those of batch norm too."""
    model = build(config, 21)
    for variable in model.variables:
        if variable.name == "moving_variance":
            variable.assign(rng.uniform(0.5, 2, variable.shape))
        elif variable.name in ("moving_mean", "beta"):
            variable.assign(rng.normal(0, 0.1, variable.shape))
    return Predictor(model=model, config=config, spec=DATASETS["pascal_voc_seg"])


def _forms(
    predictor: Predictor, folder: Path, image: np.ndarray, config: BenchmarkConfig
) -> dict[str, Run]:
    """By name, what computes classes and probabilities, or what its name says."""
    traced = saved_model.concrete_function(predictor, InferenceConfig())
    before, ours, graph = folder / "before", folder / "ours", folder / "graph.pb"
    save_as_before(variables_to_constants(traced), before)
    network = fold_batch_norm.fold(inference_graph.split(traced))
    saved_model.save(saved_model.Serving(network, []), ours)
    frozen_graph.save(inference_graph.freeze(network), graph)
    forms = {
        BEFORE: _saved_model(before, "serving_default", image),
        "SavedModel": _saved_model(ours, "serving_default", image),
        "SavedModel, classes": _saved_model(ours, "serving_classes", image),
        "frozen graph": _frozen_graph(graph, image, config.threads),
        "Keras, logits": _keras(predictor, image),
    }
    if config.others:
        forms |= {
            "ONNX Runtime": _onnx_runtime(before, image, config.threads),
            "OpenVINO": _openvino(before, image, config.threads),
            "LiteRT": _litert(before, image, config.threads),
        }
    square = tf.random.normal((_UNIT, _UNIT))
    forms[f"{_UNIT}^3 product"] = lambda: tf.matmul(square, square).numpy()
    return forms


def save_as_before(frozen: Any, folder: Path) -> None:
    """Writes a SavedModel as version 0.2 did: batch norm as it is, weights constant."""

    @tf.function(autograph=False)
    def pixels(ImageTensor: tf.Tensor) -> dict[str, tf.Tensor]:
        classes, probabilities = frozen(ImageTensor)[:2]
        return {saved_model.CLASSES: classes, saved_model.PROBABILITIES: probabilities}

    (images,) = frozen.inputs
    spec = tf.TensorSpec(images.shape, images.dtype, saved_model.IMAGES)
    module = tf.Module()
    module.pixels = pixels
    signature = pixels.get_concrete_function(spec)
    tf.saved_model.save(module, str(folder), {"serving_default": signature})


def _saved_model(path: Path, signature: str, image: np.ndarray) -> Run:
    function = tf.saved_model.load(str(path)).signatures[signature]
    return lambda: [each.numpy() for each in function(tf.constant(image)).values()]


def _frozen_graph(path: Path, image: np.ndarray, threads: int) -> Run:
    content = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(content, name="")
    settings = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads)
    session = tf.compat.v1.Session(graph=graph, config=settings)
    outputs = [f"{saved_model.CLASSES}:0", f"{saved_model.PROBABILITIES}:0"]
    call = session.make_callable(outputs, [f"{saved_model.IMAGES}:0"])
    return lambda: call(image)


def _keras(predictor: Predictor, image: np.ndarray) -> Run:
    pixels = image.astype(np.float32)
    return lambda: predictor.model.predict(pixels, verbose=0)


def _onnx_runtime(path: Path, image: np.ndarray, threads: int) -> Run:
    import onnxruntime

    file = path.with_suffix(".onnx")
    command = [sys.executable, "-m", "tf2onnx.convert", "--opset=18"]
    command += [f"--saved-model={path}", f"--output={file}"]
    subprocess.run(
        [*command, "--signature_def=serving_default"],
        check=True,
        capture_output=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for work would be counted with whatever runs next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(file), options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    return lambda: session.run(None, {given.name: image})


def _openvino(path: Path, image: np.ndarray, threads: int) -> Run:
    import openvino

    model = openvino.convert_model(str(path), input=list(image.shape))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    return lambda: [np.copy(each) for each in request.infer([image]).values()]


def _litert(path: Path, image: np.ndarray, threads: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(path), signature_keys=["serving_default"]
    )
    interpreter = Interpreter(model_content=converter.convert(), num_threads=threads)
    (given,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(given["index"], image.shape)
    interpreter.allocate_tensors()
    outputs = [each["index"] for each in interpreter.get_output_details()]

    def run() -> list[np.ndarray]:
        interpreter.set_tensor(given["index"], image)
        interpreter.invoke()
        return [interpreter.get_tensor(output) for output in outputs]

    return run


def _measure(title: str, forms: dict[str, Run], rounds: int) -> None:
    for run in forms.values():
        run()
        run()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, run in forms.items():
            time.sleep(0.02)  # Until threads of the one before it are asleep.
            began = time.process_time(), time.perf_counter()
            run()
            ended = time.process_time(), time.perf_counter()
            taken[name].append((ended[0] - began[0], ended[1] - began[1]))
    logging.info("%s: least CPU ms, wall ms; CPU to %s, to the unit", title, BEFORE)
    unit = f"{_UNIT}^3 product"
    for name, pairs in taken.items():
        cpu, wall = (1000 * min(each) for each in zip(*pairs, strict=True))
        ratios = [_ratio(pairs, taken[other]) for other in (BEFORE, unit)]
        logging.info("%-20s %7.0f %7.0f  %5.2f %5.2f", name, cpu, wall, *ratios)


def _ratio(
    pairs: list[tuple[float, float]], others: list[tuple[float, float]]
) -> float:
    """Median over the rounds, of CPU seconds."""
    rounds = zip(pairs, others, strict=True)
    return statistics.median(mine / other for (mine, _), (other, _) in rounds)


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
