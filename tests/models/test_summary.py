"""Counts: by hand, and as published; the command that lists them."""

import dataclasses
import json

import keras
import pytest
from keras import layers

from deeplab_tf import cli
from deeplab_tf.config import ModelConfig
from deeplab_tf.config.architectures import ARCHITECTURES
from deeplab_tf.config.fields import Overrides
from deeplab_tf.errors import FlagError
from deeplab_tf.models import __main__ as command
from deeplab_tf.models import summary
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.build import build
from deeplab_tf.models.heads.dilation import GroupedUpscore
from deeplab_tf.models.weight_names import weights_by_name
from tests.recorded import SMALL
from tests.test_scripts import call

KEYS = [
    *("architecture", "model_variant", "num_classes", "parameters"),
    *("learnable_parameters", "output_stride", "receptive_field", "multiply_adds"),
]
XCEPTION = ModelConfig(
    model_variant="xception_65", atrous_rates=(6, 12, 18), decoder_output_stride=(4,)
)
PLAIN = dataclasses.replace(
    XCEPTION, aspp_with_separable_conv=False, decoder_use_separable_conv=False
)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: layers.Conv2D(5, 3, padding="same"), 40 * 30 * 5 * 9 * 4),
        (lambda: layers.Conv2D(5, 3, strides=2, padding="same"), 20 * 15 * 5 * 9 * 4),
        (lambda: layers.Conv2D(6, 3, groups=2), 38 * 28 * 6 * 9 * 2),
        (lambda: layers.DepthwiseConv2D(3, dilation_rate=2), 36 * 26 * 9 * 4),
        (lambda: layers.SeparableConv2D(5, 3), 38 * 28 * (9 * 4 + 4 * 5)),
        (lambda: layers.Conv2DTranspose(5, 4, strides=2), 40 * 30 * 16 * 4 * 5),
        (lambda: GroupedUpscore(8), 40 * 30 * 16 * 16 * 4),
        (lambda: layers.MaxPooling2D(3), 0),
    ],
)
def test_a_convolution_multiplies_its_kernel_at_each_position(make, expected):
    images = keras.Input((40, 30, 4))
    assert summary.multiply_adds(keras.Model(images, make()(images))) == expected


def test_multiply_adds_are_those_of_the_deeplab_v3plus_paper():
    # Table 5 of Chen et al. 2018: 89.76 and 68.00 G with and without decoder. Its
    # 54.17 G of the separable network hold cells of space-to-batch padding; without
    # them they are 54.04.
    bare = dataclasses.replace(PLAIN, decoder_output_stride=())
    found = [
        summary.summarize(config, 21, (513, 513)).multiply_adds / 1e9
        for config in (PLAIN, bare, XCEPTION)
    ]
    assert found[0] - found[1] == pytest.approx(89.76 - 68.00, abs=0.005)
    assert found[2] == pytest.approx(54.04, abs=0.005)


def test_fixed_parameters_are_counted_and_statistics_are_not():
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, name="learns")(x)
    y = layers.BatchNormalization(name="norm")(y)
    y = layers.Dropout(0.5, name="dropout")(y)
    fixed = layers.Conv2D(2, 1, trainable=False, name="fixed")
    model = keras.Model(x, fixed(y))
    assert summary.parameters(model) == (3 * 9 * 4 + 4) + 2 * 4 + (4 * 2 + 2)


@pytest.mark.parametrize(
    ("config", "parameters", "learnable"),
    [
        (ModelConfig(architecture="fcn8s"), 134489759, 134362751),
        (ModelConfig(architecture="deeplab_v1_msc_largefov"), 21711550, 1206121),
        # Batch norm's scale and offset do not learn.
        (ModelConfig(architecture="deeplab_v2_aspp"), 44048532, 43943188),
    ],
)
def test_parameters_are_those_of_the_released_networks(config, parameters, learnable):
    size = summary.summarize(config, 21, (65, 65))
    assert (size.parameters, size.learnable_parameters) == (parameters, learnable)


