"""What every backbone promises."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.backbones import BACKBONES, resnet_caffe
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from tests import narrow
from tests.at_night import mark_nightly
from tests.models import networks
from tests.recorded import assign_rule_weights

# The largest of each family take long to build; the smallest stand for them by day.
LARGE = {
    *("nas_hnasnet", "nas_pnasnet", "mobilenet_v3_large_seg", "resnet_v1_50_beta"),
    *("resnet_v1_101", "resnet_v1_101_beta", "xception_65", "xception_71"),
    *("resnet_101", "resnet_152"),
    *("resnet_50_deep", "resnet_101_deep", "resnet_152_deep"),
}
# Those for one architecture alone are tested with it.
NAMES = [name for name, backbone in BACKBONES.items() if not backbone.only_for]
VARIANTS = [
    pytest.param(name, marks=pytest.mark.nightly if name in LARGE else ())
    for name in NAMES
]
# A NAS network has cells of other widths at another output stride, not of other rates;
# a MobileNetV3 weighs channels by means, which other strides take over other pixels; a
# 3x3 that has lost its stride keeps its rate, but not as PSPNet of 101 layers and more
# was released.
ATROUS = [
    param
    for name, param in zip(NAMES, VARIANTS, strict=True)
    if not name.startswith(("nas_", "mobilenet_v3"))
    and name not in {"resnet_101_deep", *networks.DEEPER}
]
# By day a network of each way to pad: as TensorFlow, and fixed.
DENSE = [
    pytest.param(
        *param.values,
        size,
        id=f"{param.values[0]}-{size[0]}",
        marks=param.marks
        if param.values[0] in ("mobilenet_v2", "resnet_v1_18")
        else pytest.mark.nightly,
    )
    for param in ATROUS
    for size in ((65, 97), (64, 96))
]
# Of what is too wide to be tested in seconds.
WIDTHS = dict.fromkeys(resnet_caffe.VARIANTS, 0.125) | {
    name: 0.25 for name in BACKBONES if name.startswith("mobilenet")
}
# Strides of the features where the output stride asked for does not matter.
OWN_STRIDES = {"nas_hnasnet": {"c2": 4, "c3": 8, "c4": 16, "c5": 8}}


def network(variant, backbone, output_stride, size=(None, None)):
    """A model of the features alone."""
    config = ModelConfig(
        output_stride=output_stride,
        depth_multiplier=WIDTHS.get(variant, 1.0),
        nas_stem_output_num_conv_filters=4,
    )
    images = keras.Input((*size, 3))
    return keras.Model(images, backbone.features(images, config, backbone.style))


@functools.cache  # Tests read it and do not change it.
def extractor(variant, output_stride):
    """The same of few units, for images of any size, with the rule's weights."""
    model = network(variant, narrow.narrow(BACKBONES[variant]), output_stride)
    assign_rule_weights(model, 1.3)
    return model


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("output_stride", [8, 32])  # At 16: `test_networks`.
def test_features_have_their_strides(variant, output_stride):
    thin = narrow.thin(BACKBONES[variant])
    with keras.StatelessScope(initialize_variables=False):
        features = network(variant, thin, output_stride, (65, 97)).output
    strides = OWN_STRIDES.get(variant) or {
        level: min(stride, output_stride)
        for level, stride in {"c2": 4, "c3": 8, "c4": 16, "c5": 32}.items()
    }
    levels = networks.TAPS.get(variant, {"c2", "c3", "c4", "c5"})
    assert features.keys() == levels
    for level in levels & strides.keys():
        step = strides[level]
        assert features[level].shape[1:3] == (64 // step + 1, 96 // step + 1), level


@pytest.mark.parametrize(("variant", "size"), DENSE)
def test_dense_features_contain_the_sparse_ones(variant, size, rng):
    image = rng.uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    sparse = extractor(variant, 16)(image)["c5"].numpy()
    dense = extractor(variant, 8)(image)["c5"].numpy()
    # TensorFlow's SAME padding pads even sizes at the end alone, which shifts the grid
    # of a MobileNet by one.
    same = BACKBONES[variant].style.padding == "same"
    phase = 1 if same and size[0] % 2 == 0 else 0
    subsampled = dense[:, phase::2, phase::2][:, : sparse.shape[1], : sparse.shape[2]]
    if phase:  # Its border reads what the sparse network pads.
        sparse, subsampled = sparse[:, 1:-1, 1:-1], subsampled[:, 1:-1, 1:-1]
    assert np.abs(subsampled - sparse).max() < 1e-4 * sparse.std()


@pytest.mark.parametrize(
    "variant",
    mark_nightly(
        ["resnet_v1_18", "resnet_v1_50", "xception_41", "mobilenet_v2"], by_day=(0, 3)
    ),
)
def test_a_multi_grid_dilates_the_last_block_alone(variant):
    units = 2 if variant == "resnet_v1_18" else 3
    config = ModelConfig(
        model_variant=variant, output_stride=16, multi_grid=(1, 2, 4)[:units]
    )
    if variant == "mobilenet_v2":
        with pytest.raises(FlagError, match="a MobileNet has not"):
            build(config, 3)
        return
    plain = build(dataclasses.replace(config, multi_grid=()), 3)
    rates = {
        layer.name: getattr(layer, "dilation_rate", None) for layer in plain.layers
    }
    factors = {
        layer.name: layer.dilation_rate[0] / rates[layer.name][0]
        for layer in build(config, 3).layers
        if rates[layer.name] and layer.kernel_size != (1, 1)
    }
    last = "exit_flow.block2" if "xception" in variant else "block4"
    changed = {name for name, factor in factors.items() if factor != 1}
    assert changed
    assert all(last in name for name in changed)
    assert set(factors.values()) == set(config.multi_grid)


def test_a_multi_grid_of_another_length_says_what_is_needed():
    config = ModelConfig(model_variant="resnet_v1_18", multi_grid=(1, 2, 4))
    with pytest.raises(FlagError, match="--multi_grid=1,2,4: 2 rates are needed"):
        build(config, 3)


@pytest.mark.parametrize(
    ("multiplier", "widths"),
    [
        (1.0, [32, 16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160]),
        (0.5, [16, 8, 12, 12, 16, 16, 16, 32, 32, 32, 32, 48, 48, 48, 80, 80, 80]),
        (
            1.4,
            [45, 22, 34, 34, 45, 45, 45, 90, 90, 90, 90, 134, 134, 134, 224, 224, 224],
        ),
    ],
)
def test_a_mobilenet_of_any_width_has_the_official_channels(multiplier, widths):
    model = build(ModelConfig(depth_multiplier=multiplier), 21)
    weights = weights_by_name(model)
    blocks = ["expanded_conv", *(f"expanded_conv_{i}" for i in range(1, 16))]
    names = ["Conv", *(f"{block}/project" for block in blocks)]
    found = [weights[f"MobilenetV2/{name}/weights"].shape[-1] for name in names]
    assert found == widths


@pytest.mark.parametrize("variant", ["resnet_v1_50", "xception_41", "mobilenet_v2"])
def test_initial_values_have_the_official_spread(variant):
    """A normal distribution cut at two standard deviations has 0.88 of its spread."""
    weights = weights_by_name(build(ModelConfig(model_variant=variant), 21))
    if variant == "resnet_v1_50":
        name, fan_in = "resnet_v1_50/block3/unit_2/bottleneck_v1/conv2/weights", 9 * 256
        wanted = 0.8796 * np.sqrt(1.3 * 2 / fan_in)
    elif variant == "xception_41":
        block = "xception_41/middle_flow/block1/unit_3/xception_module"
        name, wanted = f"{block}/separable_conv2_pointwise/weights", 0.8796 * 0.09
    else:
        name, wanted = "MobilenetV2/expanded_conv_9/expand/weights", 0.8796 * 0.09
    assert np.std(weights[name]) == pytest.approx(wanted, rel=0.02)
    assert np.std(weights["logits/semantic/weights"]) == pytest.approx(0.0088, rel=0.03)
    aspp = weights["aspp0/weights"]
    limit = np.sqrt(6 / (aspp.shape[2] + 256))
    assert np.std(aspp) == pytest.approx(limit / np.sqrt(3), rel=0.02)
    same = [w for n, w in weights.items() if w.shape == aspp.shape and "ghts" in n]
    assert len({float(w.numpy().flat[0]) for w in same}) == len(same)


def test_layers_of_one_shape_start_from_different_values():
    weights = weights_by_name(build(ModelConfig(model_variant="resnet_v1_18"), 3))
    firsts = [
        float(tf.reshape(w.value, [-1])[0])
        for name, w in weights.items()
        if name.endswith("/weights")
    ]
    assert len(set(firsts)) == len(firsts)
