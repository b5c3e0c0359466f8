"""Two ways to the same numbers, which the papers rely on."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.layers.blocks import Style, biased_conv


def convolution(rate, kernel_size=3):
    """An atrous convolution of two channels to four, its bias other than 0."""
    images = keras.Input((None, None, 2))
    x = biased_conv(
        images,
        4,
        kernel_size,
        style=Style(),
        at=StrideRate(1, rate),
        name="conv",
    )
    model = keras.Model(images, x)
    model.get_layer("conv").bias.assign([0.1, -0.2, 0.3, 0.4])
    return model


def plain(x, kernel, bias):
    return tf.nn.conv2d(x, kernel, 1, "VALID") + bias


@pytest.mark.parametrize("rate", [2, 3, 4, 6, 12, 18])
def test_atrous_convolution_is_one_on_every_rate_th_pixel(rate, rng):
    """Chen et al. 2014, section 3.1, by space-to-batch."""
    x = tf.constant(rng.normal(size=(2, 23, 29, 2)), tf.float32)
    model = convolution(rate)
    kernel, bias = model.get_layer("conv").weights
    sides = np.array(x.shape[1:3])
    after = rate + -(sides + 2 * rate) % rate
    paddings = [[rate, after[0]], [rate, after[1]]]
    parts = tf.space_to_batch(x, [rate, rate], paddings)
    whole = tf.batch_to_space(
        plain(parts, kernel.value, bias.value), [rate, rate], [[0, 0], [0, 0]]
    )
    np.testing.assert_allclose(whole[:, :23, :29], model(x), atol=2e-5)


@pytest.mark.parametrize("rate", [2, 3, 4])
def test_atrous_convolution_is_one_with_zeros_between_its_taps(rate, rng):
    x = tf.constant(rng.normal(size=(1, 15, 17, 2)), tf.float32)
    model = convolution(rate)
    kernel, bias = model.get_layer("conv").weights
    rarefied = np.zeros((2 * rate + 1, 2 * rate + 1, 2, 4), np.float32)
    rarefied[::rate, ::rate] = kernel.numpy()
    around = tf.pad(x, [[0, 0], [rate, rate], [rate, rate], [0, 0]])
    expected = plain(around, tf.constant(rarefied), bias.value)
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


@pytest.mark.parametrize("rate", [33, 40])
def test_a_rate_beyond_the_map_leaves_the_center_tap(rate, rng):
    """Chen et al. 2017, section 3.3, figure 4: why ASPP pools the image, too."""
    x = tf.constant(rng.normal(size=(1, 33, 33, 2)), tf.float32)
    model = convolution(rate)
    kernel, bias = model.get_layer("conv").weights
    center = kernel.value[1:2, 1:2]
    np.testing.assert_allclose(model(x), plain(x, center, bias.value), atol=1e-5)


def test_interpolating_twice_is_interpolating_at_once(rng):
    """Corner-aligned, by 2 and then by 4, as by 8."""
    x = tf.constant(rng.normal(size=(1, 9, 11, 2)), tf.float32)
    twice = resize.bilinear(resize.bilinear(x, (17, 21)), (65, 81))
    np.testing.assert_allclose(twice, resize.bilinear(x, (65, 81)), atol=1e-5)
