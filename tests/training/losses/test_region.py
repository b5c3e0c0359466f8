"""Dice and Lovasz losses: by hand, in NumPy, and by differences."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.training.losses import region
from tests.training.losses.test_pixel import differences, pixels, probabilities


def drawn(rng):
    """Two images; of the second, class 2 occurs in ignored pixels only."""
    logits = rng.normal(size=(2, 12, 4)) * 2
    label = rng.integers(0, 4, (2, 12)).astype(np.int32)
    kept = (rng.random((2, 12)) < 0.7).astype(np.float32)
    kept[1, label[1] == 2] = 0
    return logits, label, kept


def dice(logits, label, kept):
    """Of one image, class by class, of the pixels that count."""
    p, label = probabilities(logits)[kept > 0], label[kept > 0]
    found = []
    for c in np.unique(label):
        g = (label == c).astype(float)
        found.append(1 - 2 * (p[:, c] @ g) / (p[:, c] @ p[:, c] + g @ g))
    return np.mean(found)


def lovasz(logits, label, kept):
    """Of one image, as the paper's Algorithm 1: sort, and IoU of every prefix."""
    p, label = probabilities(logits)[kept > 0], label[kept > 0]
    found = []
    for c in np.unique(label):
        g = label == c
        errors = np.abs(g - p[:, c])
        order = np.argsort(-errors)
        jaccard = [0.0]
        for wrong in range(1, len(g) + 1):
            missed = np.isin(np.arange(len(g)), order[:wrong])
            jaccard.append(1 - (g & ~missed).sum() / (g | missed).sum())
        found.append(errors[order] @ np.diff(jaccard))
    return np.mean(found)


@pytest.mark.parametrize("rule", [dice, lovasz])
def test_losses_and_slopes_are_those_of_the_papers(rng, rule):
    logits, label, kept = drawn(rng)
    scores = pixels(logits, label, kept)
    with tf.GradientTape() as tape:
        tape.watch(scores.logits)
        found = region.LOSSES[rule.__name__](scores)
    for i in range(2):
        expected = rule(logits[i], label[i], kept[i])
        assert float(found[i]) == pytest.approx(expected, rel=1e-5)
    gradient = tape.gradient(found, scores.logits).numpy()
    for i in range(2):
        expected = differences(lambda x, i=i: rule(x, label[i], kept[i]), logits[i])
        np.testing.assert_allclose(gradient[i], expected, rtol=1e-3, atol=1e-6)


def test_losses_by_hand():
    """Two pixels of class 0 and 1, with p(0) = 0.8 and 0.4."""
    logits = np.log([[[0.8, 0.2], [0.4, 0.6]]])
    scores = pixels(logits, np.int32([[0, 1]]), np.float32([[1, 1]]))
    # 2 * 0.8 / (0.64 + 0.16 + 1) and 2 * 0.6 / (0.04 + 0.36 + 1).
    expected = 1 - (1.6 / 1.8 + 1.2 / 1.4) / 2
    assert float(region.dice(scores)[0]) == pytest.approx(expected, rel=1e-5)
    # Errors 0.2 and 0.4. Class 0: the pixel that is not of it first: union 2, IoU 1/2;
    # then none: 0.4 / 2 + 0.2 / 2. Class 1: the one that is of it first: IoU 0.
    expected = (0.3 + 0.4) / 2
    assert float(region.lovasz(scores)[0]) == pytest.approx(expected, rel=1e-5)


def test_of_hard_predictions_lovasz_is_one_minus_iou(rng):
    label = rng.integers(0, 3, (1, 40)).astype(np.int32)
    predicted = rng.integers(0, 3, 40)
    scores = pixels(100.0 * np.eye(3)[predicted][None], label, np.ones((1, 40), "f"))
    iou = [
        np.sum((label[0] == c) & (predicted == c))
        / np.sum((label[0] == c) | (predicted == c))
        for c in range(3)
    ]
    (found,) = region.lovasz(scores)
    assert float(found) == pytest.approx(1 - np.mean(iou), rel=1e-5)


@pytest.mark.parametrize("rule", region.LOSSES.values())
def test_ignored_pixels_are_as_if_cut_off(rng, rule):
    logits, label, _ = drawn(rng)
    kept = np.ones_like(label, np.float32)
    kept[:, 7:] = 0
    cut = pixels(logits[:, :7], label[:, :7], kept[:, :7])
    np.testing.assert_allclose(rule(pixels(logits, label, kept)), rule(cut), rtol=1e-6)


@pytest.mark.parametrize("rule", region.LOSSES.values())
def test_all_right_costs_nothing_and_all_wrong_one(rule):
    label = np.int32([[0, 1, 1], [0, 0, 0]])
    kept = np.ones((2, 3), np.float32)
    right = 100.0 * np.eye(2)[label]
    assert rule(pixels(right, label, kept)).numpy() == pytest.approx([0, 0], abs=1e-6)
    assert rule(pixels(-right, label, kept)).numpy() == pytest.approx([1, 1], abs=1e-6)
    np.testing.assert_array_equal(rule(pixels(right, label, 0 * kept)), [0, 0])


def test_the_loss_that_sorts_compiles_to_what_it_is(rng):
    """Its shapes are static: XLA takes it."""
    logits, label, kept = drawn(rng)
    compiled = tf.function(
        lambda logits: region.lovasz(pixels(logits, label, kept)),
        jit_compile=True,
    )
    expected = [lovasz(logits[i], label[i], kept[i]) for i in range(2)]
    np.testing.assert_allclose(compiled(tf.constant(logits)), expected, rtol=1e-5)
