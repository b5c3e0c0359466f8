"""Weights by official name, from TensorFlow 1 and from our own checkpoints."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints import reader, restore
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import InputError
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import LOGITS, last_layers
from deeplab_tf.models.weight_names import weights_by_name
from tests.recorded import SMALL, assign_rule_weights

PLAIN = ModelConfig(depth_multiplier=0.25)


def write_tf1(path, arrays):
    """A checkpoint as TensorFlow 1 writes it: tensors by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(value) for value in arrays.values()],
    )


def tf1_arrays(model):
    """A network's weights as an official checkpoint holds them, with its extras."""
    arrays = {n: w.numpy() for n, w in weights_by_name(model).items()}
    slots = {f"{name}/Momentum": np.ones_like(v) for name, v in arrays.items()}
    return arrays | slots | {"global_step": np.int64(7)}


@pytest.fixture(scope="module")
def official_folder(tmp_path_factory):
    """Folder of a TF1 checkpoint of `PLAIN` with 5 classes."""
    model = build(PLAIN, 5)
    assign_rule_weights(model, 1.6)
    folder = tmp_path_factory.mktemp("official")
    write_tf1(folder / "model.ckpt-7", tf1_arrays(model))
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-7"\n')
    return folder


@pytest.fixture
def official(official_folder, tmp_path):
    """Prefix of a copy of it, which a test may change."""
    shutil.copytree(official_folder, tmp_path / "official")
    return tmp_path / "official" / "model.ckpt-7"


def same(model, other):
    ours, theirs = weights_by_name(model), weights_by_name(other)
    return {n for n in ours if np.array_equal(ours[n].numpy(), theirs[n].numpy())}


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001"])
def test_a_checkpoint_is_found_by_any_of_its_names(official, suffix):
    assert reader.find_checkpoint(f"{official}{suffix}") == str(official)
    assert reader.find_checkpoint(str(official.parent)) == str(official)


def test_a_folder_without_a_checkpoint_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(
        InputError, match=r"no checkpoint in this folder; it holds notes"
    ):
        reader.find_checkpoint(str(tmp_path))
    with pytest.raises(InputError, match="no such checkpoint"):
        reader.find_checkpoint(str(tmp_path / "model.ckpt-3"))


@pytest.mark.parametrize("name", ["exported/saved_model.pb", "exported.onnx"])
def test_an_export_is_told_from_a_checkpoint(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"export")
    path = tmp_path / name.partition("/")[0]
    with pytest.raises(InputError, match=r"an export, .*runtime\.Segmenter"):
        reader.find_checkpoint(str(path))


def test_a_folder_with_one_checkpoint_needs_no_state_file(official):
    (official.parent / "checkpoint").unlink()
    assert reader.find_checkpoint(str(official.parent)) == str(official)


def test_without_a_state_file_the_greatest_step_is_the_newest(official):
    folder = official.parent
    for path in list(folder.glob("model.ckpt-7.*")):
        shutil.copy(path, folder / path.name.replace("-7.", "-10."))
    (folder / "checkpoint").unlink()
    assert reader.find_checkpoint(str(folder)) == str(folder / "model.ckpt-10")


def test_extras_of_the_trainer_are_no_weights(official):
    stored = reader.open_checkpoint(str(official))
    assert stored.shapes["logits/semantic/weights"] == (1, 1, 256, 5)
    assert not [name for name in stored.keys if "Momentum" in name or "step" in name]


def test_a_network_takes_all_weights_of_its_official_checkpoint(official):
    model, expected = build(PLAIN, 5), build(PLAIN, 5)
    assign_rule_weights(expected, 1.6)
    report = restore.restore(model, str(official))
    assert same(model, expected) == set(report.restored) == set(weights_by_name(model))
    assert (
        str(report) == f"Restored {len(report.restored)}/{len(report.restored)} weights"
    )


@pytest.mark.parametrize(
    ("config", "classes", "message"),
    [
        (
            PLAIN,
            7,
            "logits/semantic/.* is .*5 there, .*7 here.*5 classes, the data set 7",
        ),
        (SMALL, 5, "lacks .*decoder"),
        (
            dataclasses.replace(PLAIN, atrous_rates=(6, 12)),
            5,
            r"lacks 20 weights \(aspp1_.*check --atrous_rates",
        ),
        (
            dataclasses.replace(PLAIN, add_image_level_feature=False),
            5,
            r"has 5 that this network has not \(image_pooling.*--add_image_level",
        ),
        (
            dataclasses.replace(PLAIN, depth_multiplier=0.5),
            5,
            "was trained with --model_variant=mobilenet_v2 --depth_multiplier=0.25",
        ),
        (
            ModelConfig(model_variant="resnet_v1_18"),
            5,
            "check --model_variant=mobilenet_v2: it is of .*MobilenetV2",
        ),
    ],
)
def test_a_checkpoint_of_another_network_says_which_flag_to_set(
    official, config, classes, message
):
    with pytest.raises(InputError, match=message):
        restore.restore(build(config, classes), str(official))


