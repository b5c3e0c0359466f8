"""DeepLab v3+ on a GPU: Keras' JAX backend beside the same layers in plain PyTorch.

    PYTHONPATH=. python benchmarks/gpu.py

Needs keras, jax, torch and a GPU that both see; TensorFlow is not loaded. Forward and
training step of three networks, float32 and bfloat16, in turn, in this process: images
a second, and which share of the card's bfloat16 rate, as a large product of matrices
reaches it here, their multiply-adds are. Without a GPU it ends with 1 and one line.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs some.

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import keras
import numpy as np
import torch
from absl import logging
from jax import numpy as jnp

from benchmarks.torch_graph import Graph
from deeplab_tf import cli
from deeplab_tf.config import ModelConfig
from deeplab_tf.config.fields import flag
from deeplab_tf.errors import InputError
from deeplab_tf.models.build import build
from deeplab_tf.models.mixed_precision import dtype_policy
from deeplab_tf.models.summary import multiply_adds

CLASSES = 21
NETWORKS = ("mobilenet_v2", "resnet_v1_50_beta", "xception_65")
RATE = 1e-3  # Of learning.


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times networks at output stride 16 with a decoder at stride 4."""

    model_variants: tuple[str, ...] = flag("Feature extractors.", NETWORKS)
    crop_size: int = flag("Sides of the images.", 513)
    batch_size: int = flag("Images at a time.", 16)
    steps: int = flag("Timed together.", 10)
    rounds: int = flag("Measurements of each, of which the best counts.", 3)
    torch_compile: bool = flag("Let PyTorch compile its graph, too.", False)
    small: bool = flag("Try the code out, on a CPU, too; says nothing of speed.", False)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs a line for each network, precision and framework."""
    if config.small:
        config = dataclasses.replace(
            config, crop_size=33, batch_size=2, steps=1, rounds=1
        )
    elif jax.default_backend() != "gpu" or not torch.cuda.is_available():
        raise InputError(
            f"no GPU, JAX sees {jax.default_backend()} and PyTorch "
            f"{'cuda' if torch.cuda.is_available() else 'none'}: nothing is measured; "
            "--small tries the code out"
        )
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32, as XLA takes.
    peak = _peak(config)
    device = jax.devices()[0].device_kind
    logging.info("%s: bfloat16 product at %.1f TFLOP/s", device, peak / 1e12)
    for variant in config.model_variants:
        _measure(variant, config, peak)


def _measure(variant: str, config: BenchmarkConfig, peak: float) -> None:
    """All ways to run one network."""
    for precision in ("float32", "mixed_bfloat16"):
        keras.backend.clear_session()
        model = _network(variant, config, precision)
        # A training step is three passes: forward, and by inputs and by weights.
        flops = 2 * multiply_adds(model)
        runs = _on_jax(model, config)
        if precision == "float32":
            plain = model
        else:
            plain = _network(variant, config, "float32")
            plain.set_weights(model.get_weights())
        runs |= _on_torch(plain, config, precision)
        for name, run in runs.items():
            images = config.batch_size / _seconds(run, config)
            passes = 3 if "training" in name else 1
            logging.info(
                "%s, %s, %s: %.1f images/s, %.1f%% of the bfloat16 rate",
                variant,
                precision,
                name,
                images,
                100 * images * flops * passes / peak,
            )


def _network(variant: str, config: BenchmarkConfig, precision: str) -> keras.Model:
    settings = ModelConfig(
        model_variant=variant,
        decoder_output_stride=(4,),
        atrous_rates=(6, 12, 18),
        depth_multiplier=0.25 if config.small else 1.0,
    )
    with dtype_policy(precision):
        return build(settings, CLASSES, input_size=(config.crop_size,) * 2)


def _batch(model: keras.Model, config: BenchmarkConfig) -> tuple[np.ndarray, ...]:
    """Images, and a class for each of the logits."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (config.batch_size, *model.input_shape[1:]))
    labels = rng.integers(0, CLASSES, (config.batch_size, *model.output_shape[1:3]))
    return images.astype(np.float32), labels


def _on_jax(
    model: keras.Model, config: BenchmarkConfig
) -> dict[str, Callable[[], Any]]:
    images, labels = map(jnp.asarray, _batch(model, config))
    state = [
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
    ]

    @jax.jit
    def forward(weights: list, rest: list) -> Any:
        return model.stateless_call(weights, rest, images, training=False)[0]

    def cost(weights: list, rest: list) -> Any:
        logits, rest = model.stateless_call(weights, rest, images, training=True)
        chances = jax.nn.log_softmax(logits)
        picked = jnp.take_along_axis(chances, labels[..., None], -1)
        return -picked.mean(), rest

    @jax.jit
    def step(weights: list, rest: list) -> tuple[list, list]:
        (_, rest), slopes = jax.value_and_grad(cost, has_aux=True)(weights, rest)
        return [w - RATE * dw for w, dw in zip(weights, slopes, strict=True)], rest

    def train() -> Any:
        state[:] = step(*state)
        return state

    return {"JAX forward": lambda: forward(*state), "JAX training": train}


def _on_torch(
    model: keras.Model, config: BenchmarkConfig, precision: str
) -> dict[str, Callable[[], Any]]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    made = Graph(model).to(device, memory_format=torch.channels_last)
    graph = torch.compile(made) if config.torch_compile else made
    batch, classes = _batch(model, config)
    images = torch.from_numpy(batch.transpose(0, 3, 1, 2)).to(
        device, memory_format=torch.channels_last
    )
    labels = torch.from_numpy(classes).to(device)
    optimizer = torch.optim.SGD(made.parameters(), lr=RATE)
    half = precision != "float32"

    def forward() -> Any:
        made.eval()
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=half):
            return graph(images)

    def train() -> Any:
        made.train()
        with torch.autocast(device, torch.bfloat16, enabled=half):
            logits = graph(images)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()

    return {"PyTorch forward": forward, "PyTorch training": train}


def _peak(config: BenchmarkConfig) -> float:
    """Operations a second of a large product of bfloat16 matrices."""
    side = 256 if config.small else 8192
    product = jax.jit(lambda x: x @ x)
    matrix = jnp.ones((side, side), jnp.bfloat16)
    return 2 * side**3 / _seconds(lambda: product(matrix), config)


def _seconds(run: Callable[[], Any], config: BenchmarkConfig) -> float:
    """The least of a step, compiled and warm."""
    _wait(run())
    _wait(run())
    return min(_rounds(run, config))


def _rounds(run: Callable[[], Any], config: BenchmarkConfig) -> Iterator[float]:
    for _ in range(config.rounds):
        began = time.perf_counter()
        for _ in range(config.steps):
            results = run()
        _wait(results)
        yield (time.perf_counter() - began) / config.steps


def _wait(results: Any) -> None:
    jax.block_until_ready(results)
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
