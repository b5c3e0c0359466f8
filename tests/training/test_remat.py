"""Activations that are computed twice: nothing else changes."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from deeplab_tf.models.build import build
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.layers.dropout import DropPath
from deeplab_tf.models.mixed_precision import dtype_policy
from deeplab_tf.training import remat, remat_cuts
from deeplab_tf.training.remat_cuts import NodeOutputs
from tests.models.families import FAMILIES, cut_short

SIDE = 33


def network(config):
    keras.utils.set_random_seed(1)
    with cut_short():
        return build(config, 3, input_size=(SIDE, SIDE), training_form=True)


def trained(model, call, images):
    """Loss, gradients, and the state after a step, dropout seeds among it."""
    variables = [v.value for v in model.trainable_variables]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            found = tf.nest.flatten(call(images, training=True))
            cost = tf.add_n([tf.reduce_mean(x**2) for x in found])
        return cost, tape.gradient(cost, variables)

    cost, gradients = step()
    return cost, gradients, [v.numpy() for v in model.non_trainable_variables]


def assert_equal(build_again, images):
    """A step of two networks that start alike, one of which computes twice."""
    plain, other = build_again(), build_again()
    expected = trained(plain, plain, images)
    found = trained(other, remat.rematerialize(other), images)
    assert float(found[0]) == pytest.approx(float(expected[0]), rel=1e-6)
    for got, wanted in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(got, wanted, atol=5e-6 * np.abs(wanted).max())
    for got, wanted in zip(found[2], expected[2], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2, deeplab_v3plus",
        pytest.param("resnet of Caffe, pspnet", marks=pytest.mark.nightly),
        pytest.param("vgg, segnet", marks=pytest.mark.nightly),
    ],
)
def test_a_step_is_the_same(name, rng):
    images = rng.uniform(0, 255, (2, SIDE, SIDE, 3)).astype(np.float32)
    assert_equal(lambda: network(FAMILIES[name]), images)


def random_network(images, replicas=1):
    """Layers that draw numbers, in the middle and near the end."""
    norm = functools.partial(FrozenableBatchNorm, momentum=0.9, replicas=replicas)
    x = layers.Conv2D(4, 3, padding="same")(images)
    x = DropPath(0.5, lambda: tf.constant(0.8))(x)
    x = layers.ReLU()(norm()(x))
    x = layers.Dropout(0.5)(layers.Conv2D(8, 3, strides=2)(x))
    x = layers.Conv2D(8, 3)(norm()(x))
    return keras.Model(images, layers.Dropout(0.2)(x))


def test_what_is_dropped_is_the_same_both_times(rng):
    def build_again():
        keras.utils.set_random_seed(1)
        return random_network(keras.Input((9, 9, 3)))

    images = rng.normal(size=(6, 9, 9, 3)).astype(np.float32)
    assert len(remat_cuts.segments(build_again())) > 2
    assert_equal(build_again, images)


def test_a_network_that_is_called_twice_is_cut_itself(rng):
    def build_again():
        keras.utils.set_random_seed(1)
        shared = random_network(keras.Input((9, 9, 3)))
        images = keras.Input((9, 9, 3))
        found = [shared(images), shared(layers.ReLU()(images))]
        return keras.Model(images, [*found, layers.Maximum()(found)])

    nested = [part.nested for part in remat_cuts.segments(build_again())]
    assert len([each for each in nested if each is not None]) == 2
    assert_equal(build_again, rng.normal(size=(6, 9, 9, 3)).astype(np.float32))


def test_half_precision_and_replicas_do_not_matter(rng, two_devices):
    images = rng.normal(size=(6, 9, 9, 3)).astype(np.float32)
    found = []
    for wrap in (lambda model: model, remat.rematerialize):
        keras.utils.set_random_seed(1)
        with two_devices.scope(), dtype_policy("mixed_bfloat16"):
            model = random_network(keras.Input((9, 9, 3)), replicas=2)
        call, weights = wrap(model), [v.value for v in model.trainable_variables]

        def step(call=call, weights=weights):
            with tf.GradientTape() as tape:
                cost = tf.reduce_mean(tf.cast(call(images, training=True), "float32"))
            return tape.gradient(cost, weights)

        run = tf.function(lambda step=step: two_devices.run(step))
        gradients = [two_devices.reduce("SUM", g, None) for g in run()]
        state = [v.numpy() for v in model.non_trainable_variables]
        found.append([*gradients, *state])
    for wanted, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6 * np.abs(wanted).max())


def chain(*sizes):
    """Nodes that each read the one before; the last is the output."""
    count = len(sizes)
    last = [(i + 1 if i < count - 1 else count,) for i in range(count)]
    return [NodeOutputs((size,), uses) for size, uses in zip(sizes, last, strict=True)]


def test_cuts_lie_where_little_is_kept():
    made = chain(8, 8, 1, 8, 8, 1, 8, 8, 1)
    assert remat_cuts.cheapest_cuts(made, 17) == [3, 6, 9]
    assert remat_cuts.memory_at_cuts(made, [3, 6, 9]) == (3, 17)
    assert remat_cuts.memory_at_cuts(made, [9]) == (1, 51)
    assert remat_cuts.best_cuts(made) == [3, 6, 9]


def test_what_is_read_farther_on_counts_once():
    # The first is read by the last, as an early feature by a decoder.
    made = [
        NodeOutputs((5,), (3,)),
        NodeOutputs((1,), (2,)),
        NodeOutputs((1,), (3,)),
        NodeOutputs((2,), (4,)),
    ]
    assert remat_cuts.memory_at_cuts(made, [1, 2, 3, 4]) == (5 + 1 + 1 + 2, 5)


def test_a_node_larger_than_the_limit_is_a_part_of_its_own():
    assert remat_cuts.cheapest_cuts(chain(1, 9, 1, 1), 2) == [1, 2, 4]


def test_only_what_is_between_parts_is_held_for_the_backward_pass(rng):
    """Forgotten tensors are not there when the gradient is computed."""
    calls = []

    def function(x, w, three):
        calls.append(len(calls))
        return [tf.sin(x * w), three]

    x, w, three = tf.constant([1.0, 2.0]), tf.constant([0.5, 0.25]), tf.constant(3)
    with tf.GradientTape() as tape:
        tape.watch([x, w])
        y, same = remat.recompute(function, [x, w, three])
        cost = tf.reduce_sum(y)
    assert int(same) == 3
    assert calls == [0]
    by_x, by_w = tape.gradient(cost, [x, w])
    assert calls == [0, 1]
    np.testing.assert_allclose(by_x, np.cos([0.5, 0.5]) * [0.5, 0.25], rtol=1e-6)
    np.testing.assert_allclose(by_w, np.cos([0.5, 0.5]) * [1.0, 2.0], rtol=1e-6)
