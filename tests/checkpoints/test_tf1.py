"""Checkpoints as TensorFlow 1 writes them, and what a checkpoint is told to be."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import flags
from deeplab_tf.checkpoints import __main__ as command
from deeplab_tf.checkpoints import infer_config, tf1
from deeplab_tf.checkpoints.reader import open_checkpoint
from deeplab_tf.config import ModelConfig, TrainConfig
from deeplab_tf.errors import InputError
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.run import train
from tests.recorded import SMALL, TINY, assign_rule_weights
from tests.training.test_run import config as train_config


def contents(path):
    reader = tf.train.load_checkpoint(str(path))
    return {
        name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        other = found[name]
        assert np.asarray(other).dtype == np.asarray(value).dtype, name
        assert np.asarray(other).shape == np.asarray(value).shape, name
        assert np.asarray(other).tobytes() == np.asarray(value).tobytes(), name


@pytest.mark.golden
def test_an_official_checkpoint_is_written_back_bit_by_bit(shared, tmp_path):
    source = shared / "golden" / "official" / "checkpoint"
    assert command.main(["convert", str(source), str(tmp_path / "a" / "m.ckpt-3")]) == 0
    written = contents(tmp_path / "a")
    assert_same(written, contents(source))
    assert "global_step" in written
    assert any(name.endswith("/Momentum") for name in written)


@pytest.mark.nightly
def test_a_run_of_ours_is_written_with_official_names(shapes, tmp_path):
    train(train_config(tmp_path / "run", shapes, 1, model=TINY))
    tf1.convert(str(tmp_path / "run"), str(tmp_path / "old" / "model.ckpt-1"))
    written = contents(tmp_path / "old")
    names = set(weights_by_name(build(TINY, 6)))
    slots = {name for name in written if name.endswith("/Momentum")}
    assert written.keys() == names | slots | {"global_step"}
    assert {name.removesuffix("/Momentum") for name in slots} <= names
    assert written["global_step"] == 1
    assert written["global_step"].dtype == np.int64
    ours = open_checkpoint(str(tmp_path / "run"))
    for name, value in ours.values(ours.keys).items():
        np.testing.assert_array_equal(written[name], value)


def test_a_checkpoint_is_not_written_over(tmp_path):
    arrays = {"logits/semantic/biases": np.zeros(3, np.float32)}
    tf1.write(str(tmp_path / "model.ckpt-1"), arrays)
    with pytest.raises(InputError, match="is there already"):
        tf1.write(str(tmp_path / "model.ckpt-1"), arrays)


def rule_checkpoint(folder, config, classes):
    model = build(config, classes)
    assign_rule_weights(model, 1.6)
    arrays = {name: w.numpy() for name, w in weights_by_name(model).items()}
    tf1.write(str(folder / "model.ckpt"), arrays)
    return folder


CONFIGS = {
    "mobilenet_v2": ModelConfig(depth_multiplier=0.5),
    "decoder": SMALL,
    "mobilenet_v3": ModelConfig(
        model_variant="mobilenet_v3_small_seg",
        output_stride=16,
        aspp_convs_filters=128,
        aspp_with_concat_projection=False,
        aspp_with_squeeze_and_excitation=True,
        image_se_uses_qsigmoid=True,
        decoder_output_stride=(8,),
        decoder_use_sum_merge=True,
        decoder_output_is_logits=True,
        decoder_filters=7,
    ),
    "edgetpu": ModelConfig(model_variant="mobilenet_edgetpu", depth_multiplier=0.75),
    "resnet": ModelConfig(
        model_variant="resnet_v1_18_beta",
        atrous_rates=(6, 12, 18),
        decoder_output_stride=(4,),
        aspp_with_separable_conv=False,
        decoder_use_separable_conv=False,
    ),
    "v2": ModelConfig(
        depth_multiplier=0.25,
        aspp_with_batch_norm=False,
        atrous_rates=(6, 12, 18),
        logits_kernel_size=3,
    ),
    "xception": ModelConfig(
        model_variant="xception_41",
        atrous_rates=(6, 12, 18),
        add_image_level_feature=False,
        decoder_output_stride=(16, 4),
    ),
}


LARGE = ("edgetpu", "resnet", "xception")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.nightly if name in LARGE else ())
        for name in CONFIGS
    ],
)
def test_flags_are_told_that_load_a_checkpoint(name, tmp_path, capsys, monkeypatch):
    expected = CONFIGS[name]
    folder = rule_checkpoint(tmp_path, expected, 7)
    assert infer_config.infer_model_config(open_checkpoint(str(folder))) == expected
    assert command.main(["inspect", str(folder)]) == 0
    told = dict(
        line.split(maxsplit=1)
        for line in capsys.readouterr().out.splitlines()
        if line[0] != " "
    )
    assert told["classes"] == "7"
    assert told["variant"] == expected.model_variant
    required = ["--train_logdir=run", "--dataset_dir=records"]
    parsed = flags.parse(TrainConfig, ["train", *required, *told["flags"].split()])
    assert parsed.model == expected


def test_inspection_says_whether_the_flags_take_all_of_it(tmp_path, capsys):
    folder = rule_checkpoint(tmp_path, CONFIGS["mobilenet_v2"], 7)
    command.main(["inspect", str(folder)])
    assert "it has just these weights" in capsys.readouterr().out


def test_what_is_no_checkpoint_is_one_line(tmp_path, capsys):
    assert command.main(["inspect", str(tmp_path / "nothing")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ERROR: ")
    assert error.count("\n") == 1
    tf1.write(str(tmp_path / "vgg"), {"vgg_16/conv1/weights": np.zeros(3, np.float32)})
    assert command.main(["inspect", str(tmp_path / "vgg")]) == 1
    assert "its scopes are vgg_16" in capsys.readouterr().err
