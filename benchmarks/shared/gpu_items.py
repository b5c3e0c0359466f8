"""What benchmarks/gpu.py measures, each in a process of its own: one network, one way.

    python -m benchmarks.shared.gpu_items '{"framework": "jax", ...}'

The last line of the output is JSON. Weights follow from the names of the layers, and
images from a seed: so all frameworks compute the same.
"""

import contextlib
import dataclasses
import json
import os
import statistics
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.shared import gpu_peak

CLASSES = 21
MOMENTUM, RATE, DECAY = 0.9, 1e-4, 4e-5
# Feature extractor, and what it is read by; the largest first.
NETWORKS: dict[str, dict[str, Any]] = {
    # As torchvision's deeplabv3_resnet101: no decoder, stride 8.
    "resnet_v1_101": {"output_stride": 8, "atrous_rates": (12, 24, 36)},
    "xception_65": {"decoder_output_stride": (4,), "atrous_rates": (6, 12, 18)},
    "mobilenet_v2": {"decoder_output_stride": (4,), "atrous_rates": (6, 12, 18)},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """What is measured in one process.

    Attributes:
        framework: "tensorflow", "tensorflow_xla", "jax", "torch", "torch_compile", or
            "torchvision".
        network: Of `NETWORKS`; "" for a product of matrices, the peak of the card.
        precision: "float32" or "mixed_bfloat16".
        size: Sides of the images.
        batch_size: Images at a time.
        steps: Timed together.
        rounds: Of them, whose median counts.
        logits: File in which to leave those of the first two images; "" for none.
    """

    framework: str
    network: str
    precision: str
    size: int
    batch_size: int
    steps: int
    rounds: int
    logits: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """How a framework computes a network.

    Attributes:
        forward: Computes logits, `[N, h, w, C]`.
        train: Takes a step.
        wait: Waits for what was returned.
        memory: GB that were taken at most, 0 where nothing counts them.
        multiply_adds: Of an image, forward; 0 where they are not counted.
        to_numpy: What `forward` returns -> an array.
    """

    forward: Callable[[], Any]
    train: Callable[[], Any]
    wait: Callable[[Any], None]
    memory: Callable[[], float]
    multiply_adds: int
    to_numpy: Callable[[Any], np.ndarray]


def measure(item: Item) -> dict[str, float]:
    """Images a second, seconds to compile, and GB, of forward pass and step."""
    way = _WAYS[item.framework](item)
    row: dict[str, float] = {"multiply_adds": way.multiply_adds}
    for name, run in (("forward", way.forward), ("training", way.train)):
        began = time.perf_counter()
        results = run()
        way.wait(results)
        row[f"{name}_compile_s"] = time.perf_counter() - began
        if name == "forward" and item.logits:
            np.save(item.logits, way.to_numpy(results)[:2].astype(np.float32))
        del results
        seconds = gpu_peak.rounds(run, way.wait, item.steps, item.rounds)
        row[f"{name}_images_s"] = item.batch_size / statistics.median(seconds)
        row[f"{name}_best_images_s"] = item.batch_size / min(seconds)
    return row | {"gb": way.memory()}


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of a weight: so that activations keep their size, as He et al. 2015."""
    kind = name.rsplit("/", 1)[-1]
    if kind in ("gamma", "moving_variance"):
        return np.ones(shape, np.float32)
    if len(shape) < 2:
        return np.zeros(shape, np.float32)
    fan_in = np.prod(shape[:2]) if "depthwise" in kind else np.prod(shape[:3])
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))


def batch(item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and a class for each pixel, of which some are ignored."""
    rng = np.random.default_rng(0)
    shape = (item.batch_size, item.size, item.size)
    images = rng.uniform(0, 255, (*shape, 3)).astype(np.float32)
    labels = rng.integers(0, CLASSES, shape, np.int32)
    labels[:, : item.size // 20] = 255
    return images, labels


def _keras_network(item: Item) -> Any:
    """The network on whichever backend, with the weights of the rule."""
    import keras

    from deeplab_tf.config import ModelConfig
    from deeplab_tf.models.build import build
    from deeplab_tf.models.mixed_precision import dtype_policy
    from deeplab_tf.models.weight_names import weights_by_name

    settings = ModelConfig(model_variant=item.network, **NETWORKS[item.network])
    jax = keras.backend.backend() == "jax"
    # Initial values of Xception-65 take 20 seconds of a CPU, and are not needed.
    with (
        dtype_policy(item.precision),
        keras.StatelessScope(initialize_variables=False)
        if jax
        else contextlib.nullcontext(),
    ):
        model = build(settings, CLASSES, input_size=(item.size, item.size))
    keras.utils.clear_session(free_memory=False)  # Which would initialize them later.
    for name, variable in weights_by_name(model).items():
        variable.assign(weight(name, tuple(variable.shape)))
    for variable in model.variables:  # Seeds of dropout have no official name.
        if jax and "seed" in variable.path:
            variable.assign(np.zeros(variable.shape, np.uint32))
    return model


def _on_jax(item: Item) -> Way:
    import jax
    from jax import numpy as jnp

    from deeplab_tf.models.layers import backend_ops
    from deeplab_tf.models.summary import multiply_adds

    model = _keras_network(item)
    images, labels = map(jnp.asarray, batch(item))
    learned = [v.value for v in model.trainable_variables]
    decays = [float(len(v.shape) > 1) * DECAY for v in learned]
    state = [
        learned,
        [v.value for v in model.non_trainable_variables],
        [jnp.zeros_like(v) for v in learned],
    ]

    @jax.jit
    def forward(weights: list, rest: list) -> Any:
        return model.stateless_call(weights, rest, images, training=False)[0]

    def cost(weights: list, rest: list) -> Any:
        logits, rest = model.stateless_call(weights, rest, images, training=True)
        logits = backend_ops.resize_bilinear(logits, (item.size, item.size))
        scores = jax.nn.log_softmax(logits.astype(jnp.float32))
        counts = labels != 255
        classes = jnp.where(counts, labels, 0)
        picked = jnp.take_along_axis(scores, classes[..., None], -1)[..., 0]
        return -jnp.sum(picked * counts) / jnp.sum(counts), rest

    def step(weights: list, rest: list, velocities: list) -> Any:
        (_, rest), slopes = jax.value_and_grad(cost, has_aux=True)(weights, rest)
        velocities = [
            MOMENTUM * v + g + decay * w
            for v, g, w, decay in zip(velocities, slopes, weights, decays, strict=True)
        ]
        weights = [w - RATE * v for w, v in zip(weights, velocities, strict=True)]
        return weights, rest, velocities

    compiled = jax.jit(step, donate_argnums=(0, 1, 2))

    def train() -> Any:
        state[:] = compiled(*state)
        return state[0][0]

    def memory() -> float:
        taken = jax.devices()[0].memory_stats() or {}
        return taken.get("peak_bytes_in_use", 0) / 1e9

    return Way(
        forward=lambda: forward(*state[:2]),
        train=train,
        wait=jax.block_until_ready,
        memory=memory,
        multiply_adds=multiply_adds(model),
        to_numpy=np.asarray,
    )


def _on_tensorflow(item: Item) -> Way:
    """The step of this project, on a batch that stays on the device."""
    import tensorflow as tf

    from benchmarks.gpu_training import Resident, make_trainer
    from deeplab_tf.models.summary import multiply_adds
    from deeplab_tf.models.weight_names import weights_by_name

    compiles = item.framework.endswith("xla")
    trainer = make_trainer(
        NETWORKS[item.network] | {"model_variant": item.network},
        size=item.size,
        batch_size=item.batch_size,
        precision=item.precision,
        jit_compile=compiles,
    )
    trainer.time_data = False  # For which the host waits at the end of each call.
    for name, variable in weights_by_name(trainer.model).items():
        variable.assign(weight(name, tuple(variable.shape)))
    images, labels = batch(item)
    batches = Resident(trainer.strategy, images, labels)
    resident = tf.constant(images)

    @tf.function(autograph=False, jit_compile=compiles)
    def forward() -> Any:
        return trainer.model(resident, training=False)

    def memory() -> float:
        if not tf.config.list_physical_devices("GPU"):
            return 0.0
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9

    def train() -> Any:
        trainer._run(batches, tf.constant(1))
        return trainer.metrics_buffer.value()

    return Way(
        forward=forward,
        train=train,
        wait=gpu_peak.wait_for_tensor,
        memory=memory,
        multiply_adds=multiply_adds(trainer.model),
        to_numpy=lambda tensor: tensor.numpy(),
    )


def _on_torch(item: Item) -> Way:
    """The same layers in plain PyTorch, or torchvision's own network."""
    import torch
    from torch.nn import functional

    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32, as the others take.
    device = "cuda" if torch.cuda.is_available() else "cpu"
    graph, count = _torch_graph(item)
    graph = graph.to(device, memory_format=torch.channels_last)
    kernels = [p for p in graph.parameters() if p.dim() > 1]
    others = [p for p in graph.parameters() if p.dim() <= 1]
    optimizer = torch.optim.SGD(
        [
            {"params": kernels, "weight_decay": DECAY},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=RATE,
        momentum=MOMENTUM,
    )
    run = torch.compile(graph) if item.framework == "torch_compile" else graph
    images, classes = batch(item)
    inputs = torch.from_numpy(images.transpose(0, 3, 1, 2)).to(
        device, memory_format=torch.channels_last
    )
    labels = torch.from_numpy(classes.astype(np.int64)).to(device)
    half = item.precision != "float32"

    def logits() -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            outputs = run(inputs)
        return outputs["out"] if isinstance(outputs, dict) else outputs

    def forward() -> Any:
        graph.eval()
        with torch.no_grad():
            return logits()

    def train() -> Any:
        graph.train()
        scores = logits().float()
        if scores.shape[2:] != inputs.shape[2:]:
            scores = functional.interpolate(
                scores, inputs.shape[2:], mode="bilinear", align_corners=True
            )
        optimizer.zero_grad()
        loss = functional.cross_entropy(scores, labels, ignore_index=255)
        loss.backward()
        optimizer.step()
        return loss

    def wait(_: Any) -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def memory() -> float:
        return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0.0

    return Way(
        forward=forward,
        train=train,
        wait=wait,
        memory=memory,
        multiply_adds=count,
        to_numpy=lambda x: x.float().cpu().numpy().transpose(0, 2, 3, 1),
    )


def _torch_graph(item: Item) -> tuple[Any, int]:
    """A module, and multiply-adds of an image."""
    if item.framework == "torchvision":
        from torchvision.models import segmentation

        network = segmentation.deeplabv3_resnet101(
            weights=None, weights_backbone=None, num_classes=CLASSES
        )
        return network, 0
    from benchmarks.shared.torch_graph import Graph
    from deeplab_tf.models.summary import multiply_adds

    # Weights are float32; half precision is that of autocast.
    model = _keras_network(dataclasses.replace(item, precision="float32"))
    return Graph(model), multiply_adds(model)


def _measure_peak(item: Item) -> dict[str, float]:
    side = 8192 if item.size > 200 else 256
    return {"peak": gpu_peak.measure(item.framework, side, item.steps, item.rounds)}


_WAYS: dict[str, Callable[[Item], Way]] = {
    "tensorflow": _on_tensorflow,
    "tensorflow_xla": _on_tensorflow,
    "jax": _on_jax,
    "torch": _on_torch,
    "torch_compile": _on_torch,
    "torchvision": _on_torch,
}


def main() -> None:
    """Measures the item that the command line gives."""
    item = Item(**json.loads(sys.argv[1]))
    row = measure(item) if item.network else _measure_peak(item)
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    main()
