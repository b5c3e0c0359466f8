"""Numbers, presets and flags of the CRF, and pydensecrf behind it."""

import dataclasses
import importlib.util
import shlex

import numpy as np
import pytest

from deeplab_tf import flags
from deeplab_tf.config import CrfConfig
from deeplab_tf.crf import engines
from deeplab_tf.errors import FlagError

NUMBERS = engines.Parameters(w1=4, sigma_alpha=20, sigma_beta=10)


@pytest.fixture
def scene(rng):
    """Two halves of a 12x16 photograph, and logits that see them badly."""
    left = np.arange(16) < 9
    image = np.where(left[None, :, None], [200, 40, 40], [30, 60, 220])
    noisy = image + rng.integers(-9, 10, (12, 16, 3))
    truth = np.broadcast_to(np.where(left, 0, 1), (12, 16))
    logits = np.eye(3, dtype=np.float32)[truth]
    logits += rng.normal(scale=0.8, size=logits.shape).astype(np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8), logits, truth


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def brute_force(logits, image, p):
    """The mean field in float64, all pairs of pixels, each with itself, too."""
    height, width, _ = image.shape
    at = np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2).astype(float)
    color = image.reshape(-1, 3).astype(float)

    def square(x):
        return ((x[:, None] - x[None]) ** 2).sum(-1)

    near = np.exp(-square(at) / (2 * p.sigma_gamma**2))
    alike = np.exp(
        -square(at) / (2 * p.sigma_alpha**2) - square(color) / (2 * p.sigma_beta**2)
    )
    if p.normalization == "after":
        near, alike = (k / k.sum(1, keepdims=True) for k in (near, alike))
    else:
        near, alike = (k / np.sqrt(k.sum(1)[:, None] * k.sum(1)) for k in (near, alike))
    start = logits.reshape(-1, logits.shape[-1]).astype(float)
    found = softmax(start)
    for _ in range(p.iterations):
        found = softmax(start + p.w1 * alike @ found + p.w2 * near @ found)
    return found.reshape(logits.shape)


needs_pydensecrf = pytest.mark.skipif(
    not importlib.util.find_spec("pydensecrf"), reason="pydensecrf2 is not installed"
)


@needs_pydensecrf
@pytest.mark.parametrize("normalization", ["after", "symmetric"])
def test_pydensecrf_is_near_the_sum_over_all_pairs(scene, normalization):
    """Mean errors of one step as in crf.md: 0.002 to 0.004 there; the lattice's own."""
    image, logits, _ = scene
    once = dataclasses.replace(NUMBERS, iterations=1, normalization=normalization)
    found = engines.mean_field(logits, image, once, "pydensecrf")
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    error = np.abs(found - brute_force(logits, image, once)).mean()
    changed = np.abs(found - softmax(logits)).mean()
    assert error < 0.01 < 0.1 < changed


@needs_pydensecrf
def test_normalizations_differ(scene):
    image, logits, _ = scene
    found = [
        engines.mean_field(
            logits, image, dataclasses.replace(NUMBERS, normalization=n), "pydensecrf"
        )
        for n in ("after", "symmetric")
    ]
    assert np.abs(found[0] - found[1]).max() > 1e-3


@needs_pydensecrf
def test_a_crf_without_weights_is_the_softmax(scene):
    image, logits, _ = scene
    nothing = dataclasses.replace(NUMBERS, w1=0.0, w2=0.0)
    found = engines.mean_field(logits, image, nothing, "pydensecrf")
    np.testing.assert_allclose(found, softmax(logits), atol=1e-6)


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_pixels_of_one_color_get_one_class(scene, engine):
    package = {"numba": "numba", "pydensecrf": "pydensecrf"}.get(engine, "tensorflow")
    pytest.importorskip(package)
    image, logits, truth = scene
    assert (logits.argmax(-1) != truth).mean() > 0.1
    found = engines.classes(logits, image, NUMBERS, engine)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5, 3), np.float32), np.zeros((5, 4, 3), np.uint8)],
)
def test_images_of_another_type_or_size_are_refused(image):
    logits = np.zeros((4, 5, 2), np.float32)
    with pytest.raises(ValueError, match=r"uint8 \[4, 5, 3\] is needed"):
        engines.mean_field(logits, image, NUMBERS)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        # w1, sigma_alpha, sigma_beta, w2, sigma_gamma, as ../shared/reference lists.
        ("voc_v1", (5, 50, 10, 3, 3)),
        ("voc_v1_largefov", (4, 121, 5, 3, 3)),
        ("voc_v1_msc_largefov", (4, 83, 5, 3, 3)),
        ("voc_v2_vgg16", (4, 65, 3, 2, 2)),
        ("voc_v2_resnet101", (4, 67, 3, 3, 1)),
        ("official_script", (4, 49, 5, 3, 3)),
        ("crf_rnn", (5, 160, 3, 3, 3)),
    ],
)
def test_presets_are_the_published_numbers(name, numbers):
    preset = dataclasses.astuple(engines.PRESETS[name])
    assert preset == (*numbers, 10, "after")


