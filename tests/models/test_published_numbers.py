"""Every system at its published numbers: parameters, shapes, fields, crops and losses.

`golden/lineage.json` has them: counted on the authors' graph definitions, or derived
from them by the formulas of the papers.
"""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest

from deeplab_tf.config import ModelConfig
from deeplab_tf.config.architectures import ARCHITECTURES
from deeplab_tf.models import summary
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import fcn
from tests.at_night import mark_nightly
from tests.recorded import ROOT

NUMBERS = json.loads((ROOT / "tests" / "golden" / "lineage.json").read_text())
COUNTS = NUMBERS["params_21"]


def net(architecture, variant="", **settings):
    return ModelConfig(architecture=architecture, model_variant=variant, **settings)


def v3(variant, **settings):
    return net(
        "deeplab_v3",
        variant,
        atrous_rates=(6, 12, 18),
        multi_grid=(1, 2, 4),
        aspp_with_separable_conv=False,
        **settings,
    )


def plus(variant, *, separable):
    return net(
        "deeplab_v3plus",
        variant,
        atrous_rates=(6, 12, 18),
        aspp_with_separable_conv=separable,
        decoder_use_separable_conv=separable,
    )


V1, V2, V3 = COUNTS["deeplab1"], COUNTS["deeplab2"], COUNTS["deeplab3_aspp"]
PLUS, PSP = COUNTS["deeplab3plus"], COUNTS["pspnet"]
TOTALS = [
    (net("fcn32s"), 21, COUNTS["fcn32s"]),
    (net("fcn16s"), 21, COUNTS["fcn16s"]),
    (net("fcn8s"), 21, COUNTS["fcn8s"]),
    (net("fcn8s_at_once"), 21, COUNTS["fcn8s_atonce"]),
    *(
        (net(f"fcn{kind}"), 60, count)
        for kind, count in COUNTS["fcn_context60"].items()
    ),
    (net("deeplab_v1"), 21, V1["base4x4"]),
    (net("deeplab_v1_7x7"), 21, V1["7x7"]),
    (net("deeplab_v1_msc"), 21, V1["msc"]),
    (net("deeplab_v1_largefov"), 21, V1["largefov"]),
    (net("deeplab_v1_msc_largefov"), 21, V1["msc_largefov"]),
    (net("deeplab_v2_aspp", "vgg_16"), 21, V2["vgg_aspp"]),
    (net("deeplab_v2_aspp", "resnet_101"), 21, V2["r101_aspp_bn_affine"]),
    (net("deeplab_v2_largefov", "resnet_101"), 21, V2["r101_largefov"]),
    (net("deeplab_v2_aspp", "resnet_50"), 21, V2["r50_aspp"]),
    (v3("resnet_v1_50"), 21, V3["r50"]),
    (v3("resnet_v1_50_beta"), 21, V3["r50_deep"]),
    (v3("resnet_v1_101"), 21, V3["r101"]),
    (v3("resnet_v1_101_beta"), 21, V3["r101_deep"]),
    *(
        (net("deeplab_v3_cascade", f"resnet_v1_{depth[1:]}", cascaded_blocks=i), 21, n)
        for depth, counts in COUNTS["deeplab3_cascade_identity"].items()
        for i, n in enumerate(counts)
    ),
    (plus("xception_65", separable=True), 21, PLUS["x65_sep"]),
    (plus("xception_65", separable=False), 21, PLUS["x65_plain"]),
    (plus("resnet_v1_101", separable=False), 21, PLUS["r101_plain"]),
    (plus("resnet_v1_101_beta", separable=False), 21, PLUS["r101_deep_plain"]),
    (plus("resnet_v1_101", separable=True), 21, PLUS["r101_sep"]),
    (net("dilation_front_end"), 21, COUNTS["dilation"]["front"]),
    (net("dilation8"), 21, COUNTS["dilation"]["voc_dilation8"]),
    (net("dilation10"), 19, COUNTS["dilation"]["cityscapes_dilation10_19"]),
    (net("dilation8_basic"), 11, COUNTS["dilation"]["camvid_11"]),
    (net("dilation7"), 11, COUNTS["dilation"]["kitti_11"]),
    (net("crf_rnn"), 21, COUNTS["crfrnn_trunk"] + COUNTS["crfrnn_layer"]),
    (
        net("crf_rnn_dilation8"),
        21,
        COUNTS["dilation"]["voc_dilation8"] + COUNTS["crfrnn_layer"],
    ),
    (net("segnet"), 21, COUNTS["segnet"]),
    (net("segnet"), 11, COUNTS["segnet_11"]),
    (net("segnet_basic"), 21, COUNTS["segnet_basic"]),
    (net("segnet_basic"), 11, COUNTS["segnet_basic_11"]),
    (net("unet"), 21, COUNTS["unet"]["3_21"]),
    (net("pspnet", "resnet_50_deep"), 21, PSP["50"]),
    (net("pspnet", "resnet_101_deep"), 21, PSP["101"]),
    (net("pspnet", "resnet_50_deep"), 150, PSP["50_ade150"]),
    (net("pspnet", "resnet_101_deep"), 19, PSP["101_city19"]),
    *(
        (net("refinenet", f"resnet_{depth}"), 21, count)
        for depth, count in COUNTS["refinenet_4pool_3rcu"].items()
    ),
    *(
        (net("gcn", f"resnet_{depth}"), 21, count)
        for depth, count in COUNTS["gcn_k15"].items()
    ),
]
LEARNABLE = [
    *((f"fcn{kind}", count) for kind, count in COUNTS["fcn_learnable"].items()),
    ("fcn8s_at_once", COUNTS["fcn_learnable"]["8s"]),
    ("deeplab_v2_aspp", V2["r101_aspp_conv_only"]),
    # The branches alone, and with the classifier of the base network.
    ("deeplab_v1_msc_largefov", V1["msc_largefov"] - V1["largefov"]),
    ("deeplab_v1_msc", V1["msc"] - V1["base4x4"] + 4096 * 21 + 21),
]


