"""SegNet and SegNet-Basic: pooling indices, unpooling, sizes and counts."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.build import build
from deeplab_tf.models.layers.unpooling import (
    LocalResponseNorm,
    PoolWithIndices,
    Unpool,
)
from deeplab_tf.models.weight_names import layers_of
from tests.recorded import assert_all_learn

SMALL = {
    name: ModelConfig(architecture=name, depth_multiplier=1 / 16)
    for name in ("segnet", "segnet_basic")
}
each = pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)


def pooled(x):
    """Maxima and indices, pixel by pixel."""
    rows, columns = (x.shape[1] + 1) // 2, (x.shape[2] + 1) // 2
    best = np.zeros((x.shape[0], rows, columns, x.shape[3]), x.dtype)
    index = np.zeros(best.shape, np.uint8)
    for n, i, j, c in np.ndindex(best.shape):
        found = {
            2 * di + dj: x[n, 2 * i + di, 2 * j + dj, c]
            for di in range(2)
            for dj in range(2)
            if 2 * i + di < x.shape[1] and 2 * j + dj < x.shape[2]
        }
        index[n, i, j, c] = max(found, key=lambda place: (found[place], -place))
        best[n, i, j, c] = found[index[n, i, j, c]]
    return best, index


def unpooled(best, index, shape):
    """Values at their indices among zeros."""
    out = np.zeros(shape, best.dtype)
    for n, i, j, c in np.ndindex(best.shape):
        di, dj = divmod(int(index[n, i, j, c]), 2)
        out[n, 2 * i + di, 2 * j + dj, c] = best[n, i, j, c]
    return out


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1), (1, 4)])
def test_pooling_tells_where_the_first_maximum_was(size, rng):
    # Few different values, so that windows have ties, and all negative.
    x = -rng.integers(1, 4, (2, *size, 3)).astype(np.float32)
    best, index = PoolWithIndices()(x)
    wanted = pooled(x)
    np.testing.assert_array_equal(best, wanted[0])
    np.testing.assert_array_equal(index, wanted[1])


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1), (1, 4)])
def test_unpooling_puts_one_value_into_each_window(size, rng):
    x = rng.uniform(1, 2, (2, *size, 3)).astype(np.float32)
    best, index = PoolWithIndices()(x)
    found = Unpool()([best, index, x]).numpy()
    np.testing.assert_array_equal(found, unpooled(*pooled(x), x.shape))
    assert np.count_nonzero(found) == best.numpy().size
    np.testing.assert_array_equal(PoolWithIndices()(found)[0], best)


def test_gradients_flow_through_the_maxima_alone(rng):
    x = tf.constant(rng.integers(0, 2, (1, 5, 7, 2)).astype(np.float32))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        best, index = PoolWithIndices()(x)
        tape.watch(best)
        factors = rng.normal(size=best.shape).astype(np.float32)
        cost = tf.reduce_sum(best * factors)
        spread = rng.normal(size=x.shape).astype(np.float32)
        dense = tf.reduce_sum(Unpool()([best, index, x]) * spread)
    _, places = pooled(x.numpy())
    wanted = unpooled(factors, places, x.shape)
    np.testing.assert_array_equal(tape.gradient(cost, x), wanted)
    wanted = [spread[0, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] for i, j in _cells(best)]
    wanted = [
        [window[(*divmod(int(k), 2), c)] for c, k in enumerate(places[0, i, j])]
        for window, (i, j) in zip(wanted, _cells(best), strict=True)
    ]
    found = np.reshape(tape.gradient(dense, best), (-1, 2))
    np.testing.assert_array_equal(found, wanted)


def _cells(best):
    return list(np.ndindex(*best.shape[1:3]))


@pytest.mark.parametrize("channels", [3, 8])
def test_local_response_norm_is_that_of_caffe(channels, rng):
    x = rng.uniform(0, 255, (1, 3, 4, channels)).astype(np.float32)
    wanted = tf.nn.local_response_normalization(
        x, depth_radius=2, bias=1.0, alpha=2e-5, beta=0.75
    )
    np.testing.assert_allclose(LocalResponseNorm()(x), wanted, rtol=1e-5)


@each
def test_logits_have_the_size_of_the_image(config):
    assert config.logits_stride == 1
    model = build(config, 5)
    for size in ((36, 44), (37, 51), (1, 1), (2, 17)):
        logits = model(np.zeros((2, *size, 3), np.float32))
        assert logits.shape == (2, *size, 5)


@each
def test_every_weight_learns(config, rng):
    # By moving statistics: those of the batch would cancel the biases before them.
    model = build(config, 3, frozen_batch_norm=True)
    images = rng.uniform(0, 255, (2, 37, 51, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        cost = tf.reduce_sum(model(images, training=True) ** 2)
    assert_all_learn(model, tape, cost)


@each
def test_batch_norm_starts_and_moves_as_released(config):
    norms = [
        layer
        for layer in layers_of(build(config, 3))
        if layer.name.endswith("BatchNorm")
    ]
    assert len(norms) == {"segnet": 25, "segnet_basic": 8}[config.architecture]
    assert {layer.momentum for layer in norms} == {0.95}
    for layer in norms:
        np.testing.assert_array_equal(layer.beta, np.float32(0.001))
        np.testing.assert_array_equal(layer.gamma, 1.0)


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("segnet_basic", 21, 1417237),
        ("segnet_basic", 11, 1416587),
        pytest.param("segnet", 21, 29455125, marks=pytest.mark.slow),
        pytest.param("segnet", 11, 29449355, marks=pytest.mark.slow),
    ],
)
def test_networks_have_the_published_counts(name, classes, count):
    model = build(ModelConfig(architecture=name), classes)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == count


@pytest.mark.parametrize(
    ("name", "scope", "pools", "classifier"),
    [
        ("segnet", "vgg_16", 5, (3, 3)),
        ("segnet_basic", "segnet_basic", 4, (1, 1)),
    ],
)
def test_networks_have_the_published_sizes(name, scope, pools, classifier):
    model = build(SMALL[name], 11, input_size=(360, 480))
    sizes = [(180, 240), (90, 120), (45, 60), (23, 30), (12, 15)][:pools]
    for i, size in enumerate(sizes, start=1):
        best, index = model.get_layer(f"{scope}.pool{i}").output
        assert best.shape[1:3] == index.shape[1:3] == size
        places = model.get_layer(f"segnet.decode{i}.unpool")
        assert places.output.shape[1:3] == ((360, 480), *sizes)[i - 1]
    assert model.output.shape == (None, 360, 480, 11)
    assert model.get_layer("logits.classifier").kernel_size == classifier
