"""RefineNet: the steps of a block, sizes, and what stays."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import refinenet
from deeplab_tf.models.layers.blocks import Style
from deeplab_tf.models.layers.initializers import normal
from deeplab_tf.models.weight_names import weights_by_name
from tests.recorded import assign_rule_weights

NARROW = ModelConfig(
    architecture="refinenet", model_variant="resnet_50", depth_multiplier=1 / 16
)
STYLE = Style(kernel=normal(0.5))


@functools.cache  # Tests read it and do not change it.
def network():
    """The narrow one of 3 classes with the rule's weights."""
    model = build(NARROW, 3)
    assign_rule_weights(model, 1.3)
    return model


def applied(step, channels=4):
    """A step of a block as a model of its own, on maps of any size."""
    inputs = keras.Input((None, None, channels))
    return keras.Model(inputs, step(inputs, STYLE, "step"))


def zeroed(model, *names):
    for name in names:
        for weight in model.get_layer(name).weights:
            weight.assign(tf.zeros_like(weight))


@pytest.mark.parametrize(
    ("size", "cells"), [(512, 128), (513, 129), (400, 100), (33, 9), (1, 1)]
)
def test_logits_are_at_a_quarter_of_any_size(size, cells):
    shape = network().compute_output_shape((1, size, size, 3))
    assert shape == (1, cells, cells, 3)


@pytest.mark.parametrize("size", [(70, 45), (31, 64)])
def test_images_of_any_shape_pass(size):
    logits = network()(np.zeros((1, *size, 3), np.float32))
    assert logits.shape == (1, -(-size[0] // 4), -(-size[1] // 4), 3)


def test_a_residual_unit_whose_second_convolution_is_zero_changes_nothing(rng):
    model, x = applied(refinenet.residual_unit), rng.normal(size=(1, 7, 6, 4))
    assert np.abs(model(x) - x).max() > 0.1
    zeroed(model, "step.conv2")
    np.testing.assert_array_equal(model(x), x.astype(np.float32))


def test_a_residual_unit_has_one_bias():
    model = applied(refinenet.residual_unit)
    assert model.count_params() == 2 * 9 * 4 * 4 + 4


def test_chained_pooling_of_zero_convolutions_is_a_relu(rng):
    model, x = applied(refinenet.chained_pooling), rng.normal(size=(1, 7, 6, 4))
    zeroed(model, *(f"step.conv{i}" for i in (1, 2, 3, 4)))
    np.testing.assert_array_equal(model(x), np.maximum(x, 0).astype(np.float32))


def pooled_by_hand(x):
    """Maxima over 5x5, nothing being less than what lies outside."""
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (1, 2))
    return windows.max((-1, -2))


def test_chained_pooling_pools_then_convolves_what_it_has_found(rng):
    """With the center weight alone, a convolution is a matrix of channels."""
    model, x = applied(refinenet.chained_pooling), rng.normal(size=(1, 9, 8, 4))
    total = y = np.maximum(x, 0)
    for i in (1, 2, 3, 4):
        matrix = rng.normal(size=(4, 4)) / 2
        kernel = np.zeros((3, 3, 4, 4))
        kernel[1, 1] = matrix
        model.get_layer(f"step.conv{i}").kernel.assign(kernel)
        y = pooled_by_hand(y) @ matrix
        total = total + y
    np.testing.assert_allclose(model(x), total, atol=1e-4)


def test_pooling_keeps_size_and_constants():
    model = applied(refinenet.chained_pooling, channels=1)
    pool = keras.Model(model.input, model.get_layer("step.pool1").output)
    constant = np.full((1, 4, 6, 1), 3.0, np.float32)
    np.testing.assert_array_equal(pool(constant), constant)


def test_a_block_adds_the_coarser_one_at_its_own_size(rng):
    model, size = network(), (65, 97)
    names = [f"refine.c4.{part}" for part in ("fuse_fine", "resize", "fuse")]
    parts = keras.Model(model.input, [model.get_layer(name).output for name in names])
    fine, coarse, both = parts(rng.uniform(0, 255, (1, *size, 3)).astype(np.float32))
    assert fine.shape == coarse.shape == (1, 5, 7, 16)
    np.testing.assert_allclose(both, fine + coarse, atol=1e-5)


def test_a_residual_unit_of_each_kind_is_there_as_often_as_released():
    names = [layer.name for layer in network().layers]
    for level in ("c2", "c3", "c4", "c5"):
        own = {name.split(".")[2] for name in names if f"refine.{level}." in name}
        units = {name for name in own if name.startswith(("input", "output"))}
        assert units == {"input_1", "input_2", "output_1", "output_2", "output_3"}
    dropped = [name for name in names if name.endswith("dropout")]
    assert dropped == ["refine.c5.dropout", "refine.c4.dropout", "refine.dropout"]


def test_adapters_of_the_finest_block_have_the_published_size():
    """At full width, 3x3 from 256 to 256 without bias: 589,824."""
    images = keras.Input((None, None, 256))
    y = refinenet.refine(images, None, 256, STYLE, "refine.c2")
    adapter = keras.Model(images, y).get_layer("refine.c2.adapt")
    assert adapter.count_params() == 589_824


def test_the_trunk_keeps_its_batch_norm_and_all_else_learns(rng):
    model = network()
    weights = weights_by_name(model)
    fixed = {name for name, weight in weights.items() if not weight.trainable}
    assert fixed == {name for name in weights if "/BatchNorm/" in name}
    before = {name: weights[name].numpy() for name in fixed}
    model(rng.uniform(0, 255, (2, 65, 65, 3)).astype(np.float32), training=True)
    for name in fixed:
        np.testing.assert_array_equal(weights[name], before[name])
