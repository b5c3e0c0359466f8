"""The benchmarks for a GPU, without one: what they print, and that all of it runs."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import gpu, gpu_training
from benchmarks.shared import gpu_items, processes
from deeplab_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Sleep:
    """What is measured here."""

    network: str
    seconds: int = 0


def test_a_process_that_ends_without_a_result_says_why(capsys):
    row = processes.run(
        "benchmarks.nothing", Sleep("a"), limit=60, clock=processes.Clock(60)
    )
    assert "No module named" in row["error"]
    assert row["network"] == "a"
    assert json.loads(capsys.readouterr().out)["error"] == row["error"]


def test_what_there_is_no_time_for_is_not_measured():
    row = processes.run("any", Sleep("a"), limit=60, clock=processes.Clock(1))
    assert row["error"] == "not measured: the time is up"


@pytest.mark.parametrize("module", [gpu, gpu_training])
def test_without_a_gpu_one_line_says_so(module, monkeypatch):
    monkeypatch.setattr(processes, "gpus", list)
    with pytest.raises(InputError, match=r"no GPU.*--size=65 --batch_size=2 tries"):
        module.benchmark(module.BenchmarkConfig())


def test_a_second_pass_goes_the_other_way(monkeypatch):
    """A B B A: what warms up, or slows down, does so for all."""
    ran = []

    def run(module, item, **settings):
        ran.append((item.network, item.framework))
        return dataclasses.asdict(item) | {"error": "-"}

    monkeypatch.setattr(processes, "run", run)
    monkeypatch.setattr(gpu, "_installed", lambda names: ["jax", "torch"])
    gpu.benchmark(
        gpu.BenchmarkConfig(
            networks=("xception_65", "mobilenet_v2"), precisions=("float32",), size=65
        )
    )
    peak, *others = ran
    assert peak == ("", "jax")
    first = [(n, f) for n in ("xception_65", "mobilenet_v2") for f in ("jax", "torch")]
    assert others == [*first, *reversed(first)]


def test_the_table_has_medians_and_the_share_of_the_peak(capsys):
    same = {"network": "a", "precision": "float32", "framework": "jax"}
    rows = [
        same
        | {"forward_images_s": 10.0, "training_images_s": speed, "gb": 2.0}
        | {"training_compile_s": 3.0, "multiply_adds": 5e9}
        for speed in (4.0, 6.0)
    ]
    gpu._print_table([*rows, {**same, "network": "b", "error": "late"}], "A card", 3e11)
    told = capsys.readouterr().out
    # 6 operations for each multiply-add, 5 images a second: 150 GFLOP/s.
    assert "| a | float32 | jax | 10.0 | 5.0 | 50% | 2.0 | 3 s |" in told
    assert "| b | float32 | jax | late |" in told


def test_weights_keep_the_size_of_what_they_are_applied_to(rng):
    kernel = gpu_items.weight("a/weights", (3, 3, 64, 64))
    x = np.maximum(rng.standard_normal((1000, 3 * 3 * 64)), 0)
    ratio = np.mean((x @ kernel.reshape(-1, 64)) ** 2) / np.mean(x**2) / 2
    assert ratio == pytest.approx(1, rel=0.1)
    again = gpu_items.weight("a/weights", (3, 3, 64, 64))
    np.testing.assert_array_equal(kernel, again)
    assert np.any(kernel != gpu_items.weight("b/weights", (3, 3, 64, 64)))


TINY = {"size": 65, "batch_size": 2, "steps": 1, "rounds": 1, "minutes": 30.0}


@pytest.mark.nightly
@pytest.mark.slow
def test_all_rows_of_training_run(capsys):
    gpu_training.benchmark(
        gpu_training.BenchmarkConfig(
            networks=("mobilenet_v2",),
            precisions=("mixed_bfloat16", "mixed_float16"),
            cpu_replicas=2,
            limit_seconds=600,
            **TINY,
        )
    )
    lines = capsys.readouterr().out.splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(rows) == 8
    assert not [row["error"] for row in rows if "error" in row]
    assert sum(line.startswith("| mobilenet_v2") for line in lines) == 8


@pytest.mark.nightly
@pytest.mark.slow
def test_all_frameworks_that_are_installed_run(capsys):
    gpu.benchmark(
        gpu.BenchmarkConfig(
            networks=("mobilenet_v2",), passes=1, limit_seconds=600, **TINY
        )
    )
    told = capsys.readouterr().out
    rows = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert {"tensorflow", "jax"} <= {row["framework"] for row in rows}
    assert not [row["error"] for row in rows if "error" in row]
    differences = [line for line in told.splitlines() if "logits of" in line]
    assert float(differences[0].split()[-4]) < 1e-3
