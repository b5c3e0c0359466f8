"""Networks that compute in half precision."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.models.build import build
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.models.layers.unpooling import Unpool
from deeplab_tf.models.mixed_precision import dtype_policy
from tests.models.families import FAMILIES, cut_short
from tests.recorded import SMALL, assign_rule_weights

SIDE = 33
# Half of the last of the 8 or 11 bits of a number, over the number.
ROUNDING = {"mixed_bfloat16": 2.0**-9, "mixed_float16": 2.0**-12}


def network(config, precision):
    with cut_short(), dtype_policy(precision):
        model = build(config, 3, input_size=(SIDE, SIDE))
    assign_rule_weights(model, 1.3)
    return model


def check(config, precision, rng):
    """Logits are near those of float32, and a step of training has gradients."""
    images = rng.uniform(0, 255, (2, SIDE, SIDE, 3)).astype(np.float32)
    expected = network(config, "float32")(images).numpy()
    model = network(config, precision)
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    found = model(images)
    assert found.dtype == tf.float32
    # Roundings of dozens of layers add up like a random walk.
    error = np.sqrt(np.mean((found - expected) ** 2)) / expected.std()
    least, most = 0.1 * ROUNDING[precision], 10 * ROUNDING[precision]
    if any(isinstance(layer, Unpool) for layer in model.layers):
        # Of a share of windows as small as a rounding, another pixel is the maximum,
        # and what it leads to is elsewhere: such errors go with the root of the share.
        most = 10 * np.sqrt(ROUNDING[precision])
    assert least < error < most
    with tf.GradientTape() as tape:
        cost = tf.reduce_mean(model(images, training=True) ** 2)
    for gradient in tape.gradient(cost, [v.value for v in model.trainable_variables]):
        assert gradient.dtype == tf.float32
        assert np.isfinite(gradient).all()


# The others round in layers of the same kinds.
BY_DAY = {"mobilenet_v2, deeplab_v3plus", "vgg, segnet"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in BY_DAY else pytest.mark.nightly)
        for name in FAMILIES
    ],
)
def test_a_network_of_bfloat16_is_the_network(name, rng):
    check(FAMILIES[name], "mixed_bfloat16", rng)


@pytest.mark.parametrize("name", ["mobilenet_v2, deeplab_v3plus", "segnet_basic"])
def test_a_network_of_float16_is_the_network(name, rng):
    check(FAMILIES[name], "mixed_float16", rng)


@pytest.mark.parametrize("pyramid", [(), (0.5, 1.0)])
def test_images_and_scores_are_float32(pyramid):
    config = dataclasses.replace(SMALL, image_pyramid=pyramid)
    model = network(config, "mixed_bfloat16")
    exact = {"normalized", "logits.semantic", "logits.float32"}
    if pyramid:
        outer = [x.name for x in model.layers if x.compute_dtype == "float32"]
        scales = {"0.5", "1"}
        expected = {"merged_logits", *(f"logits.{scale}" for scale in scales)}
        assert {*outer} - {"images"} == expected | {f"image.{x}" for x in scales}
        (model,) = (x for x in model.layers if isinstance(x, keras.Model))
    found = {x.name for x in model.layers if x.compute_dtype == "float32"}
    assert found - {"images"} == exact


def test_batch_norm_of_half_precision_has_exact_statistics(rng):
    x = rng.normal(3, 2, (2, 30, 20, 4)).astype("float16")
    layer = FrozenableBatchNorm(momentum=0.9, epsilon=1e-3, dtype="mixed_float16")
    y = layer(x, training=True)
    assert y.dtype == tf.float16
    assert {v.dtype for v in layer.weights} == {"float32"}
    exact = x.astype(np.float64)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * exact.mean((0, 1, 2)), 1e-6)
    variance = 0.9 + 0.1 * exact.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(layer.moving_variance, variance, 1e-6)


def test_what_is_built_later_is_float32_again():
    class MadeError(Exception):
        pass

    with pytest.raises(MadeError), dtype_policy("mixed_float16"):
        raise MadeError
    assert keras.config.dtype_policy().name == "float32"
    assert build(SMALL, 3).get_layer("aspp0").compute_dtype == "float32"
