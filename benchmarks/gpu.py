"""DeepLab on a GPU: this project's step, Keras on JAX, plain PyTorch, torchvision.

    python benchmarks/gpu.py

Forward pass, and training step with a loss at the size of the labels, momentum and
decay, of what is installed of TensorFlow, JAX, PyTorch and torchvision. Each network,
precision and framework is a process with a time limit and prints a line of JSON as it
ends; the largest network comes first, and a second pass, in the reverse order, as far
as time goes. Logits of all frameworks are compared. In the end there is a table.

In a quarter of an hour, or what --minutes says. Without a GPU, --size=65 --batch_size=2
tries the code out.
"""

import dataclasses
import importlib.util
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.shared import processes
from benchmarks.shared.gpu_items import NETWORKS, Item
from deeplab_tf import cli
from deeplab_tf.config.fields import POSITIVE, flag
from deeplab_tf.errors import InputError

# In the order in which they are measured, with what each needs.
FRAMEWORKS = {
    "tensorflow_xla": ("tensorflow",),
    "jax": ("jax",),
    "torch": ("torch", "jax"),
    "torchvision": ("torchvision",),
    "tensorflow": ("tensorflow",),
    "torch_compile": ("torch", "jax"),
}
_TO_TRY = 129  # Sides of images up to which no GPU is needed.
_PASSES = 3  # Of a training step: forward, and backward by inputs and by weights.


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times networks on a GPU, in several frameworks."""

    networks: tuple[str, ...] = flag("Feature extractors.", tuple(NETWORKS))
    frameworks: tuple[str, ...] = flag(
        "Of those that are installed.", tuple(FRAMEWORKS)
    )
    precisions: tuple[str, ...] = flag(
        "float32 is TF32 in all.", ("mixed_bfloat16", "float32")
    )
    size: int = flag("Sides of the images.", 513, within=POSITIVE)
    batch_size: int = flag("Images at a time.", 16, within=POSITIVE)
    steps: int = flag("Timed together.", 10, within=POSITIVE)
    rounds: int = flag("Of them, whose median counts.", 3, within=POSITIVE)
    limit_seconds: int = flag("Of a process.", 150, within=POSITIVE)
    minutes: float = flag("Of all.", 14.0, within=POSITIVE)
    passes: int = flag("Over all, if time allows.", 2, within=POSITIVE)


def benchmark(config: BenchmarkConfig) -> None:
    """Prints a line of JSON for each process, and a table.

    Raises:
        InputError: There is no GPU, or nothing to measure with.
    """
    cards = processes.gpus()
    if not cards and config.size > _TO_TRY:
        raise InputError(
            "no GPU, nvidia-smi lists none: nothing is measured; --size=65 "
            "--batch_size=2 tries the code out"
        )
    frameworks = _installed(config.frameworks)
    if not frameworks:
        raise InputError(
            f"--frameworks={','.join(config.frameworks)}: none of them is installed"
        )
    clock = processes.Clock(60 * config.minutes)
    peak = _peak(config, frameworks, clock)
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure_all(config, frameworks, Path(folder), clock)
    card = cards[0] if cards else "no GPU: these numbers say nothing"
    _print_table(rows, card, peak)


def _installed(frameworks: Sequence[str]) -> list[str]:
    """Those whose packages are there, in the given order."""
    return [
        name
        for name in frameworks
        if all(importlib.util.find_spec(needed) for needed in FRAMEWORKS[name])
    ]


def _item(config: BenchmarkConfig, framework: str, network: str, **others: Any) -> Item:
    return Item(
        framework=framework,
        network=network,
        size=config.size,
        batch_size=config.batch_size,
        steps=config.steps,
        rounds=config.rounds,
        **others,
    )


def _run(config: BenchmarkConfig, item: Item, clock: processes.Clock) -> dict[str, Any]:
    # PyTorch's graphs are made of Keras', which needs a backend: on the CPU.
    of_torch = item.framework.startswith("torch")
    backend = "tensorflow" if item.framework.startswith("tensorflow") else "jax"
    environment = {"KERAS_BACKEND": backend}
    if of_torch:
        environment["JAX_PLATFORMS"] = "cpu"
    return processes.run(
        "benchmarks.shared.gpu_items",
        item,
        limit=config.limit_seconds,
        clock=clock,
        environment=environment,
    )


def _peak(
    config: BenchmarkConfig, frameworks: Sequence[str], clock: processes.Clock
) -> float | None:
    """The card's bfloat16 rate, as a large product of matrices reaches it."""
    for name in ("jax", "torch", "tensorflow"):
        if name in frameworks or f"{name}_xla" in frameworks:
            item = _item(config, name, "", precision="bfloat16")
            return _run(config, item, clock).get("peak")
    return None


