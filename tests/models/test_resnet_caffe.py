"""ResNets as Caffe had them: sizes, where they stride, and how far they look."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.backbones import BACKBONES, resnet_caffe
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from tests.recorded import assert_all_learn

# networks.md, 2.8: with scale and offset of batch norm, and with its statistics.
PARAMETERS = {
    "resnet_50": (23_508_032, 23_561_152),
    "resnet_50_deep": (23_631_808, 23_685_312),
    "resnet_101": (42_500_160, 42_605_504),
    "resnet_101_deep": (42_623_936, 42_729_664),
    "resnet_152": (58_143_808, 58_295_232),
    "resnet_152_deep": (58_267_584, 58_419_392),
}


def counted(weights):
    return sum(math.prod(weight.shape) for weight in weights)


def trunk(variant, *, size=(None, None), **settings):
    """A model of the features alone."""
    images, backbone = keras.Input((*size, 3)), BACKBONES[variant]
    found = backbone.features(images, ModelConfig(**settings), backbone.style)
    return keras.Model(images, found)


def steps(model):
    """Layer name -> stride and rate, of all convolutions that have either."""
    found = {
        layer.name: (layer.strides[0], layer.dilation_rate[0])
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    return {name: step for name, step in found.items() if step != (1, 1)}


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(name, marks=() if "_50" in name else pytest.mark.nightly)
        for name in PARAMETERS
    ],
)
def test_trunks_have_the_published_number_of_parameters(variant):
    model = trunk(variant)
    counts = (counted(model.trainable_variables), counted(model.variables))
    assert counts == PARAMETERS[variant]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("variant", "convolution"),
    [("resnet_50", "conv1"), ("resnet_50_deep", "conv1"), ("resnet_101_deep", "conv2")],
)
def test_the_first_unit_of_a_block_has_its_stride(variant, convolution):
    scope = variant.removesuffix("_deep")
    found = steps(trunk(variant, output_stride=32, depth_multiplier=0.125))
    units = [f"{scope}.block{b}.unit_1.bottleneck_v1" for b in (2, 3, 4)]
    root = "conv1_1" if "deep" in variant else "conv1"
    assert found == {
        f"{scope}.{root}": (2, 1),
        **{f"{unit}.{convolution}": (2, 1) for unit in units},
        **{f"{unit}.shortcut": (2, 1) for unit in units},
    }


@pytest.mark.parametrize("variant", ["resnet_50", "resnet_101_deep"])
def test_a_block_without_its_stride_is_dilated_whole(variant):
    scope = variant.removesuffix("_deep")
    found = steps(trunk(variant, output_stride=8, depth_multiplier=0.125))
    count = 6 if variant == "resnet_50" else 23
    dilated = {
        f"{scope}.block{b}.unit_{u}.bottleneck_v1.conv2": (1, rate)
        for b, units, rate in ((3, count, 2), (4, 3, 4))
        for u in range(1, units + 1)
    }
    assert {name: step for name, step in found.items() if step[1] > 1} == dilated


def test_a_multi_grid_multiplies_the_rates_of_the_last_block():
    config = ModelConfig(output_stride=16, multi_grid=(1, 2, 4))
    *_, last = resnet_caffe.plan((3, 4, 6, 3), config)
    assert last == [StrideRate(1, 2), StrideRate(1, 4), StrideRate(1, 8)]
    config = ModelConfig(output_stride=16, multi_grid=(1, 2))
    with pytest.raises(FlagError, match="--multi_grid=1,2: 3 rates are needed"):
        resnet_caffe.plan((3, 4, 6, 3), config)


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (321, [81, 41, 41, 41]),
        (473, [119, 60, 60, 60]),
        (513, [129, 65, 65, 65]),
        (713, [179, 90, 90, 90]),
    ],
)
def test_features_have_the_published_sizes(size, sizes):
    found = trunk("resnet_50_deep", output_stride=8, depth_multiplier=0.125)
    shapes = found.compute_output_shape((1, size, size, 3))
    assert [shapes[level][1] for level in ("c2", "c3", "c4", "c5")] == sizes


def test_the_first_pool_sees_one_pixel_before_the_image(rng):
    model = trunk("resnet_50", depth_multiplier=0.125)
    pool = model.get_layer("resnet_50.pool1")
    parts = keras.Model(
        model.input, [model.get_layer("resnet_50.conv1.relu").output, pool.output]
    )
    before, after = parts(rng.normal(size=(1, 13, 13, 3)).astype(np.float32))
    before = np.pad(before, [(0, 0), (1, 1), (1, 1), (0, 0)])
    assert after.shape[1:3] == (4, 4)
    for i in range(4):
        for j in range(4):
            window = before[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            np.testing.assert_array_equal(after[0, i, j], window.max((0, 1)))


def test_features_are_the_activated_ends_of_the_blocks(rng):
    model = trunk("resnet_50", depth_multiplier=0.125, output_stride=32)
    last = {"c2": (1, 3), "c3": (2, 4), "c4": (3, 6), "c5": (4, 3)}
    for level, (block, unit) in last.items():
        name = f"resnet_50.block{block}.unit_{unit}.bottleneck_v1.relu"
        assert model.output[level] is model.get_layer(name).output


def test_the_mean_of_caffe_is_subtracted():
    model = build(ModelConfig(model_variant="resnet_50", depth_multiplier=0.125), 3)
    normalized = keras.Model(model.input, model.get_layer("normalized").output)
    pixel = normalized(np.array([[[[0.0, 127.5, 255.0]]]], np.float32))
    expected = [-122.679, 127.5 - 116.669, 255 - 104.007]
    np.testing.assert_allclose(np.ravel(pixel), expected, atol=1e-4)


def test_deeplab_v2_has_the_published_number_of_parameters():
    """5.2: without batch norm, which does not learn, and with all of it."""
    config = ModelConfig(architecture="deeplab_v2_aspp", model_variant="resnet_50")
    model = build(config, 21)
    assert counted(model.trainable_variables) == 25_003_284
    assert counted(model.variables) == 25_109_524
    for size, cells in ((321, 41), (513, 65)):
        assert model.compute_output_shape((1, size, size, 3)) == (1, cells, cells, 21)


def v2(**settings):
    return build(
        ModelConfig(
            architecture="deeplab_v2_aspp",
            model_variant="resnet_50",
            depth_multiplier=0.125,
            **settings,
        ),
        3,
    )


def test_batch_norm_of_deeplab_v2_stays_and_all_else_learns(rng):
    model, images = v2(), rng.uniform(0, 255, (2, 65, 65, 3)).astype(np.float32)
    norms = {n: w for n, w in weights_by_name(model).items() if "BatchNorm" in n}
    assert not [name for name, weight in norms.items() if weight.trainable]
    before = {name: weight.numpy() for name, weight in norms.items()}
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        cost = tf.reduce_sum(logits**2)
    assert_all_learn(model, tape, cost)
    # Float precision of the largest: oneDNN has other kernels for training.
    precision = 1e-5 * np.abs(logits).max()
    np.testing.assert_allclose(
        logits, model(images, training=False), rtol=0, atol=precision
    )
    for name, weight in norms.items():
        np.testing.assert_array_equal(weight, before[name])


def test_branches_of_deeplab_v2_are_added(rng):
    """Three branches at zero leave the fourth; all at zero leave nothing."""
    model, images = v2(), rng.uniform(0, 255, (1, 65, 65, 3)).astype(np.float32)
    branches = [model.get_layer("logits.semantic" + s) for s in ("", "_1", "_2", "_3")]
    assert [layer.dilation_rate[0] for layer in branches] == [6, 12, 18, 24]
    last = keras.Model(model.input, branches[3].output)
    for layer in branches[:3]:
        layer.kernel.assign(tf.zeros_like(layer.kernel))
    np.testing.assert_allclose(model(images), last(images), atol=1e-6)
    branches[3].kernel.assign(tf.zeros_like(branches[3].kernel))
    np.testing.assert_array_equal(model(images), np.zeros((1, 9, 9, 3)))