def test_counting_gives_weights_no_values(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("a weight was made")

    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", fail)
    assert summary.summarize(SMALL, 21, (65, 65)).parameters
    with pytest.raises(AssertionError, match="a weight was made"):
        build(SMALL, 21)


def test_networks_that_are_built_after_counting_have_values():
    summary.summarize(SMALL, 21, (65, 65))
    model = build(SMALL, 21)
    kernel = weights_by_name(model)["decoder/decoder_conv0_pointwise/weights"]
    assert float(keras.ops.std(kernel)) > 0


def test_an_image_pyramid_adds_up_what_its_scales_cost():
    scaled = dataclasses.replace(SMALL, image_pyramid=(1.0, 0.5))
    both, whole, half = (
        summary.summarize(config, 5, side)
        for config, side in (
            (scaled, (65, 129)),
            (SMALL, (65, 129)),
            (SMALL, (33, 65)),
        )
    )
    assert both.multiply_adds == whole.multiply_adds + half.multiply_adds
    assert both.parameters == whole.parameters
    # At half the scale, neighbors lie two pixels apart.
    assert both.receptive_field == 2 * (whole.receptive_field - 1) + 1


def listed(capsys, **settings):
    given = settings.pop("given", {})
    config = command.ListConfig(**settings, model=Overrides(ModelConfig(), given))
    command.run(config)
    return capsys.readouterr().out


def test_one_network_is_one_object(capsys):
    given = {"architecture": "deeplab_v1_largefov"}
    found = json.loads(listed(capsys, json=True, num_classes=7, given=given))
    assert list(found) == KEYS
    assert found["architecture"] == "deeplab_v1_largefov"
    assert found["model_variant"] == "vgg_16"
    assert found["num_classes"] == 7
    assert found["parameters"] == 20505429 - (21 - 7) * 1025
    assert found["output_stride"] == 8
    assert found["receptive_field"] == 435


def test_a_feature_extractor_alone_is_one_network_as_the_other_commands_build_it(
    capsys,
):
    given = {"model_variant": "resnet_v1_18", "decoder_output_stride": (4,)}
    found = json.loads(listed(capsys, json=True, given=given))
    assert found["architecture"] == "deeplab_v3plus"
    assert found["model_variant"] == "resnet_v1_18"


def test_a_table_is_printed_for_readers(capsys):
    given = {"architecture": "fcn32s"}
    text = listed(capsys, input_size=(300, 200), given=given)
    title, _, headings, row = text.splitlines()
    assert "21 classes" in title
    assert "300x200" in title
    assert headings.split()[:3] == ["architecture", "model_variant", "parameters"]
    assert row.split()[:4] == ["fcn32s", "vgg_16", "136,152,917", "134,346,581"]
    assert len(row) == len(headings)


def test_a_listing_tells_what_does_not_take_a_flag(capsys, caplog, monkeypatch):
    few = {name: ARCHITECTURES[name] for name in ("fcn8s", "deeplab_v3")}
    monkeypatch.setattr(command, "ARCHITECTURES", few)
    monkeypatch.setattr(
        "deeplab_tf.models.backbones.BACKBONES",
        {"resnet_v1_18": BACKBONES["resnet_v1_18"]},
    )
    found = json.loads(listed(capsys, json=True, given={"output_stride": 8}))
    names = [(size["architecture"], size["model_variant"]) for size in found]
    assert names == [("deeplab_v3", "mobilenet_v2"), ("deeplab_v3", "resnet_v1_18")]
    assert [size["output_stride"] for size in found] == [8, 8]
    (message,) = caplog.messages
    assert message.startswith("Left out fcn8s: --output_stride=8: one of 32 is needed")


def test_sizes_must_be_sizes():
    with pytest.raises(FlagError, match=r"--input_size=0,0: more than 0"):
        command.ListConfig(input_size=(0, 0))
    with pytest.raises(FlagError, match=r"--num_classes=0: more than 0"):
        command.ListConfig(num_classes=0)


def test_the_command_takes_the_flags_of_a_network(monkeypatch, capsys):
    flags = "--architecture=deeplab_v3plus --input_size=257 --aspp_convs_filters=16"
    monkeypatch.setattr("sys.argv", ["models", *flags.split(), "--json"])
    cli.run(command.ListConfig, command.run)
    found = json.loads(capsys.readouterr().out)
    config = ModelConfig(decoder_output_stride=(4,), aspp_convs_filters=16)
    expected = summary.summarize(config, 21, (257, 257))
    assert found == dataclasses.asdict(expected)


@pytest.mark.nightly
def test_the_list_has_every_architecture_and_feature_extractor():
    done = call("-m", "deeplab_tf.models", "--json", "--input_size=513,513")
    assert done.returncode == 0, done.stderr
    assert "Left out" not in done.stderr
    sizes = json.loads(done.stdout)
    assert [size["architecture"] for size in sizes[: len(ARCHITECTURES)]] == [
        *ARCHITECTURES
    ]
    free = {name for name, backbone in BACKBONES.items() if not backbone.only_for}
    assert free <= {size["model_variant"] for size in sizes}
    assert all(list(size) == KEYS for size in sizes)
    assert all(isinstance(size[key], int) for size in sizes for key in KEYS[2:])


@pytest.mark.slow
def test_help_defines_its_numbers_and_does_not_load_tensorflow():
    done = call("-X", "importtime", "-m", "deeplab_tf.models", "--help")
    assert done.returncode == 0
    for key in KEYS[3:]:
        assert f"{key}: " in done.stdout
    assert "tensorflow" not in {line.split()[-1] for line in done.stderr.splitlines()}
