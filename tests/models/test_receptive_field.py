"""How far layers see: worked out by hand, and in the tables of the papers' nets."""

import keras
import numpy as np
import pytest
from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.build import build
from deeplab_tf.models.layers.resize import CropLike, ResizeLike
from deeplab_tf.models.receptive_field import fields, receptive_field


def network(config, size=(65, 65)):
    """Without values of the weights."""
    with keras.StatelessScope(initialize_variables=False):
        return build(config, 21, input_size=size)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            ModelConfig(architecture="fcn8s"),
            {
                "vgg_16.pool3": 44,
                "vgg_16.pool4": 100,
                "vgg_16.pool5": 212,
                "logits.score_fr": 404,
                "logits.crop": 404,
            },
        ),
        (ModelConfig(architecture="deeplab_v1"), {"vgg_16.fc6": 308, "logits": 308}),
        (ModelConfig(architecture="deeplab_v1_msc"), {"vgg_16.fc6": 323}),
        (
            ModelConfig(architecture="deeplab_v1_largefov"),
            # As without the average pooling, whose window adds two cells of 8.
            {"vgg_16.pool5": 435 - 2 * 8 * 12 - 16, "vgg_16.fc6": 435},
        ),
        (
            ModelConfig(architecture="dilation8"),
            # Of the module itself: 3, 5, 9, 17, 33, 65, 67 and 67 cells of 8.
            {"logits.final": 380, "logits": 380 + 66 * 8}
            | {
                f"context.conv{i}": 380 + (cells - 1) * 8
                for i, cells in enumerate((3, 5, 9, 17, 33, 65, 67), start=1)
            },
        ),
        (ModelConfig(architecture="dilation10"), {"logits": 2444}),
        (
            ModelConfig(architecture="segnet"),
            # Convolutions on the way up, at strides 16, 8, 4, 2 and 1.
            {"vgg_16.pool5": 212, "logits": 212 + 2 * (3 * (16 + 8 + 4) + 2 * 2 + 2)},
        ),
        (
            ModelConfig(architecture="segnet_basic"),
            {"segnet_basic.pool4": 106, "logits": 106 + 6 * (8 + 4 + 2 + 1)},
        ),
        (
            ModelConfig(architecture="deeplab_v2_aspp"),
            {
                "resnet_101.block4.unit_3.bottleneck_v1.relu": 1027,
                "logits.semantic": 1123,
                "logits.semantic_1": 1219,
                "logits.semantic_2": 1315,
                "logits.semantic_3": 1411,
                "logits": 1411,
            },
        ),
        (
            ModelConfig(architecture="pspnet", model_variant="resnet_101_deep"),
            {
                # As released, the first 3x3 of the second block is at stride 4 yet and
                # strides; 1031 would be with the stride before it.
                "resnet_101.block4.unit_3.bottleneck_v1.relu": 15
                + 3 * 2 * 4
                + 2 * 4
                + 3 * 2 * 8
                + 23 * 2 * 2 * 8
                + 3 * 2 * 4 * 8,
            },
        ),
        (
            ModelConfig(
                model_variant="resnet_v1_101_beta",
                atrous_rates=(6, 12, 18),
                multi_grid=(1, 2, 4),
                aspp_with_separable_conv=False,
            ),
            {
                # 15 at stride 4 after the pool; blocks of 3, 4, 23 units of 3x3 at
                # strides 4, 8, 16; rates 2, 4, 8 in the last.
                "resnet_v1_101.block4.unit_3.bottleneck_v1.relu": 15
                + 3 * 2 * 4
                + 4 * 2 * 8
                + 23 * 2 * 16
                + (2 + 4 + 8) * 2 * 16,
                "aspp1": 1479,
                "aspp2": 1671,
                "aspp3": 1863,
                "logits": 1863,
            },
        ),
    ],
    ids=lambda value: value.head if isinstance(value, ModelConfig) else "",
)
def test_fields_of_published_networks(config, expected):
    found = fields(network(config))
    found["logits"] = found["logits.float32"]
    assert {name: found[name] for name in expected} == expected


def test_a_decoder_adds_its_own_convolutions_and_resizing_nothing():
    plain = ModelConfig(model_variant="xception_65", atrous_rates=(6, 12, 18))
    decoded = ModelConfig(
        model_variant="xception_65",
        atrous_rates=(6, 12, 18),
        decoder_output_stride=(4,),
    )
    # Two of 3x3 at stride 4.
    more = receptive_field(network(decoded)) - receptive_field(network(plain))
    assert more == 2 * 2 * 4


