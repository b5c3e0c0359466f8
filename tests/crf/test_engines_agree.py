"""Engines of the CRF: against sums over all pairs, pydensecrf, and each other."""

import importlib.util
import sys
import threading

import cv2
import numpy as np
import pytest
from PIL import Image

from deeplab_tf import crf
from deeplab_tf.crf import engines
from deeplab_tf.errors import InputError

PARAMETERS = {  # w1, sigma_alpha, sigma_beta, w2, sigma_gamma
    "gaussian": (0, 67, 3, 3, 3),
    "bilateral": (4, 67, 3, 0, 3),
    "both": (4, 67, 3, 3, 3),
    "wide": (10, 80, 13, 3, 3),
}
SIZES = [(24, 24), (61, 47), (1, 9), (7, 1), (1, 1)]


def without(package):
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None, reason=f"{package} is not installed"
    )


ENGINES = [
    pytest.param("tensorflow"),
    pytest.param("numba", marks=without("numba")),
]


def run(engine, image, logits, case, *, iterations, normalization="after"):
    w1, alpha, beta, w2, gamma = PARAMETERS[case]
    dense = engines.ENGINES[engine]()(
        image,
        sigma_alpha=alpha,
        sigma_beta=beta,
        sigma_gamma=gamma,
        normalization=normalization,
    )
    return dense.mean_field(logits, w1=w1, w2=w2, iterations=iterations)


def softmax(x):
    exponential = np.exp(x - x.max(-1, keepdims=True))
    return exponential / exponential.sum(-1, keepdims=True)


def exact(image, logits, case, *, iterations, normalization="after"):
    """Mean field in float64, with sums over all pairs of pixels, each with itself."""
    w1, alpha, beta, w2, gamma = PARAMETERS[case]
    row, column = np.indices(image.shape[:2]).reshape(2, -1).astype(np.float64)
    colors = image.reshape(-1, 3).astype(np.float64)
    near = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    alike = sum((c[:, None] - c) ** 2 for c in colors.T)
    total = 0
    for weight, distances in (
        (w1, near / alpha**2 + alike / beta**2),
        (w2, near / gamma**2),
    ):
        kernel = np.exp(-distances / 2)
        norm = kernel.sum(1)
        if normalization == "after":
            total += weight * kernel / norm[:, None]
        else:
            total += weight * kernel / np.sqrt(norm[:, None] * norm)
    unary = logits.reshape(len(row), -1).astype(np.float64)
    q = softmax(unary)
    for _ in range(iterations):
        q = softmax(unary + total @ q)
    return q.reshape(logits.shape)


def pydensecrf(image, logits, case, *, iterations, normalization="after"):
    densecrf = pytest.importorskip(
        "pydensecrf.densecrf", reason="pydensecrf2, to compare with, is not installed"
    )
    height, width, labels = logits.shape
    w1, alpha, beta, w2, gamma = PARAMETERS[case]
    crf = densecrf.DenseCRF2D(width, height, labels)
    crf.setUnaryEnergy(np.ascontiguousarray(-logits.reshape(-1, labels).T))
    how = {
        "after": densecrf.NORMALIZE_AFTER,
        "symmetric": densecrf.NORMALIZE_SYMMETRIC,
    }[normalization]
    image = np.ascontiguousarray(image)
    crf.addPairwiseGaussian(gamma, w2, normalization=how)
    crf.addPairwiseBilateral(alpha, beta, image, w1, normalization=how)
    return np.array(crf.inference(iterations)).T.reshape(logits.shape)


def noisy(rng, truth, labels):
    """Logits that are wrong at one pixel in ten; the CRF changes about as many."""
    logits = 6 * np.eye(labels)[truth] + rng.normal(0, 2.5, (*truth.shape, labels))
    return logits.astype(np.float32)