def test_a_failed_restore_changes_nothing(official):
    model = build(PLAIN, 7)
    before = {n: w.numpy().copy() for n, w in weights_by_name(model).items()}
    with pytest.raises(InputError):
        restore.restore(model, str(official))
    after = weights_by_name(model)
    assert all(np.array_equal(before[n], after[n].numpy()) for n in before)


def test_other_classes_start_with_new_logits_and_all_else_bit_by_bit(official):
    model, expected = build(PLAIN, 9), build(PLAIN, 5)
    assign_rule_weights(expected, 1.6)
    report = restore.initialize(model, str(official), exclude=LOGITS)
    logits = {"logits/semantic/weights", "logits/semantic/biases"}
    assert set(report.excluded) == logits
    assert same(model, expected) == set(weights_by_name(model)) - logits
    assert "2 newly initialized, as asked: logits/semantic/biases" in str(report)


def test_the_last_layers_are_those_behind_the_backbone(official):
    model = build(PLAIN, 9)
    report = restore.initialize(model, str(official), exclude=last_layers())
    assert all(name.startswith("MobilenetV2/") for name in report.restored)
    assert {name.split("/")[0] for name in report.excluded} == {
        "aspp0",
        "image_pooling",
        "concat_projection",
        "logits",
    }


def test_other_classes_without_new_logits_are_an_error_with_the_flags(official):
    with pytest.raises(InputError, match="--last_layers_contain_logits_only=true"):
        restore.initialize(build(PLAIN, 9), str(official))


def test_what_the_checkpoint_lacks_starts_anew_and_is_told(official):
    config = dataclasses.replace(PLAIN, decoder_output_stride=(4,))
    report = restore.initialize(build(config, 5), str(official))
    assert all(name.startswith("decoder/") for name in report.missing)
    assert "25 newly initialized, as usual for a new head: decoder/" in str(report)


def test_a_classifier_of_images_starts_a_backbone(official, tmp_path):
    arrays = {
        name: value
        for name, value in tf1_arrays(build(PLAIN, 5)).items()
        if name.startswith("MobilenetV2/")
    }
    arrays["MobilenetV2/Logits/Conv2d_1c_1x1/weights"] = np.zeros((1, 1, 80, 9))
    write_tf1(tmp_path / "imagenet.ckpt", arrays)
    report = restore.initialize(build(PLAIN, 5), str(tmp_path / "imagenet.ckpt"))
    assert report.unused == ("MobilenetV2/Logits/Conv2d_1c_1x1/weights",)
    assert all(name.startswith("MobilenetV2/") for name in report.restored)


def test_a_checkpoint_of_another_backbone_starts_nothing(official):
    model = build(ModelConfig(model_variant="resnet_v1_18"), 5)
    with pytest.raises(InputError, match=r"has 0 of .* of resnet_v1_18: it is of"):
        restore.initialize(model, str(official))


def test_a_damaged_checkpoint_is_named(official):
    data = official.parent / "model.ckpt-7.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.ckpt-7: a damaged checkpoint"):
        restore.restore(build(PLAIN, 5), str(official))
    (official.parent / "model.ckpt-7.index").write_bytes(b"nothing")
    with pytest.raises(InputError, match="a damaged checkpoint"):
        reader.open_checkpoint(str(official))


def test_a_native_checkpoint_is_read_by_the_same_names(tmp_path):
    model, other = build(SMALL, 5), build(SMALL, 5)
    assign_rule_weights(model, 1.6)
    state = {"weights": weights_by_name(model)}
    checkpoints = CheckpointManager(tmp_path, state, keep=2)
    prefix = checkpoints.save(12)
    stored = reader.open_checkpoint(prefix)
    assert set(stored.keys) == set(weights_by_name(model))
    restore.restore(other, str(tmp_path))
    assert same(model, other) == set(weights_by_name(model))


def test_a_checkpoint_folder_may_be_moved(official, tmp_path):
    shutil.move(official.parent, tmp_path / "moved")
    assert reader.find_checkpoint(str(tmp_path / "moved")).endswith(
        "moved/model.ckpt-7"
    )


@pytest.mark.slow
def test_the_recorded_official_checkpoint_is_read(shared):
    path = shared / "golden" / "official" / "checkpoint"
    model, expected = (build(ModelConfig(depth_multiplier=0.5), 21) for _ in range(2))
    assign_rule_weights(expected, 1.6)
    report = restore.restore(model, str(path))
    assert same(model, expected) == set(report.restored) == set(weights_by_name(model))
