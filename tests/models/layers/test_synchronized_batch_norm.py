"""Synchronized batch norm: that of the whole batch, whatever the number of replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm

MOMENTUM, EPSILON = 0.9, 1e-3
EXACT = {"float32": 2e-6, "bfloat16": 2e-2, "float16": 2e-3}


def brute_force(x, dy, gamma, beta):
    """Output, gradients by x, gamma and beta, mean and unbiased variance; float64."""
    x, dy, gamma, beta = (each.astype(np.float64) for each in (x, dy, gamma, beta))
    axes = (0, 1, 2)
    mean, deviation = x.mean(axes), np.sqrt(x.var(axes) + EPSILON)
    normalized = (x - mean) / deviation
    slopes = dy * gamma
    dx = slopes - slopes.mean(axes) - normalized * (slopes * normalized).mean(axes)
    return {
        "y": gamma * normalized + beta,
        "dx": dx / deviation,
        "dgamma": (dy * normalized).sum(axes),
        "dbeta": dy.sum(axes),
        "mean": mean,
        "variance": x.var(axes, ddof=1),
    }


def composed(layer, x):
    """As it was: of many ops, with an all-reduce for the mean and one for the variance.

    Their gradients were all-reduces, too.
    """
    context = tf.distribute.get_replica_context()
    values = ops.cast(x, "float32")
    mean, variance = ops.moments(values, (0, 1, 2))
    count = context.num_replicas_in_sync
    whole = context.all_reduce("SUM", mean) / count
    spread = variance + tf.square(mean - whole)
    variance = context.all_reduce("SUM", spread) / count
    y = ops.batch_normalization(
        values, whole, variance, -1, layer.beta, layer.gamma, layer.epsilon
    )
    pixels = tf.cast(tf.reduce_prod(tf.shape(x)[:3]) * count, tf.float32)
    unbiased = variance * pixels / (pixels - 1)
    for moving, new in ((layer.moving_mean, whole), (layer.moving_variance, unbiased)):
        moving.assign(moving * layer.momentum + new * (1.0 - layer.momentum))
    return ops.cast(y, x.dtype)


def on_two_devices(strategy, call, x, dy, gamma, beta, dtype="float32"):
    """The same of two halves of a batch."""
    policy = dtype if dtype == "float32" else f"mixed_{dtype}"
    with strategy.scope():
        layer = FrozenableBatchNorm(
            momentum=MOMENTUM, epsilon=EPSILON, replicas=2, dtype=policy
        )
        layer.build(x.shape)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    layer.moving_variance.assign(tf.zeros_like(gamma))

    def replica(x, dy):
        x, dy = tf.cast(x, dtype), tf.cast(dy, dtype)
        weights = [layer.gamma.value, layer.beta.value]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call(layer, x)
            # The step differentiates within the replica.
            with tape.stop_recording():
                slopes = tape.gradient(y, [x, *weights], output_gradients=dy)
        return y, *slopes

    halves = tf.data.Dataset.from_tensor_slices((x, dy)).batch(len(x))
    (batch,) = strategy.experimental_distribute_dataset(halves)
    y, dx, *sums = tf.function(lambda: strategy.run(replica, batch))()
    y, dx = (np.concatenate(strategy.experimental_local_results(v)) for v in (y, dx))
    dgamma, dbeta = (strategy.reduce("SUM", each, axis=None).numpy() for each in sums)
    return {
        "y": y,
        "dx": dx,
        "dgamma": dgamma,
        "dbeta": dbeta,
        "mean": layer.moving_mean.numpy() / (1 - MOMENTUM),
        "variance": layer.moving_variance.numpy() / (1 - MOMENTUM),
    }


def synchronized(layer, x):
    return layer(x, training=True)


def batch(rng, shape, scale=1.0):
    """The halves differ in mean and deviation; the mean is large beside the latter."""
    x = rng.normal(20, 2, shape).astype(np.float32)
    x[len(x) // 2 :] = 3 * x[len(x) // 2 :] + 5
    x *= np.float32(scale)
    dy = rng.normal(1, 1, shape).astype(np.float32)
    gamma, beta = rng.normal(1, 0.5, (2, shape[-1])).astype(np.float32)
    return x, dy, gamma, beta


def assert_close(got, wanted, exactness):
    for name, values in wanted.items():
        error = np.abs(got[name].astype(np.float64) - values).max()
        assert error <= exactness * np.abs(values).max(), name


@pytest.mark.parametrize(("size", "scale"), [((5, 3), 1.0), ((1, 1), 1e-3)])
def test_two_replicas_have_values_and_gradients_of_the_whole_batch(
    rng, two_devices, size, scale
):
    """Each of them has one value a channel where an image is pooled."""
    arrays = batch(rng, (2, *size, 4), scale)
    got = on_two_devices(two_devices, synchronized, *arrays)
    assert_close(got, brute_force(*arrays), 2e-5)
    assert_close(got, on_two_devices(two_devices, composed, *arrays), 2e-5)


def test_a_batch_whose_size_is_not_known_before_has_the_same_numbers(rng):
    x = rng.normal(size=(4, 3, 2, 5)).astype(np.float32)
    layer = FrozenableBatchNorm(momentum=MOMENTUM, epsilon=EPSILON, replicas=2)
    layer.build(x.shape)
    call = tf.function(lambda x: layer(x, training=True))
    of_any = call.get_concrete_function(tf.TensorSpec((None, None, None, 5)))
    np.testing.assert_allclose(of_any(x), call(tf.constant(x)), atol=1e-6)
    np.testing.assert_allclose(
        layer.moving_variance, 0.81 + 0.19 * x.var((0, 1, 2), ddof=1), rtol=1e-5
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_that_of_the_kernel(rng, two_devices, dtype):
    x, dy, gamma, beta = batch(rng, (4, 5, 3, 6))
    x, dy = (tf.cast(tf.cast(a, dtype), tf.float32).numpy() for a in (x, dy))
    got = on_two_devices(two_devices, synchronized, x, dy, gamma, beta, dtype)
    assert got["y"].dtype == got["dx"].dtype == dtype
    assert got["dgamma"].dtype == np.float32
    assert_close(got, brute_force(x, dy, gamma, beta), EXACT[dtype])


def test_an_all_reduce_each_way_is_all_that_replicas_say_to_each_other(two_devices):
    """Where there were two each way."""

    def collectives(call):
        with two_devices.scope():
            layer = FrozenableBatchNorm(replicas=2)
            layer.build((2, 4, 4, 3))

        def replica():
            x = tf.zeros((2, 4, 4, 3))
            with tf.GradientTape() as tape:
                tape.watch(x)
                cost = tf.reduce_sum(call(layer, x) ** 2)
                with tape.stop_recording():
                    return tape.gradient(cost, x)

        step = tf.function(lambda: two_devices.run(replica)).get_concrete_function()
        names = [op.type for op in step.graph.get_operations()]
        return sum(name.startswith("Collective") for name in names) / 2

    assert collectives(synchronized) == 2
    assert collectives(composed) == 4


def test_a_layer_of_several_replicas_reads_back(two_devices):
    layer = FrozenableBatchNorm(replicas=2, epsilon=1e-5)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert (again.replicas, again.epsilon, again.synchronized) == (2, 1e-5, True)
