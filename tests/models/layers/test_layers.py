"""The layers that Keras lacks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from deeplab_tf import resize
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.layers.blocks import Style, conv
from deeplab_tf.models.layers.resize import ResizeLike


def bilinear_by_hand(image, height, width):
    """Corner-aligned interpolation of `[H, W, C]` in NumPy."""
    out = np.zeros((height, width, image.shape[2]))
    for i in range(height):
        for j in range(width):
            y = i * (image.shape[0] - 1) / max(height - 1, 1)
            x = j * (image.shape[1] - 1) / max(width - 1, 1)
            top, left = int(y), int(x)
            below = min(top + 1, image.shape[0] - 1)
            right = min(left + 1, image.shape[1] - 1)
            dy, dx = y - top, x - left
            upper = image[top, left] * (1 - dx) + image[top, right] * dx
            lower = image[below, left] * (1 - dx) + image[below, right] * dx
            out[i, j] = upper * (1 - dy) + lower * dy
    return out


@pytest.mark.parametrize("size", [(9, 13), (2, 3), (5, 7), (1, 1), (17, 4)])
def test_resizing_aligns_the_corners(rng, size):
    image = rng.normal(size=(5, 7, 2)).astype(np.float32)
    like = np.zeros((1, *size, 3), np.float32)
    got = ResizeLike()([image[np.newaxis], like])[0]
    np.testing.assert_allclose(got, bilinear_by_hand(image, *size), atol=1e-6)


def test_resizing_keeps_the_type_of_the_features():
    x = tf.zeros((1, 3, 3, 2), tf.bfloat16)
    assert resize.bilinear(x, (5, 5)).dtype == tf.bfloat16


@pytest.mark.parametrize(
    ("length", "scale", "scaled"),
    [(513, 1 / 16, 33), (513, 0.5, 257), (321, 1.75, 561), (128, 1 / 16, 8), (1, 2, 1)],
)
def test_sides_scale_with_aligned_corners(length, scale, scaled):
    assert resize.scale_length(length, scale) == scaled
    assert resize.scale_length(tf.constant(length), scale).numpy() == scaled


def test_batch_norm_normalizes_by_the_batch_and_moves_towards_its_unbiased_variance(
    rng,
):
    x = rng.normal(3, 2, (2, 3, 2, 4)).astype(np.float32)
    layer = FrozenableBatchNorm(momentum=0.9, epsilon=1e-3)
    y = layer(x, training=True)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    expected = (x - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, atol=1e-6)
    unbiased = x.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * unbiased, atol=1e-6)


def test_frozen_batch_norm_keeps_its_statistics_and_learns_scale_and_offset(rng):
    x = rng.normal(3, 2, (2, 3, 2, 4)).astype(np.float32)
    inputs = keras.Input((3, 2, 4))
    layer = FrozenableBatchNorm(frozen=True)
    model = keras.Model(inputs, layer(inputs))
    layer.moving_mean.assign([1.0, 2.0, 3.0, 4.0])
    with tf.GradientTape() as tape:
        y = model(x, training=True)
        cost = tf.reduce_sum(y * y)
    np.testing.assert_allclose(y, model(x, training=False), atol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, [1.0, 2.0, 3.0, 4.0])
    gradients = tape.gradient(cost, [w.value for w in model.trainable_variables])
    assert len(gradients) == 2
    assert all(np.abs(g).min() > 0 for g in gradients)


def test_batch_norm_over_replicas_is_that_of_the_whole_batch(rng, two_devices):
    x = rng.normal(3, 2, (4, 3, 2, 5)).astype(np.float32)
    whole = FrozenableBatchNorm(momentum=0.9)
    expected = whole(x, training=True)
    strategy = two_devices
    with strategy.scope():
        shared = FrozenableBatchNorm(momentum=0.9, replicas=2)
        shared.build(x.shape)
    halves = tf.data.Dataset.from_tensor_slices(x).batch(4)
    (batch,) = strategy.experimental_distribute_dataset(halves)
    step = tf.function(lambda part: shared(part, training=True))
    parts = strategy.experimental_local_results(strategy.run(step, (batch,)))
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)
    for name in ("moving_mean", "moving_variance"):
        got, wanted = getattr(shared, name).numpy(), getattr(whole, name).numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("size", [8, 9])
def test_fixed_padding_is_that_of_the_kernel_whatever_the_size(rng, size):
    x = rng.normal(size=(1, size, size, 2)).astype(np.float32)
    inputs = keras.Input((size, size, 2))
    style, at = Style(padding="fixed"), StrideRate(2, 1)
    y = conv(inputs, 3, 3, style=style, name="a", at=at, activation=False)
    model = keras.Model(inputs, y)
    dense = layers.Conv2D(3, 3, padding="same", use_bias=False)
    dense.build(x.shape)
    dense.kernel.assign(model.get_layer("a").kernel)
    norm = model.get_layer("a.BatchNorm")
    np.testing.assert_allclose(model(x), norm(dense(x))[:, ::2, ::2], atol=1e-5)
