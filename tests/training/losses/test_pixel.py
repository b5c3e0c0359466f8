"""Smoothed and focal losses: by hand, in NumPy, and by differences."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import LossConfig
from deeplab_tf.training.losses import pixel
from deeplab_tf.training.losses.pixel import Pixels


def drawn(rng, classes=4):
    logits = rng.normal(size=(2, 6, classes)) * 3
    label = rng.integers(0, classes, (2, 6)).astype(np.int32)
    kept = (rng.random((2, 6)) < 0.7).astype(np.float32)
    return logits, label, kept


def pixels(logits, label, kept):
    logits = tf.cast(logits, tf.float32)
    return Pixels(logits=logits, label=tf.constant(label), kept=tf.constant(kept))


def probabilities(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_smoothing_spreads_its_share_over_all_classes(rng):
    logits, label, kept = drawn(rng)
    config = LossConfig(label_smoothing=0.2, label_weights=(1.0, 2.0, 3.0, 4.0))
    wanted = 0.8 * np.eye(4)[label] + 0.2 / 4
    expected = -(wanted * np.log(probabilities(logits))).sum(axis=-1)
    expected *= kept * (1.0 + label)
    found = pixel.cross_entropy(pixels(logits, label, kept), config)
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-5)


def test_smoothed_labels_by_hand():
    """p = 3/4, 1/4; q = 0.9, 0.1."""
    scores = pixels(np.log([[[3.0, 1.0]]]), np.int32([[0]]), np.float32([[1]]))
    found = pixel.cross_entropy(scores, LossConfig(label_smoothing=0.2))
    assert float(found[0]) == pytest.approx(0.9 * 0.2876821 + 0.1 * 1.3862944, rel=1e-5)


@pytest.mark.parametrize(
    ("probability", "expected"),
    # Lin et al. 2017, section 3.2: at gamma 2, p = 0.9 has 100 times less loss.
    [(0.9, 0.1053605 / 100), (0.5, 0.6931472 / 4), (0.25, 1.3862944 * 0.5625)],
)
def test_focal_loss_neglects_what_is_easy(probability, expected):
    logits = np.log([[[probability, 1 - probability]]])
    scores = pixels(logits, np.int32([[0]]), np.float32([[1]]))
    (found,) = pixel.focal(scores, LossConfig())
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_loss_and_its_slope(rng, gamma):
    logits, label, kept = drawn(rng)
    config = LossConfig(focal_gamma=gamma, label_weights=(1.0, 2.0, 3.0, 4.0))

    def loss(logits):
        right = np.take_along_axis(probabilities(logits), label[..., None], -1)[..., 0]
        return (-((1 - right) ** gamma) * np.log(right) * kept * (1.0 + label)).ravel()

    scores = pixels(logits, label, kept)
    with tf.GradientTape() as tape:
        tape.watch(scores.logits)
        found = pixel.focal(scores, config)
    np.testing.assert_allclose(found, loss(logits), rtol=1e-5, atol=1e-7)
    gradient = tape.gradient(found, scores.logits)
    expected = differences(lambda x: loss(x).sum(), logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_focal_loss_without_gamma_is_the_cross_entropy(rng):
    scores, config = pixels(*drawn(rng)), LossConfig(focal_gamma=0.0)
    expected = pixel.cross_entropy(scores, config)
    np.testing.assert_array_equal(pixel.focal(scores, config), expected)


def differences(function, at, step=1e-6):
    """Slopes of a function, by central differences, float64."""
    slopes = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        there = np.zeros_like(at)
        there[index] = step
        slopes[index] = (function(at + there) - function(at - there)) / (2 * step)
    return slopes
