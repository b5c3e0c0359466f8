"""What networks cost: the calculation by hand, and a row of each kind."""

import json

import pytest

from benchmarks import cost, inference, training
from deeplab_tf.errors import FlagError
from tests.recorded import TINY


def test_the_speed_is_that_of_operations_and_bytes_one_after_the_other():
    gpu = cost.Gpu(half=100, bandwidth=1000, memory=10)
    image = 1_000_000_000
    # 6 x 10 G operations at 40 T a second are 1.5 ms, 5 GB at 700 GB a second 7.143 ms.
    speed = cost.speed(gpu, 10**10, image)
    assert speed == pytest.approx(1000 / (1.5 + 5000 / 700))


@pytest.mark.nightly
def test_rows_are_written(monkeypatch, tmp_path):
    monkeypatch.setitem(cost.NETWORKS, "tiny", TINY)
    monkeypatch.setattr(cost, "run_in_process", lambda task, *args: task(*args))
    paths = [tmp_path / name for name in ("calculated.json", "predictions.json")]
    cost.benchmark(
        cost.BenchmarkConfig(
            networks=("tiny",),
            size=65,
            rounds=1,
            calculated=str(paths[0]),
            predictions=str(paths[1]),
        )
    )
    ((calculated,), (prediction,)) = (json.loads(path.read_text()) for path in paths)
    assert calculated["gpus"].keys() == cost.GPUS.keys()
    for card in calculated["gpus"].values():
        assert card["training_images_s"] > 0
    assert calculated["image_gb"]["half"] < calculated["image_gb"]["float32"]
    assert 0 < prediction["wall_s"] < 60


@pytest.mark.parametrize("benchmark", [cost, inference, training])
def test_a_network_that_there_is_not_is_said(benchmark):
    with pytest.raises(FlagError, match="--networks=other: one of mobilenet_v2, "):
        benchmark.BenchmarkConfig(networks=("other",))
