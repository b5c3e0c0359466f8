"""The official networks: names of all variables, and logits to float precision."""

import math
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import flags, resize
from deeplab_tf.config import ModelConfig, TrainConfig
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.build import build
from deeplab_tf.models.multi_scale import each_scale
from deeplab_tf.models.weight_names import weights_by_name
from tests.recorded import assign_rule_weights, golden, settings

pytestmark = pytest.mark.golden

FAST = ["mobilenet_v2_dm05_os16", "mobilenet_v2_os8_even", "resnet_v1_18_os16"]
SLOW_FILES = [
    "mobilenet_edgetpu_os32",
    "mobilenet_v2_ade20k_os16",
    "mobilenet_v2_aspp_decoder_os16",
    "mobilenet_v2_os16",
    "mobilenet_v2_pyramid_max",
    "mobilenet_v3_large_seg_os32_nc19",
    "mobilenet_v3_small_seg_os32_even",
    "nas_hnasnet_os8",
    "nas_pnasnet_os16",
    "resnet_v1_50_beta_os16_even",
    "resnet_v1_50_os16",
    "xception_41_os16",
    "xception_65_os16",
    "xception_65_os16_even",
    "xception_65_os16_nosep",
    "xception_65_os16_v2style_nobn",
    "xception_71_dpc_os16",
]
# Further recorded networks, in a folder of one's own.
FOLDER = os.environ.get("DEEPLAB_GOLDEN_DIR")
OTHERS = sorted(Path(FOLDER).glob("*.npz")) if FOLDER else []
SLOW = ("resnet_v1_101", "resnet_v1_101_beta", "xception_71")
NAMES = [
    *("mobilenet_v2", "resnet_v1_18", "resnet_v1_50", "resnet_v1_50_beta"),
    *("xception_41", "xception_65"),
    *(pytest.param(variant, marks=pytest.mark.slow) for variant in SLOW),
]


def config_of(options, output_stride, rates):
    """Settings through the official command line."""
    listed = [f"--atrous_rates={rate}" for rate in rates or ()]
    required = ["--train_logdir=run", "--dataset_dir=records"]
    stride = f"--output_stride={output_stride}"
    command = ["train", *required, *options, *listed, stride]
    return flags.parse(TrainConfig, command).model


def assert_agrees(data):
    """Logits, and classes at image size where two are not as good as equal."""
    recorded = settings(data)
    config = config_of(
        recorded["flags"], recorded["output_stride"], recorded["atrous_rates"]
    )
    pairs = [i for i in range(2) if f"image{i}" in data]
    assert pairs
    for i in pairs:
        image, logits = data[f"image{i}"], data[f"logits{i}"]
        keras.backend.clear_session()
        model = build(config, recorded["num_classes"], input_size=image.shape[:2])
        assign_rule_weights(model, recorded["gain"])
        names = weights_by_name(model)
        shapes = {name: "x".join(map(str, w.shape)) for name, w in names.items()}
        assert shapes == dict(zip(data["var_names"], data["var_shapes"], strict=True))
        found = each_scale(model, config)(image[np.newaxis].astype(np.float32))
        *scales, merged = tf.nest.flatten(found)
        assert merged.shape == logits.shape
        assert np.abs(merged - logits).max() < 1e-4 * logits.std()
        for scale, got in zip(config.image_pyramid, scales, strict=True):
            expected = data[f"scale_logits_{scale:.2f}_{i}"]
            assert np.abs(got - expected).max() < 1e-4 * logits.std()
        wide = resize.bilinear(merged, image.shape[:2]).numpy()
        second, first = np.moveaxis(np.sort(wide, axis=-1)[..., -2:], -1, 0)
        sure = first - second > 2e-4 * logits.std()
        assert (np.argmax(wide, axis=-1) == data[f"argmax{i}"])[sure].all()


@pytest.mark.parametrize(
    "name",
    [*FAST, *(pytest.param(name, marks=pytest.mark.nightly) for name in SLOW_FILES)],
)
def test_logits_agree_with_the_official_ones(name):
    assert_agrees(golden(f"{name}.npz"))


@pytest.mark.nightly
@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_further_recorded_networks_agree(path):
    assert_agrees(np.load(path))


def test_no_recorded_network_is_forgotten(shared):
    families = ("mobilenet", "resnet", "xception", "nas")
    recorded = {
        path.stem
        for path in (shared / "golden" / "official").glob("*.npz")
        if path.stem.startswith(families)
    }
    assert recorded == {*FAST, *SLOW_FILES}


DEEP = ("xception", "resnet_v1_50", "resnet_v1_101", "nas")


def rows():
    """Of the table of official networks."""
    table = Path(__file__).parents[1] / "golden" / "networks.md"
    lines = [line for line in table.read_text().splitlines() if line.startswith("| ")]
    for number, line in enumerate(lines[2:]):
        name, options, stride, rates, classes, *counts = line.strip("| ").split(" | ")
        config = (options.strip("`").split(), int(stride), eval(rates))
        by_day = number % 3 == 0 and not name.startswith(DEEP)
        marks = () if by_day else pytest.mark.nightly
        expected = list(map(int, counts[:3]))
        yield pytest.param(config, int(classes), expected, id=name, marks=marks)


def test_every_official_backbone_is_in_the_table():
    options = " ".join(option for row in rows() for option in row.values[0][0])
    families = ("mobilenet_", "nas_", "resnet_v1_", "xception_")
    official = [name for name in BACKBONES if name.startswith(families)]
    assert [name for name in official if f"variant={name}" not in options] == []


@pytest.mark.parametrize(("options", "classes", "counts"), rows())
def test_networks_have_the_official_number_of_variables_and_parameters(
    options, classes, counts
):
    with keras.StatelessScope(initialize_variables=False):
        model = build(config_of(*options), classes)
    weights = weights_by_name(model).values()
    total = sum(math.prod(w.shape) for w in weights)
    trainable = sum(math.prod(w.shape) for w in model.trainable_variables)
    assert [len(weights), total, trainable] == counts


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
    with keras.StatelessScope(initialize_variables=False):
        weights = weights_by_name(build(config, 21))
    shapes = {name: "x".join(map(str, w.shape)) for name, w in weights.items()}
    assert shapes == listed(variant)