def synthetic(rng, height, width, labels=5):
    """Rectangles of a color each, with noise, and logits."""
    row, column = np.indices((height, width))
    truth = (row // 6 + column // 8) % labels
    palette = rng.integers(30, 226, (labels, 3))
    image = palette[truth] + rng.normal(0, 15, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8), noisy(rng, truth, labels)


def photograph(shared, name):
    path = shared / "data/voc_sample/VOCdevkit/VOC2012/JPEGImages" / name
    return np.array(Image.open(path))


def segmented(rng, image, labels=5):
    """Logits of regions of similar color."""
    smooth = cv2.GaussianBlur(image, (0, 0), 4).astype(np.float64)
    means = rng.choice(smooth.reshape(-1, 3), labels, replace=False)
    distances = ((smooth[..., np.newaxis, :] - means) ** 2).sum(-1)
    return noisy(rng, distances.argmin(-1), labels)


def differences(found, wanted):
    """Mean difference, and share of pixels with another label."""
    labels = found.argmax(-1) != wanted.argmax(-1)
    return np.abs(found - wanted).mean(), labels.mean()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("normalization", ["after", "symmetric"])
@pytest.mark.parametrize(
    ("case", "iterations", "bounds"),
    [
        ("gaussian", 1, (0.0021, 0.007)),
        ("gaussian", 10, (0.0027, 0.012)),
        ("bilateral", 1, (0.004, 0.012)),
        ("bilateral", 10, (0.016, 0.042)),
        ("both", 10, (0.018, 0.042)),
        ("wide", 10, (0.033, 0.08)),
    ],
)
def test_close_to_exact_mean_field(engine, normalization, case, iterations, bounds):
    """Bounds: those of pydensecrf, measured on other pictures before this was written.

    The largest difference says nothing after some iterations: of two labels that are
    as likely, either may win.
    """
    found = []
    for seed in range(3):
        image, logits = synthetic(np.random.default_rng(seed), 24, 24)
        settings = {"iterations": iterations, "normalization": normalization}
        wanted = exact(image, logits, case, **settings)
        assert differences(softmax(logits), wanted)[1] > 0.005
        got = run(engine, image, logits, case, **settings)
        found.append(differences(got, wanted))
    assert (np.max(found, axis=0) <= bounds).all()


@pytest.mark.parametrize(
    ("case", "bounds"), [("both", (0.0016, 0.003)), ("wide", (0.004, 0.01))]
)
@pytest.mark.parametrize(
    ("name", "top", "left"),
    [("2007_009331.jpg", 150, 200), ("2008_001119.jpg", 60, 100)],
)
def test_close_to_exact_mean_field_on_photographs(
    rng, shared, case, bounds, name, top, left
):
    image = photograph(shared, name)[top : top + 48, left : left + 64]
    logits = segmented(rng, image)
    wanted = exact(image, logits, case, iterations=10)
    assert differences(softmax(logits), wanted)[1] > 0.05
    found = differences(run("tensorflow", image, logits, case, iterations=10), wanted)
    assert (np.array(found) <= bounds).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("normalization", ["after", "symmetric"])
@pytest.mark.parametrize("case", ["both", "wide"])
@pytest.mark.parametrize("size", SIZES)
def test_the_same_as_pydensecrf(rng, engine, normalization, case, size):
    image, logits = synthetic(rng, *size)
    for iterations in (1, 10):
        settings = {"iterations": iterations, "normalization": normalization}
        wanted = pydensecrf(image, logits, case, **settings)
        got = run(engine, image, logits, case, **settings)
        np.testing.assert_allclose(got, wanted, atol=1e-4 if iterations == 1 else 1e-3)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_as_pydensecrf_on_a_photograph(rng, shared, engine):
    image = photograph(shared, "2007_009331.jpg")
    logits = segmented(rng, image, labels=21)
    wanted = pydensecrf(image, logits, "both", iterations=1)
    got = run(engine, image, logits, "both", iterations=1)
    np.testing.assert_allclose(got, wanted, atol=1e-3)
    wanted = pydensecrf(image, logits, "both", iterations=10)
    got = run(engine, image, logits, "both", iterations=10)
    assert (got.argmax(-1) == wanted.argmax(-1)).mean() >= 0.999


@without("numba")
@pytest.mark.parametrize("labels", [1, 2, 8, 21])
@pytest.mark.parametrize("size", SIZES)
def test_engines_agree(rng, labels, size):
    image, logits = synthetic(rng, *size, labels=labels)
    for iterations in (0, 1, 10):
        ours, other = (
            run(engine, image, logits, "both", iterations=iterations)
            for engine in ("tensorflow", "numba")
        )
        assert ours.dtype == other.dtype == np.float32
        assert ours.shape == other.shape == logits.shape
        np.testing.assert_allclose(ours, other, atol=1e-5 * 10 ** (iterations > 1))


@pytest.mark.parametrize("engine", ENGINES)
def test_without_weights_or_iterations_it_is_the_softmax(rng, engine):
    image, logits = synthetic(rng, 9, 14)
    dense = engines.ENGINES[engine]()(
        image, sigma_alpha=67, sigma_beta=3, sigma_gamma=3, normalization="after"
    )
    for settings in ({"w1": 0, "w2": 0, "iterations": 10}, {"w1": 4, "w2": 3}):
        got = dense.mean_field(logits, **({"iterations": 0} | settings))
        np.testing.assert_allclose(got, softmax(logits), atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_crf_serves_other_weights(rng, engine):
    image, logits = synthetic(rng, 12, 14)
    dense = engines.ENGINES[engine]()(
        image, sigma_alpha=67, sigma_beta=3, sigma_gamma=3, normalization="after"
    )
    dense.mean_field(logits, w1=9, w2=1, iterations=3)
    again = dense.mean_field(logits, w1=4, w2=3, iterations=10)
    fresh = run(engine, image, logits, "both", iterations=10)
    np.testing.assert_array_equal(again, fresh)


@pytest.mark.parametrize("engine", ENGINES)
def test_saturated_logits_stay_probabilities(engine):
    logits = np.zeros((6, 6, 3), np.float32)
    logits[..., 0], logits[..., 2] = 1e4, -1e4
    image = np.full((6, 6, 3), 255, np.uint8)
    got = run(engine, image, logits, "both", iterations=10)
    np.testing.assert_allclose(got, np.tile([1.0, 0, 0], (6, 6, 1)), atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ((67, 1e-3, 3), "sigma_alpha=67, sigma_beta=0.001: too small for .* 9 x 14"),
        ((67, 3, 1e-8), "sigma_gamma=1e-08: too small for an image of 9 x 14 pixels"),
    ],
)
def test_too_small_a_deviation_is_refused(engine, sigmas, message):
    names = ("sigma_alpha", "sigma_beta", "sigma_gamma")
    image = np.zeros((9, 14, 3), np.uint8)
    with pytest.raises(InputError, match=message):
        engines.ENGINES[engine]()(
            image, **dict(zip(names, sigmas, strict=True)), normalization="after"
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_two_threads_at_once_find_the_same(rng, engine):
    image, logits = synthetic(rng, 30, 40)
    wanted = run(engine, image, logits, "both", iterations=10)
    found = {}

    def task(name):
        found[name] = run(engine, image, logits, "both", iterations=10)

    threads = [threading.Thread(target=task, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for got in found.values():
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_without_numba_its_engine_says_what_to_install(monkeypatch):
    for name in ("numba_engine", "numba_loops"):
        monkeypatch.delitem(sys.modules, f"{crf.__name__}.{name}", raising=False)
        monkeypatch.delattr(crf, name, raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r"pip install 'deeplab-tf\[fast\]'"):
        engines.ENGINES["numba"]()
