"""Corruptions of photographs: what they do to pixels, and the scores behind them."""

import json

import numpy as np
import pytest
import scipy.ndimage

from benchmarks import robustness
from benchmarks.robustness import CORRUPTIONS, corrupt
from deeplab_tf.config import DataConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.evaluation.run import evaluate
from tests.evaluation.test_run import config as eval_config

STRENGTHS = range(robustness.STRENGTHS + 1)
SCALES = ("smaller", "larger")


@pytest.fixture
def photograph(rng):
    """Large shapes and fine texture, uint8 `[60, 81, 3]`."""
    coarse = np.kron(rng.integers(20, 220, (6, 9, 3)), np.ones((10, 9, 1)))
    return np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_of_pixels_and_of_the_image_alone(photograph, name):
    assert len(CORRUPTIONS[name].values) == robustness.STRENGTHS
    np.testing.assert_array_equal(corrupt(photograph, name, 0, 3), photograph)
    for strength in STRENGTHS:
        changed = corrupt(photograph, name, strength, 3)
        assert changed.dtype == np.uint8
        np.testing.assert_array_equal(changed, corrupt(photograph, name, strength, 3))
        if name not in SCALES:
            assert changed.shape == photograph.shape
    others = [corrupt(photograph, name, 2, number) for number in (3, 4)]
    assert np.array_equal(*others) == (name != "noise")


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name not in SCALES])
def test_each_strength_is_farther_from_the_photograph(photograph, name):
    distances = [
        np.abs(corrupt(photograph, name, strength, 0).astype(float) - photograph).mean()
        for strength in STRENGTHS
    ]
    assert np.all(np.diff(distances) > 0.2), distances


@pytest.mark.parametrize("name", SCALES)
def test_scales_keep_content(photograph, name):
    for strength, factor in enumerate(CORRUPTIONS[name].values, start=1):
        changed = corrupt(photograph, name, strength, 0)
        assert changed.shape == (round(60 * factor), round(81 * factor), 3)
        assert changed.mean() == pytest.approx(photograph.mean(), abs=1)


def test_blur_is_that_of_scipy(photograph):
    for strength, sigma in enumerate(CORRUPTIONS["blur"].values, start=1):
        expected = scipy.ndimage.gaussian_filter(
            photograph.astype(float), (sigma, sigma, 0), mode="nearest", truncate=3
        )
        changed = corrupt(photograph, "blur", strength, 0)
        assert np.abs(changed - expected).max() < 0.51


def test_light_is_by_hand():
    """Two rows of one gray, 100, and one pixel that is brighter."""
    image = np.full((2, 2, 3), 100, np.uint8)
    image[0, 0] = 200
    assert corrupt(image, "darker", 2, 0)[:, :, 0].tolist() == [[100, 50], [50, 50]]
    assert corrupt(image, "brighter", 2, 0)[:, :, 0].tolist() == [[255, 160], [160] * 2]
    # The mean is 125: half of the distances, 75 and -25.
    contrast = corrupt(image, "contrast", 2, 0)[:, :, 0]
    assert contrast.tolist() == [[162, 112], [112, 112]]
    # exp(-0.8) = 0.4493 at the top and exp(-0.4) = 0.6703 at the bottom; 230 of fog.
    haze = corrupt(image, "haze", 2, 0)[:, :, 0]
    assert haze.tolist() == [[217, 172], [143, 143]]


def test_noise_has_its_deviation():
    gray = np.full((100, 100, 3), 128, np.uint8)
    for strength, std in enumerate(CORRUPTIONS["noise"].values[:3], start=1):
        assert corrupt(gray, "noise", strength, 0).std() == pytest.approx(std, rel=0.03)


def settings(run, shapes, path, **changes):
    given = {"corruptions": ("smaller",), "json": str(path)} | changes
    return robustness.BenchmarkConfig(
        checkpoint_dir=str(run), data=DataConfig(dataset_dir=str(shapes)), **given
    )


def test_a_line_is_written_as_each_is_scored(run, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "STRENGTHS", 1)
    path = tmp_path / "lines.jsonl"
    robustness.benchmark(settings(run, shapes, path))
    clean, smaller = map(json.loads, path.read_text().splitlines())
    assert (clean["corruption"], clean["strength"], clean["change"]) == ("none", 0, 0)
    assert (smaller["corruption"], smaller["strength"]) == ("smaller", 1)
    assert smaller["value"] == CORRUPTIONS["smaller"].values[0]
    assert smaller["change"] == smaller["miou"] - clean["miou"]
    low, high = smaller["change_interval"]
    assert low <= high


@pytest.mark.nightly
def test_clean_scores_are_those_of_an_evaluation_and_a_run_goes_on(
    run, shapes, tmp_path, monkeypatch
):
    monkeypatch.setattr(robustness, "STRENGTHS", 2)
    path = tmp_path / "lines.jsonl"
    robustness.benchmark(settings(run, shapes, path))
    whole = path.read_text()
    lines = [json.loads(line) for line in whole.splitlines()]
    names = [(line["corruption"], line["strength"]) for line in lines]
    assert names == [("none", 0), ("smaller", 1), ("smaller", 2)]
    clean = evaluate(eval_config(run, shapes, tmp_path / "eval"))
    for key in ("miou", "miou_interval", "pixel_accuracy", "num_images"):
        assert lines[0][key] == clean[key], key
    # Stopped before the last one, and given again.
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    robustness.benchmark(settings(run, shapes, path))
    assert path.read_text() == whole


def test_a_corruption_that_is_not_known_is_named(run, shapes, tmp_path):
    with pytest.raises(FlagError, match=r"--corruptions=rain: one of blur, noise"):
        settings(run, shapes, tmp_path / "x", corruptions=("rain",))
