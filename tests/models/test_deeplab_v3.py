"""DeepLab v3: one set of weights at two output strides, and cascaded blocks."""

import keras
import numpy as np
import pytest

from deeplab_tf.compat import source_layer
from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.backbones import resnet
from deeplab_tf.models.build import build
from deeplab_tf.models.heads.aspp import aspp
from deeplab_tf.models.layers.blocks import Style
from tests.recorded import assign_rule_weights

PLAIN = {"aspp_with_separable_conv": False, "aspp_convs_filters": 16}
NARROW = PLAIN | {"model_variant": "resnet_50", "depth_multiplier": 1 / 8}


def cascade(**settings):
    variant = settings.pop("model_variant", "resnet_v1_18")
    return ModelConfig(
        architecture="deeplab_v3_cascade", model_variant=variant, **settings
    )


@pytest.mark.parametrize(("output_stride", "cells"), [(8, 65), (16, 33), (32, 17)])
def test_features_of_513_pixels_have_the_published_size(output_stride, cells):
    config = ModelConfig(
        output_stride=output_stride, atrous_rates=(6, 12, 18), **NARROW
    )
    model = build(config, 21, input_size=(513, 513))
    assert model.get_layer("aspp0").input.shape == (None, cells, cells, 2048 // 8)
    assert model.output.shape == (None, cells, cells, 21)


@pytest.mark.nightly
@pytest.mark.parametrize("size", [(97, 65), (96, 70)], ids=["odd", "even"])
def test_logits_of_doubled_rates_contain_those_at_stride_16(size, rng):
    """But for image pooling, whose mean is over other cells: section 6.7, item 2."""
    image = rng.uniform(0, 255, (1, *size, 3)).astype(np.float32)
    found = []
    for output_stride, rates in ((16, (6, 12, 18)), (8, (12, 24, 36))):
        config = ModelConfig(
            output_stride=output_stride,
            atrous_rates=rates,
            multi_grid=(1, 2, 4),
            add_image_level_feature=False,
            **NARROW,
        )
        keras.backend.clear_session()
        model = build(config, 3)
        assign_rule_weights(model, 1.3)
        found.append(model(image).numpy())
    sparse, dense = found
    assert np.abs(dense[:, ::2, ::2] - sparse).max() < 1e-4 * sparse.std()


def test_branches_of_the_aspp_have_the_published_size():
    features = keras.Input((33, 33, 2048))
    config = ModelConfig(atrous_rates=(6, 12, 18), aspp_with_separable_conv=False)
    model = keras.Model(features, aspp(features, config, Style()))
    for name, count in (("aspp1", 4_718_592), ("image_pooling", 524_288)):
        assert model.get_layer(name).count_params() == count
        norm = model.get_layer(f"{name}.BatchNorm")
        assert sum(weight.shape[0] for weight in norm.trainable_weights) == 512


def test_a_rate_as_large_as_the_map_leaves_the_center_of_the_kernel(rng):
    """All others read zeros: section 6.7, item 4."""
    features = keras.Input((33, 33, 4))
    config = ModelConfig(atrous_rates=(33, 32), **PLAIN)
    model = keras.Model(features, aspp(features, config, Style()))
    parts = keras.Model(
        features, [model.get_layer(name).output for name in ("aspp1", "aspp2")]
    )
    x = rng.normal(size=(1, 33, 33, 4)).astype(np.float32)
    found = parts(x)
    centers = [x @ model.get_layer(f"aspp{i}").kernel.numpy()[1, 1] for i in (1, 2)]
    np.testing.assert_allclose(found[0], centers[0], atol=1e-5)
    assert np.abs(found[1] - centers[1]).max() > 0.01


@pytest.mark.parametrize(
    ("output_stride", "third", "others"),
    [(16, 1, (2, 4, 8, 16)), (8, 2, (4, 8, 16, 32))],
)
def test_rates_of_cascaded_blocks_go_on_to_double(output_stride, third, others):
    config = cascade(output_stride=output_stride, multi_grid=(1, 2, 1))
    _, _, blocks = resnet.plan(resnet.cascade_blocks(resnet.R50, 3), config)
    expected = [[third] * 6, *([rate, 2 * rate, rate] for rate in others)]
    assert [[unit.rate for unit in block] for block in blocks[2:]] == expected


@pytest.mark.parametrize(("blocks", "output_stride"), [(0, 32), (1, 64), (3, 256)])
def test_without_rates_each_block_halves_the_size(blocks, output_stride):
    config = cascade(cascaded_blocks=blocks, output_stride=output_stride)
    model = build(config, 3, input_size=(513, 513))
    cells = 512 // output_stride + 1
    assert model.output.shape == (None, cells, cells, 3)
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert {layer.dilation_rate for layer in convolutions} == {(1, 1)}


@pytest.mark.parametrize(
    "variant",
    ["resnet_v1_18", pytest.param("resnet_v1_50", marks=pytest.mark.slow)],
)
def test_cascaded_blocks_are_copies_of_the_last(variant):
    model = build(cascade(model_variant=variant, cascaded_blocks=2), 3)

    def shapes(block):
        prefix = f"{variant}.block{block}."
        return {
            layer.name.removeprefix(prefix): [w.shape for w in layer.weights]
            for layer in model.layers
            if layer.name.startswith(prefix) and layer.weights
        }

    last = shapes(4)
    # Their input has their width already: nothing to project, and in the first
    # convolution of their first unit as many channels as in that of the second.
    expected = {name: shape for name, shape in last.items() if "shortcut" not in name}
    first, second = (
        next(name for name in expected if f"unit_{u}." in name and "conv1" in name)
        for u in (1, 2)
    )
    expected[first] = expected[second]
    for block in (5, 6):
        assert shapes(block) == expected


def test_the_classifier_reads_the_last_block():
    model = build(cascade(cascaded_blocks=2), 3)
    read = source_layer(model.get_layer("logits.semantic").input)
    assert read == "resnet_v1_18.block6.unit_2.lite_bottleneck_v1.relu"
    assert model.get_layer("logits.semantic").kernel.shape == (1, 1, 512, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cascaded_blocks": 4}, "--cascaded_blocks=4: 0, 1, 2 or 3 are possible"),
        (
            {"architecture": "deeplab_v3", "cascaded_blocks": 1},
            "--cascaded_blocks=1: deeplab_v3 has none; leave it out, or take "
            "--architecture=deeplab_v3_cascade",
        ),
    ],
)
def test_blocks_that_cannot_be_had_are_told(settings, message):
    with pytest.raises(FlagError, match=message):
        ModelConfig(**({"architecture": "deeplab_v3_cascade"} | settings))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            cascade(model_variant="mobilenet_v2"),
            "--model_variant=mobilenet_v2 has no features 'cascade', which "
            "--architecture=deeplab_v3_cascade needs; resnet_v1_101 has",
        ),
        (
            cascade(cascaded_blocks=0, output_stride=64),
            "--output_stride=64: this network reaches 32 at most",
        ),
        (
            cascade(output_stride=64, multi_grid=(1, 2)),
            "--multi_grid: a unit cannot stride and dilate 2 times",
        ),
    ],
)
def test_a_cascade_that_cannot_be_built_says_why(config, message):
    with pytest.raises(FlagError, match=message):
        build(config, 3)
