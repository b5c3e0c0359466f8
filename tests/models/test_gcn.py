"""Large kernels, against the plain convolutions that they stand for."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import gcn
from deeplab_tf.models.layers.blocks import Style
from tests.recorded import assign_rule_weights

NARROW = ModelConfig(
    architecture="gcn", model_variant="resnet_50", depth_multiplier=1 / 16
)


@functools.cache  # Tests read it and do not change it.
def network():
    """The narrow one of 3 classes with the rule's weights."""
    model = build(NARROW, 3)
    assign_rule_weights(model, 1.3)
    return model


def global_conv(channels, filters, kernel_size):
    inputs = keras.Input((None, None, channels))
    outputs = gcn.global_conv(inputs, filters, kernel_size, Style(), "gcn")
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("kernel_size", [3, 7, 15])
@pytest.mark.parametrize("size", [(12, 20), (9, 9)])
def test_two_branches_are_one_large_convolution(rng, kernel_size, size):
    """Of the kernel that their four 1-D kernels compose, also at the border."""
    model = global_conv(4, 3, kernel_size)
    kernels = {}
    for layer in model.layers[1:-1]:
        value = rng.normal(size=layer.kernel.shape) / np.sqrt(kernel_size)
        layer.kernel.assign(value)
        kernels[layer.name] = value
    # Column times row: sum over the channels between.
    composed = np.einsum(
        "aic,bco->abio", kernels["gcn.left_1"][:, 0], kernels["gcn.left_2"][0]
    )
    composed += np.einsum(
        "bic,aco->abio", kernels["gcn.right_1"][0], kernels["gcn.right_2"][:, 0]
    )
    x = rng.normal(size=(1, *size, 4))
    expected = tf.nn.conv2d(x, composed, strides=1, padding="SAME")
    np.testing.assert_allclose(model(x), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel_size", "published"), [(3, 260_694), (7, 608_286), (15, 1_303_470)]
)
def test_weights_grow_with_the_side_of_the_kernel(kernel_size, published):
    """2k (2048 x 21 + 21 x 21), and a bias for each of the four convolutions."""
    assert global_conv(2048, 21, kernel_size).count_params() == published + 4 * 21


def test_boundary_refinement_adds_to_what_it_refines(rng):
    inputs = keras.Input((None, None, 21))
    model = keras.Model(inputs, gcn.refine_boundary(inputs, Style(), "refine"))
    assert model.count_params() == 7_980
    x = rng.normal(size=(1, 6, 5, 21)).astype(np.float32)
    assert np.abs(model(x) - x).max() > 0.1
    second = model.get_layer("refine.conv2").kernel
    second.assign(tf.zeros_like(second))
    np.testing.assert_array_equal(model(x), x)


def test_scores_double_in_size_from_stride_32_to_the_image():
    model = build(NARROW, 5, input_size=(512, 512))
    sides = [
        model.get_layer(f"logits.{name}").output.shape[1]
        for name in ("c5.sum", "c4.sum", "c3.sum", "c2.sum", "half.resize")
    ]
    assert sides == [16, 32, 64, 128, 256]
    assert model.output.shape == (None, 512, 512, 5)


def test_scores_are_refined_nine_times():
    names = [layer.name for layer in network().layers]
    units = [name for name in names if name.endswith(".conv2") and "logits" in name]
    assert len(units) == 9


def test_scores_of_two_strides_are_added(rng):
    model = network()
    names = ("c4.refine.add", "c4.resize", "c4.add")
    outputs = [model.get_layer(f"logits.{name}").output for name in names]
    image = rng.uniform(0, 255, (1, 65, 97, 3)).astype(np.float32)
    fine, coarse, both = keras.Model(model.input, outputs)(image)
    assert both.shape == (1, 5, 7, 3)
    np.testing.assert_allclose(both, fine + coarse, atol=1e-5)


@pytest.mark.parametrize("size", [(70, 45), (31, 64), (1, 1)])
def test_logits_have_the_size_of_any_image(size):
    logits = network()(np.zeros((1, *size, 3), np.float32))
    assert logits.shape == (1, *size, 3)