@pytest.mark.parametrize("size", [(33, 33), (64, 97), (513, 513)])
def test_the_field_is_the_same_for_every_image(size):
    config = ModelConfig(atrous_rates=(6,), decoder_output_stride=(4,))
    assert receptive_field(network(config, size)) == receptive_field(network(config))


def measured(model):
    """Side of what the middle of the output changes with, cell by cell of the input."""
    side = model.input_shape[1]
    images = np.zeros((side, side, side, 1), np.float32)
    images[range(side), range(side)] = 1  # A row lit in each, not behind a ReLU.
    found = model.predict(images, verbose=0)
    height = found.shape[1]
    seen = np.flatnonzero(found[:, height // 2, found.shape[2] // 2, 0])
    return seen[-1] - seen[0] + 1


@pytest.mark.parametrize(
    "steps",
    [
        [layers.Conv2D(1, 3)],
        [layers.Conv2D(1, 3, strides=2), layers.Conv2D(1, 3, dilation_rate=2)],
        [layers.AveragePooling2D(3, 2), layers.Conv2D(1, 5), layers.MaxPooling2D(2)],
        [layers.DepthwiseConv2D(3, strides=2), layers.SeparableConv2D(1, 3)],
        [layers.Conv2D(1, (3, 5)), layers.Conv2D(1, (5, 3))],
    ],
    ids=["one", "strided then dilated", "pools", "depthwise", "oblong"],
)
def test_fields_are_what_a_lit_pixel_reaches(steps):
    model = keras.Sequential([keras.Input((64, 64, 1)), *steps])
    for weight in model.weights:
        weight.assign(np.ones(weight.shape) * (weight.name != "bias"))
    graph = keras.Model(model.inputs, model.outputs)
    assert measured(model) == receptive_field(graph)


def test_the_longer_side_counts():
    x = keras.Input((64, 64, 1))
    wide = keras.Model(x, layers.Conv2D(1, (3, 7))(x))
    tall = keras.Model(x, layers.Conv2D(1, (5, 3))(x))
    assert (receptive_field(wide), receptive_field(tall)) == (7, 5)


def test_the_widest_path_counts_and_pooling_of_the_whole_image_does_not():
    x = keras.Input((64, 64, 4))
    narrow = layers.Conv2D(4, 3, padding="same", name="narrow")(x)
    wide = layers.Conv2D(4, 3, padding="same", dilation_rate=6, name="wide")(x)
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="mean")(wide)
    mean = layers.Conv2D(4, 1, name="of_mean")(mean)
    everywhere = ResizeLike(name="everywhere")([mean, narrow])
    joined = layers.Concatenate(name="joined")([narrow, wide, everywhere])
    found = fields(keras.Model(x, joined))
    assert (found["narrow"], found["wide"], found["joined"]) == (3, 13, 13)
    assert not {"mean", "of_mean", "everywhere"} & found.keys()


def test_convolutions_after_enlarging_go_by_the_finer_grid():
    x = keras.Input((64, 64, 1))
    half = layers.Conv2D(1, 3, strides=2, padding="same", name="half")(x)
    grown = layers.Conv2DTranspose(1, 4, strides=2, padding="same", name="grown")(half)
    resized = ResizeLike(name="resized")([half, x])
    paths = [grown, resized, CropLike(0, name="cropped")([grown, x])]
    for path in paths:
        end = layers.Conv2D(1, 3, padding="same", name="end")(path)
        assert receptive_field(keras.Model(x, end)) == 3 + 2


def test_a_map_merged_with_itself_moved_sees_as_much_farther():
    # As VGG's pools that keep the size do it: 2x2 pixels that lie 4 apart.
    found = fields(network(ModelConfig(model_variant="vgg_16", output_stride=8)))
    pool4, conv5_1 = found["vgg_16.pool4.rows"], found["vgg_16.conv5.conv5_1"]
    assert pool4 == found["vgg_16.conv4.conv4_3"] + 8
    assert conv5_1 == pool4 + 2 * 2 * 8
    assert found["vgg_16.pool5.columns"] == found["vgg_16.conv5.conv5_3"] + 2 * 8


def test_a_layer_without_a_rule_is_told():
    x = keras.Input((8, 8, 1))
    model = keras.Model(x, layers.UpSampling2D(name="up")(x))
    with pytest.raises(TypeError, match=r"no rule .* UpSampling2D \(up\)"):
        fields(model)
