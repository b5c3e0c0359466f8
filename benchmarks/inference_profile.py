"""Where the time of a prediction goes: TensorFlow's kernels beside OpenVINO's.

    python benchmarks/inference_profile.py --networks=mobilenet_v2

Both runtimes time their own kernels, on one thread, of the float32 graph that
`benchmarks/inference.py` times as a whole. Quote the ratios.
"""

import collections
import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import inference
from benchmarks.shared.networks import DEFAULT, NETWORKS, check_names
from deeplab_tf import cli
from deeplab_tf.compat import variables_to_constants
from deeplab_tf.config import InferenceConfig
from deeplab_tf.config.fields import flag
from deeplab_tf.exporting import (
    fold_batch_norm,
    frozen_graph,
    inference_graph,
    saved_model,
)

Profile = Mapping[str, float]  # Milliseconds of a kind of kernel.
_KINDS = {  # What the name of a kernel has in it, in this order.
    "depthwise": ("Depthwise", "GroupConvolution"),
    "convolution": ("Conv",),
    "batch and space": ("SpaceToBatch", "BatchToSpace"),
    "resize": ("Resize", "Interpolate"),
    "softmax": ("Softmax", "SoftMax"),
    "argmax": ("ArgMax", "TopK"),
    "layout": ("Transpose", "Reorder"),
}
REST = "everything else"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Tells milliseconds by kind of kernel, for each network and runtime."""

    networks: tuple[str, ...] = flag(f"Of {', '.join(NETWORKS)}.", DEFAULT)
    size: tuple[int, int] = flag("Height,width of the image.", (513, 513))
    rounds: int = flag("Runs of each runtime, in turn.", 6)
    json: str = flag("Write the medians to this file, too.", "")

    def __post_init__(self) -> None:
        check_names(self.networks)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs medians of milliseconds by kind of kernel."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, *config.size, 3)).astype(np.uint8)
    profiles = {}
    for name in config.networks:
        predictor = inference.random_predictor(NETWORKS[name], rng)
        traced = saved_model.concrete_function(predictor, InferenceConfig())
        with tempfile.TemporaryDirectory() as folder:
            graph, plain = Path(folder) / "graph.pb", Path(folder) / "plain"
            inference.save_as_before(variables_to_constants(traced), plain)
            network = fold_batch_norm.fold(inference_graph.split(traced))
            frozen_graph.save(inference_graph.freeze(network), graph)
            runtimes = {
                "TensorFlow": _tensorflow(graph, image),
                "OpenVINO": _openvino(plain, image),
            }
            profiles[name] = _medians(runtimes, config.rounds)
        _log(name, profiles[name])
    if config.json:
        Path(config.json).write_text(json.dumps(profiles, indent=1) + "\n")


def _tensorflow(path: Path, image: np.ndarray) -> inference.Run:
    content = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(content, name="")
    session = tf.compat.v1.Session(
        graph=graph,
        config=tf.compat.v1.ConfigProto(inter_op_parallelism_threads=1),
    )
    outputs = [f"{saved_model.CLASSES}:0", f"{saved_model.PROBABILITIES}:0"]
    options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)

    def run() -> Profile:
        metadata = tf.compat.v1.RunMetadata()
        feed = {f"{saved_model.IMAGES}:0": image}
        session.run(outputs, feed, options=options, run_metadata=metadata)
        taken: collections.Counter[str] = collections.Counter()
        for device in metadata.step_stats.dev_stats:
            for node in device.node_stats:
                kernel = node.timeline_label.partition(" = ")[2].partition("(")[0]
                micros = node.op_end_rel_micros - node.op_start_rel_micros
                taken[kind(kernel)] += micros / 1000
        return taken

    return run


def _openvino(path: Path, image: np.ndarray) -> inference.Run:
    import openvino

    model = openvino.convert_model(str(path), input=list(image.shape))
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": 1,
        "PERF_COUNT": True,
    }
    request = openvino.Core().compile_model(model, "CPU", settings)
    request = request.create_infer_request()

    def run() -> Profile:
        request.infer([image])
        taken: collections.Counter[str] = collections.Counter()
        for node in request.profiling_info:
            taken[kind(node.node_type)] += node.real_time.total_seconds() * 1000
        return taken

    return run


def kind(kernel: str) -> str:
    """Of a kernel of either runtime, one of `_KINDS` or the rest."""
    for name, parts in _KINDS.items():
        if any(part in kernel for part in parts):
            return name
    return REST


def _medians(
    runtimes: Mapping[str, inference.Run], rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds of each runtime by kind, after two runs to warm up."""
    profiles: dict[str, list[Profile]] = {name: [] for name in runtimes}
    for _ in range(rounds + 2):
        for name, run in runtimes.items():
            profiles[name].append(run())
    return {
        name: {
            each: round(float(np.median([p.get(each, 0.0) for p in runs[2:]])), 2)
            for each in (*_KINDS, REST)
        }
        for name, runs in profiles.items()
    }


def _log(title: str, profiles: Mapping[str, Mapping[str, float]]) -> None:
    mine, other = profiles["TensorFlow"], profiles["OpenVINO"]
    logging.info("%s: ms of TensorFlow, of OpenVINO", title)
    for name in (*_KINDS, REST):
        logging.info("  %-16s %8.1f %8.1f", name, mine[name], other[name])
    logging.info("  %-16s %8.1f %8.1f", "sum", sum(mine.values()), sum(other.values()))


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