def _id(case):
    config, classes, _ = case
    return f"{config.head}-{config.model_variant}-{classes}-{config.cascaded_blocks}"


# By day, docs/architectures.md has the numbers of each network (`test_architectures`).
@pytest.mark.nightly
@pytest.mark.parametrize("case", TOTALS, ids=_id)
def test_parameters_are_those_of_the_system(case):
    config, num_classes, expected = case
    assert summary.summarize(config, num_classes, (65, 65)).parameters == expected


def test_every_architecture_is_counted():
    assert {config.head for config, _, _ in TOTALS} == ARCHITECTURES.keys()


@pytest.mark.parametrize(("name", "expected"), LEARNABLE)
def test_what_learns_is_what_the_authors_trained(name, expected):
    assert summary.summarize(net(name), 21, (65, 65)).learnable_parameters == expected


@pytest.mark.parametrize(
    ("variant", "expected"), [("50", PSP["50_aux"]), ("101", PSP["101_aux"])]
)
def test_auxiliary_logits_are_counted_in_training(variant, expected):
    with keras.StatelessScope(initialize_variables=False):
        model = build(
            net("pspnet", f"resnet_{variant}_deep"),
            21,
            input_size=(65, 65),
            training_form=True,
        )
        found = summary.parameters(model)
    keras.backend.clear_session()
    assert found == expected


@pytest.mark.parametrize(
    ("config", "size", "expected"),
    mark_nightly(
        [
            (net("deeplab_v1_largefov"), 321, 41),
            (net("deeplab_v1_largefov"), 513, 65),
            (net("deeplab_v2_aspp"), 513, 65),
            (v3("resnet_v1_50", output_stride=8), 513, 65),
            (v3("resnet_v1_50"), 513, 33),
            (v3("resnet_v1_50", output_stride=32), 513, 17),
            (net("pspnet"), 473, 60),
            (net("pspnet"), 713, 90),
            (net("refinenet"), 513, 129),
            (net("refinenet"), 512, 128),
            (net("fcn8s"), 500, 500),
            (net("unet"), 388, 388),
            (net("segnet"), 360, 360),
            (net("gcn"), 512, 512),
        ],
        by_day=(0, 3, 4, 6, 10, 12),
    ),
)
def test_logits_have_the_published_size(config, size, expected):
    with keras.StatelessScope(initialize_variables=False):
        found = build(config, 21, input_size=(size, size)).output_shape
    keras.backend.clear_session()
    assert found == (None, expected, expected, 21)


def test_crop_offsets_are_the_released_ones():
    for name, offsets in NUMBERS["crop_offsets"].items():
        keywords = fcn.HEADS[f"fcn{name}"].function.keywords
        skips = [skip.offset for skip in keywords.get("skips", ())]
        assert [*skips, keywords["offset"]] == offsets


@pytest.mark.parametrize("num_classes", [21, 19, 11, 150, 60])
def test_uniform_scores_cost_the_logarithm_of_the_classes(num_classes):
    expected = NUMBERS["loss_uniform"][str(num_classes)]
    assert math.log(num_classes) == pytest.approx(expected)
    # A new FCN scores 0 everywhere.
    config = dataclasses.replace(net("fcn8s"), depth_multiplier=1 / 64)
    logits = build(config, num_classes)(np.zeros((1, 9, 9, 3), np.float32))
    label = np.zeros((1, 9, 9), np.int32)
    loss = keras.losses.sparse_categorical_crossentropy(label, logits, from_logits=True)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
