"""Batch norm in the weights of convolutions gives what it gave behind them."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.exporting import fold_batch_norm, inference_graph


def variable(values):
    return tf.Variable(np.asarray(values, np.float32))


def statistics(rng, channels):
    """Gamma, beta, mean, variance."""
    gamma, beta, mean = rng.normal(size=(3, channels))
    return [*map(variable, (gamma, beta, mean, rng.uniform(0.1, 3, channels)))]


def normalize(x, numbers):
    gamma, beta, mean, variance = numbers
    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=gamma,
        offset=beta,
        mean=mean,
        variance=variance,
        epsilon=1e-3,
        is_training=False,
    )[0]


def by_hand(x, numbers):
    gamma, beta, mean, variance = (np.float64(each.numpy()) for each in numbers)
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def operations(function):
    return Counter(node.op for node in function.graph.as_graph_def().node)


def trace(function):
    signature = tf.TensorSpec((None, None, None, 4), tf.float32)
    return tf.function(function).get_concrete_function(signature)


def fold(traced):
    network = fold_batch_norm.fold(inference_graph.split(traced))
    return network, inference_graph.freeze(network)


@pytest.fixture
def images(rng):
    return tf.constant(rng.normal(size=(2, 11, 13, 4)).astype(np.float32))


def convolve(x, weights, rate=1):
    return tf.nn.conv2d(x, weights, 1, "SAME", dilations=rate)


def depthwise(x, weights, rate=1):
    return tf.nn.depthwise_conv2d(x, weights, [1] * 4, "SAME", dilations=[rate, rate])


@pytest.mark.parametrize("rate", [1, 2])
@pytest.mark.parametrize(
    ("convolution", "shape"), [(convolve, (3, 3, 4, 6)), (depthwise, (3, 3, 4, 2))]
)
def test_it_becomes_weights_and_a_bias(rng, images, convolution, shape, rate):
    channels = shape[3] if convolution is convolve else shape[2] * shape[3]
    numbers = statistics(rng, channels)
    kernel = variable(rng.normal(size=shape))
    traced = trace(lambda x: normalize(convolution(x, kernel, rate), numbers))
    network, folded = fold(traced)
    assert len(network.weights) == 2
    assert operations(folded)["FusedBatchNormV3"] == 0
    assert operations(folded)["BiasAdd"] == 1
    expected = by_hand(convolution(images, kernel, rate).numpy(), numbers)
    (actual,) = folded(images)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_weights_that_several_convolutions_share_are_folded_once(rng, images):
    numbers, kernel = statistics(rng, 6), variable(rng.normal(size=(1, 1, 4, 6)))

    def views(x):
        return [
            normalize(convolve(each, kernel), numbers) for each in (x, x[:, :, ::-1])
        ]

    frozen = trace(views)
    network, folded = fold(frozen)
    kernels = [each for each in network.weights.values() if each.ndim == 4]
    assert len(kernels) == 1
    for actual, expected in zip(folded(images), frozen(images), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_what_something_else_reads_too_stays(rng, images):
    numbers = statistics(rng, 6)
    kernel = variable(rng.normal(size=(3, 3, 4, 6)))

    def both(x):
        x = convolve(x, kernel)
        return normalize(x, numbers), x

    frozen = trace(both)
    _, folded = fold(frozen)
    assert operations(folded)["FusedBatchNormV3"] == 1
    for actual, expected in zip(folded(images), frozen(images), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_behind_something_else_than_a_convolution_it_stays(rng, images):
    numbers = statistics(rng, 4)
    _, folded = fold(trace(lambda x: normalize(tf.nn.relu(x), numbers)))
    assert operations(folded)["FusedBatchNormV3"] == 1
    expected = by_hand(np.maximum(images, 0), numbers)
    np.testing.assert_allclose(folded(images)[0], expected, rtol=1e-4, atol=1e-4)
