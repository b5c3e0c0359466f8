"""Frozen batch norm that is folded into convolutions: nothing but the speed changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from deeplab_tf.models.build import build
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.layers.folded_batch_norm import (
    FoldedConv,
    fold_frozen_batch_norm,
)
from deeplab_tf.models.mixed_precision import dtype_policy
from deeplab_tf.models.weight_names import layers_of
from deeplab_tf.training import remat
from deeplab_tf.training.step import stateless_dropout
from tests.models.families import FAMILIES, cut_short

SIDE = 33


def network(config, **settings):
    """With frozen batch norm, of statistics as training leaves them."""
    keras.utils.set_random_seed(1)
    with cut_short():
        model = build(
            config,
            3,
            input_size=(SIDE, SIDE),
            frozen_batch_norm=True,
            training_form=True,
            **settings,
        )
    shuffle_statistics(model)
    return model


def shuffle_statistics(model):
    rng = np.random.default_rng(2)
    for norm in norms(model):
        shape = norm.gamma.shape
        norm.gamma.assign(rng.uniform(0.5, 1.5, shape))
        norm.beta.assign(rng.normal(0, 0.1, shape))
        norm.moving_mean.assign(rng.normal(0, 0.1, shape))
        norm.moving_variance.assign(rng.uniform(0.5, 2, shape))


def norms(model):
    return [each for each in layers_of(model) if isinstance(each, FrozenableBatchNorm)]


def kernels_of_batch_norm(call, images):
    """How many there are in the graph of a step, forward and backward."""
    graph = tf.function(lambda: call(images, training=True), autograph=False)
    nodes = graph.get_concrete_function().graph.as_graph_def().node
    return sum("BatchNorm" in node.op for node in nodes)


def differentiate(call, weights, images):
    noise = stateless_dropout(tf.range(len(images), dtype=tf.int64), seed=0)
    with noise, tf.GradientTape() as tape:
        outputs = tf.nest.flatten(call(images, training=True))
        cost = tf.add_n([tf.reduce_mean(tf.cast(x, "float32") ** 2) for x in outputs])
    return outputs, tape.gradient(cost, [each.value for each in weights])


def assert_equal(call, other, weights, images, tolerance=1e-4):
    """By the norm of each array; gradients that should be 0 are rounding."""
    arrays = tf.nest.flatten(differentiate(call, weights, images))
    others = tf.nest.flatten(differentiate(other, weights, images))
    largest = max(float(tf.norm(each)) for each in arrays)
    for one, two in zip(arrays, others, strict=True):
        assert tf.norm(one - two) <= tolerance * tf.norm(one) + 1e-7 * largest


def small_network():
    """Convolutions of both kinds, one with a bias, of a stride and of a rate."""
    keras.utils.set_random_seed(1)
    images = keras.Input((9, 9, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(images)
    x = layers.ReLU()(FrozenableBatchNorm(frozen=True)(x))
    x = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(FrozenableBatchNorm(frozen=True)(x))
    x = layers.Conv2D(4, 1, bias_initializer="ones")(x)
    model = keras.Model(images, FrozenableBatchNorm(frozen=True)(x))
    shuffle_statistics(model)
    return model


@pytest.fixture
def images(rng):
    return rng.uniform(0, 255, (2, SIDE, SIDE, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2, deeplab_v3plus",
        *(
            pytest.param(name, marks=pytest.mark.nightly)
            for name in FAMILIES
            if name != "mobilenet_v2, deeplab_v3plus"
        ),
    ],
)
def test_outputs_and_gradients_are_those_of_the_network(name, images):
    model = network(FAMILIES[name])
    folded = fold_frozen_batch_norm(model)
    weights = model.trainable_variables
    if not norms(model):
        assert folded is model
        return
    assert {id(each) for each in folded.trainable_variables} == {
        id(each) for each in weights
    }
    assert kernels_of_batch_norm(folded, images) == 0
    assert_equal(model, folded, weights, images)


def test_a_batch_norm_without_a_convolution_of_its_own_stays(rng):
    """Its features are read by others, too, have an activation, or two a channel."""
    images = keras.Input((9, 9, 3))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")(images)
    x = FrozenableBatchNorm(frozen=True, name="of_shared")(shared)
    x = layers.Conv2D(4, 3, activation="relu", name="active")(layers.Add()([x, shared]))
    x = FrozenableBatchNorm(frozen=True, name="of_active")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="doubled")(x)
    x = FrozenableBatchNorm(frozen=True, name="of_doubled")(x)
    x = layers.Conv2D(4, 1, name="learning")(x)
    x = FrozenableBatchNorm(name="of_learning")(x)
    x = layers.Conv2D(4, 1, bias_initializer="ones", name="folded")(x)
    x = FrozenableBatchNorm(frozen=True, name="of_folded")(x)
    model = keras.Model(images, x)
    shuffle_statistics(model)
    folded = fold_frozen_batch_norm(model)
    kept = {layer.name for layer in folded.layers if "of_" in layer.name}
    assert kept == {"of_shared", "of_active", "of_doubled", "of_learning"}
    assert [x.name for x in folded.layers if isinstance(x, FoldedConv)] == [
        "folded.folded"
    ]
    values = rng.normal(size=(2, 9, 9, 3)).astype(np.float32)
    assert_equal(model, folded, model.trainable_variables, values)
    # The one that learns has its kernel; the others need none.
    assert kernels_of_batch_norm(folded, values) == 1


def test_networks_within_a_network_are_folded(rng):
    inner, images = small_network(), keras.Input((9, 9, 3))
    model = keras.Model(images, [inner(images), inner(layers.ReLU()(images))])
    folded = fold_frozen_batch_norm(model)
    values = rng.normal(size=(2, 9, 9, 3)).astype(np.float32)
    assert kernels_of_batch_norm(folded, values) == 0
    assert [x for x in layers_of(folded) if isinstance(x, FoldedConv)]
    assert_equal(model, folded, model.trainable_variables, values)


def test_what_is_folded_is_computed_again(rng):
    model = small_network()
    folded = remat.rematerialize(fold_frozen_batch_norm(model))
    values = rng.normal(size=(2, 9, 9, 3)).astype(np.float32)
    assert_equal(model, folded, model.trainable_variables, values)


def test_half_precision_stays_half(rng):
    with dtype_policy("mixed_bfloat16"):
        folded = fold_frozen_batch_norm(small_network())
    values = rng.normal(size=(2, 9, 9, 3)).astype(np.float32)
    graph = tf.function(lambda: folded(values, training=True), autograph=False)
    nodes = graph.get_concrete_function().graph.as_graph_def().node
    convs = ("Conv2D", "DepthwiseConv2dNative")
    kinds = [node.attr["T"].type for node in nodes if node.op in convs]
    assert kinds == [tf.bfloat16.as_datatype_enum] * 3
    exact = small_network()(values, training=True)
    half = tf.cast(folded(values, training=True), tf.float32)
    assert tf.norm(half - exact) < 0.02 * tf.norm(exact)
