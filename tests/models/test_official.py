"""The official networks: names of all variables, and logits to float precision."""

from pathlib import Path

import numpy as np
import pytest

from deeplab_tf import flags
from deeplab_tf.config import ModelConfig, TrainConfig
from deeplab_tf.models.build import build
from deeplab_tf.models.names import weights_by_name
from tests.recorded import assign_rule_weights, golden, settings

HERE = ["mobilenet_v2_dm05_os16", "mobilenet_v2_os8_even", "resnet_v1_18_os16"]
BEYOND = [
    "mobilenet_v2_ade20k_os16",
    "mobilenet_v2_aspp_decoder_os16",
    "mobilenet_v2_os16",
    "resnet_v1_50_beta_os16_even",
    "resnet_v1_50_os16",
    "xception_41_os16",
    "xception_65_os16",
    "xception_65_os16_even",
    "xception_65_os16_nosep",
    "xception_65_os16_v2style_nobn",
]
SLOW = ("resnet_v1_101", "resnet_v1_101_beta", "xception_71")
NAMES = [
    *("mobilenet_v2", "resnet_v1_18", "resnet_v1_50", "resnet_v1_50_beta"),
    *("xception_41", "xception_65"),
    *(pytest.param(variant, marks=pytest.mark.slow) for variant in SLOW),
]


def recorded_config(recorded):
    """The settings of a recorded network, through its official command line."""
    rates = [f"--atrous_rates={rate}" for rate in recorded["atrous_rates"] or ()]
    stride = f"--output_stride={recorded['output_stride']}"
    required = ["--train_logdir=run", "--dataset_dir=records"]
    command = ["train", *required, *recorded["flags"], *rates, stride]
    return flags.parse(TrainConfig, command).model


@pytest.mark.parametrize(
    "name", [*HERE, *(pytest.param(name, marks=pytest.mark.slow) for name in BEYOND)]
)
def test_logits_agree_with_the_official_ones(name):
    data = golden(f"{name}.npz")
    recorded = settings(data)
    model = build(recorded_config(recorded), recorded["num_classes"])
    assign_rule_weights(model, recorded["gain"])
    pairs = [(f"image{i}", f"logits{i}") for i in range(2) if f"image{i}" in data]
    assert pairs
    for image, logits in pairs:
        got = model(data[image][np.newaxis].astype(np.float32), training=False)
        assert got.shape == data[logits].shape
        assert np.abs(got - data[logits]).max() < 1e-4 * data[logits].std()


def test_no_recorded_network_of_these_families_is_forgotten(shared):
    families = ("mobilenet_v2", "resnet", "xception")
    recorded = {
        path.stem
        for path in (shared / "golden" / "official").glob("*.npz")
        if path.stem.startswith(families)
    }
    # An image pyramid and a dense prediction cell are not available yet.
    later = {"mobilenet_v2_pyramid_max", "xception_71_dpc_os16"}
    assert recorded - later == {*HERE, *BEYOND}


def listed(variant):
    """Name -> shape: as recorded, or of a recorded one with repeated parts."""
    recorded = Path(__file__).with_name("golden") / f"{variant}.txt"
    if recorded.exists():
        return dict(line.split() for line in recorded.read_text().splitlines())
    if variant.startswith("resnet_v1_101"):
        return deeper(listed(variant.replace("101", "50")), variant)
    return with_more_of_the_entry_flow(listed("xception_65"))


def deeper(fifty, variant):
    """A ResNet of 101 layers is one of 50 with 23 units in block3, not 6."""
    found = {}
    for name, shape in fifty.items():
        name = name.replace("resnet_v1_50", "resnet_v1_101")
        if "/block3/unit_6/" in name:
            for unit in range(6, 24):
                found[name.replace("unit_6", f"unit_{unit}")] = shape
        else:
            found[name] = shape
    return found


def with_more_of_the_entry_flow(xception_65):
    """Xception 71 has five blocks there: 128, 256, 256, 728 and 728 channels."""
    source = {"block1": ["block1"], "block2": ["block2"], "block3": ["block4"]}
    again = {"block2": ("block3", "128", "256"), "block3": ("block5", "256", "728")}
    found = {}
    for name, shape in xception_65.items():
        name = name.replace("xception_65/", "xception_71/")
        block = name.split("/")[2] if "/entry_flow/block" in name else None
        if block is None:
            found[name] = shape
            continue
        found[name.replace(block, *source[block])] = shape
        if block in again:
            other, narrow, wide = again[block]
            sides = [wide if side == narrow else side for side in shape.split("x")]
            found[name.replace(block, other)] = "x".join(sides)
    return found


@pytest.mark.parametrize("variant", NAMES)
def test_weights_have_the_official_names_and_shapes(variant):
    config = ModelConfig(
        model_variant=variant, atrous_rates=(6, 12, 18), decoder_output_stride=(4,)
    )
    weights = weights_by_name(build(config, 21))
    shapes = {name: "x".join(map(str, w.shape)) for name, w in weights.items()}
    assert shapes == listed(variant)