def test_numbers_by_hand_win_over_those_of_a_preset():
    config = CrfConfig(crf="voc_v2_resnet101", crf_w1=6.0, crf_iterations=5)
    preset = engines.PRESETS["voc_v2_resnet101"]
    expected = dataclasses.replace(preset, w1=6.0, iterations=5)
    assert engines.parameters_of(config) == expected


def test_three_numbers_are_enough():
    config = CrfConfig(crf_w1=4.0, crf_sigma_alpha=49.0, crf_sigma_beta=5.0)
    assert engines.parameters_of(config) == engines.PRESETS["official_script"]
    assert engines.parameters_of(CrfConfig()) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"crf": "voc_v9"},
            r"--crf=voc_v9: did you mean voc_v1\? One of voc_v1, .* is needed",
        ),
        (
            {"crf_w1": 4.0},
            r"--crf_w1=4.0: a CRF needs --crf_sigma_alpha, --crf_sigma_beta, too; or a "
            r"preset, as --crf=voc_v2_resnet101",
        ),
        ({"crf_w2": 4.0}, r"--crf_w2=4.0: a CRF needs --crf_w1, --crf_sigma_alpha, "),
        ({"crf_engine": "numba"}, r"--crf_engine=numba: a CRF needs --crf_w1, "),
    ],
)
def test_what_is_missing_is_told(settings, message):
    with pytest.raises(FlagError, match=message):
        engines.parameters_of(CrfConfig(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crf_w1": -1.0}, "--crf_w1=-1.0: 0 or more is needed"),
        ({"crf_sigma_beta": 0.0}, "--crf_sigma_beta=0.0: more than 0 is needed"),
        ({"crf_iterations": 0}, "--crf_iterations=0: more than 0 is needed"),
    ],
)
def test_numbers_that_cannot_be_meant_are_told(settings, message):
    with pytest.raises(FlagError, match=message):
        CrfConfig(**settings)


def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert engines.find_engine("auto") == "tensorflow"
    message = r"--crf_engine=numba: .* pip install 'deeplab-tf\[fast\]'"
    with pytest.raises(FlagError, match=message):
        engines.find_engine("numba")
    with pytest.raises(FlagError, match=r"pip install 'deeplab-tf\[crf\]'"):
        engines.find_engine("pydensecrf")


def test_a_search_keeps_what_it_does_not_search_for():
    config = CrfConfig(crf="voc_v2_resnet101", crf_iterations=5)
    start = engines.start_of_search(config)
    assert (start.w2, start.sigma_gamma, start.iterations) == (3, 1, 5)
    plain = engines.start_of_search(CrfConfig())
    assert (plain.w2, plain.sigma_gamma, plain.iterations) == (3, 3, 10)
    with pytest.raises(FlagError, match=r"--crf_w1=4\.0: --crf_search searches for it"):
        engines.start_of_search(CrfConfig(crf_w1=4.0))


@pytest.mark.parametrize("name", engines.PRESETS)
def test_flags_that_are_told_ask_for_these_numbers(name):
    told = shlex.split(engines.flags(engines.PRESETS[name]))
    assert (
        engines.parameters_of(flags.parse(CrfConfig, ["eval.py", *told]))
        == engines.PRESETS[name]
    )