def _measure_all(
    config: BenchmarkConfig,
    frameworks: Sequence[str],
    folder: Path,
    clock: processes.Clock,
) -> list[dict[str, Any]]:
    """Rows of all processes; A B C, and then C B A."""
    order = [
        (network, precision, framework)
        for network in NETWORKS
        if network in config.networks
        for precision in config.precisions
        for framework in frameworks
        if framework != "torchvision" or network == "resnet_v1_101"
    ]
    rows = []
    for again in range(config.passes):
        for network, precision, framework in reversed(order) if again % 2 else order:
            compares = precision == "float32" and framework != "torchvision"
            name = f"{network}.{framework}.npy" if compares and not again else ""
            item = _item(
                config,
                framework,
                network,
                precision=precision,
                logits=str(folder / name) if name else "",
            )
            rows.append(_run(config, item, clock))
        if not again:
            _compare_logits(config, frameworks, folder)
    return rows


def _compare_logits(
    config: BenchmarkConfig, frameworks: Sequence[str], folder: Path
) -> None:
    """Prints how far logits differ, against the greatest of those of the first."""
    for network in config.networks:
        paths = [folder / f"{network}.{name}.npy" for name in frameworks]
        first, *others = [np.load(path) for path in paths if path.exists()] or [None]
        if others:
            most = max(float(np.abs(each - first).max()) for each in others)
            sys.stdout.write(
                f"{network}: logits of {len(others) + 1} frameworks differ by at most "
                f"{most / float(np.abs(first).max()):.1e} of the greatest\n"
            )


def _print_table(rows: Sequence[dict[str, Any]], card: str, peak: float | None) -> None:
    """Markdown: medians of the passes, images a second, of the peak, GB."""
    rate = f"; bfloat16 product at {peak / 1e12:.0f} TFLOP/s" if peak else ""
    lines = [
        f"\n{card}{rate}\n",
        "| network | precision | framework | forward | training | of the peak | GB | "
        "compiling |",
        "|---|---|---|---|---|---|---|---|",
    ]
    keys = ("network", "precision", "framework")
    for key in dict.fromkeys(tuple(row[k] for k in keys) for row in rows):
        same = [row for row in rows if tuple(row[k] for k in keys) == key]
        lines.append(f"| {' | '.join(key)} | {_cells(same, peak)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _cells(rows: Sequence[dict[str, Any]], peak: float | None) -> str:
    done = [row for row in rows if "training_images_s" in row]
    if not done:
        return f"{rows[0]['error']} | | | |"
    median = {
        name: statistics.median(row[name] for row in done)
        for name in ("forward_images_s", "training_images_s", "gb")
    }
    flops = 2 * _PASSES * done[0]["multiply_adds"] * median["training_images_s"]
    compiling = statistics.median(row["training_compile_s"] for row in done)
    share = f"{flops / peak:.0%}" if peak and flops else "-"
    return (
        f"{median['forward_images_s']:.1f} | {median['training_images_s']:.1f} | "
        f"{share} | {median['gb']:.1f} | {compiling:.0f} s"
    )


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
