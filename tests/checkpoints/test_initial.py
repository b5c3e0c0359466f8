"""What a network starts from: fc6 and fc7 decimated, and earlier networks."""

import numpy as np
import pytest

from deeplab_tf.checkpoints import restore
from deeplab_tf.checkpoints.keras_applications import InMemoryCheckpoint
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import InputError
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from tests.at_night import mark_nightly
from tests.checkpoints.test_restore import write_tf1

WIDTH = 1 / 16


def vgg(architecture):
    config = ModelConfig(
        architecture=architecture, model_variant="vgg_16", depth_multiplier=WIDTH
    )
    return build(config, 5)


def slim(rng, path):
    """VGG-16 as TF-slim names it, of a sixteenth of its width."""
    arrays = {
        name: rng.normal(size=weight.shape).astype(np.float32)
        for name, weight in weights_by_name(vgg("fcn32s")).items()
        if name.startswith("vgg_16/")
    }
    extras = {"vgg_16/fc8/weights": np.zeros((1, 1, 256, 9), np.float32)}
    extras |= {"vgg_16/mean_rgb": np.zeros(3), "global_step": np.int64(1)}
    write_tf1(path, arrays | extras)
    return arrays


@pytest.mark.parametrize(
    ("architecture", "suffixes", "pixels", "outputs"),
    mark_nightly(
        [
            ("fcn32s", [""], [0, 1, 2, 3, 4, 5, 6], 1),
            ("deeplab_v1", [""], [0, 2, 4, 6], 1),
            ("deeplab_v1_largefov", [""], [0, 3, 6], 4),
            ("deeplab_v2_aspp", ["_1", "_2", "_3", "_4"], [0, 3, 6], 4),
        ],
        by_day=(0, 3),
    ),
)
def test_fc6_and_fc7_of_vgg_are_decimated(
    tmp_path, rng, architecture, suffixes, pixels, outputs
):
    arrays = slim(rng, tmp_path / "vgg_16.ckpt")
    model = vgg(architecture)
    report = restore.initialize(model, str(tmp_path / "vgg_16.ckpt"))
    found = weights_by_name(model)
    assert set(report.restored) == {n for n in found if n.startswith("vgg_16/")}
    assert report.unused == ("vgg_16/fc8/weights", "vgg_16/mean_rgb")
    fc6, fc7 = arrays["vgg_16/fc6/weights"], arrays["vgg_16/fc7/weights"]
    for suffix in suffixes:
        expected = {
            f"vgg_16/fc6{suffix}/weights": fc6[pixels][:, pixels][..., ::outputs],
            f"vgg_16/fc6{suffix}/biases": arrays["vgg_16/fc6/biases"][::outputs],
            f"vgg_16/fc7{suffix}/weights": fc7[:, :, ::outputs, ::outputs],
            f"vgg_16/fc7{suffix}/biases": arrays["vgg_16/fc7/biases"][::outputs],
        }
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    name = "vgg_16/conv5/conv5_3/weights"
    np.testing.assert_array_equal(found[name], arrays[name])


def stored(shapes):
    arrays = {name: np.zeros(shape) for name, shape in shapes.items()}
    return InMemoryCheckpoint("vgg", {n: n for n in shapes}, shapes, arrays)


def test_branches_of_the_same_network_are_taken_as_they_are():
    shapes = {"vgg_16/fc6_1/weights": (3, 3, 8, 4), "vgg_16/fc6/weights": (7, 7, 8, 16)}
    found = restore.decimate(
        stored(shapes), {"vgg_16/fc6_1/weights": (3, 3, 8, 4), "logits/weights": (1,)}
    )
    assert found.keys["vgg_16/fc6_1/weights"] == "vgg_16/fc6_1/weights"


@pytest.mark.parametrize(
    "wants", [(5, 5, 8, 4), (9, 9, 8, 4), (3, 3, 8, 5), (3, 3, 8, 32), (1, 1, 8, 4)]
)
def test_what_leaving_out_cannot_give_stays_and_fails_by_its_shape(wants):
    source = stored({"vgg_16/fc6/weights": (7, 7, 8, 16)})
    assert restore.decimate(source, {"vgg_16/fc6/weights": wants}) is source


def save(model, folder):
    return CheckpointManager(folder, {"weights": weights_by_name(model)}, keep=1).save(
        1
    )


@pytest.mark.parametrize(
    ("coarse", "fine", "new"),
    [
        ("fcn32s", "fcn16s", {"score_pool4", "upscore2", "upscore16"}),
        ("fcn16s", "fcn8s", {"score_pool3", "upscore_pool3", "upscore8"}),
    ],
)
def test_fcn_with_a_further_skip_starts_from_the_one_before(
    tmp_path, rng, coarse, fine, new
):
    before, model = vgg(coarse), vgg(fine)
    for weight in weights_by_name(before).values():
        weight.assign(rng.normal(size=weight.shape))
    report = restore.initialize(model, save(before, tmp_path))
    assert {name.split("/")[1] for name in report.missing} == new
    assert "newly initialized, as usual for a new head: logits/score_pool" in str(
        report
    )
    found, source = weights_by_name(model), weights_by_name(before)
    for name in report.restored:
        np.testing.assert_array_equal(found[name], source[name])
    (skip,) = (name for name in new if name.startswith("score"))
    assert not np.any(found[f"logits/{skip}/weights"])
    assert not np.any(found[f"logits/{skip}/biases"])


def test_a_network_that_is_more_than_its_backbone_starts_from_a_classifier(
    tmp_path, rng
):
    """As SegNet, whose VGG is less than half of its weights."""
    arrays = slim(rng, tmp_path / "vgg_16.ckpt")
    kept = {name: arrays[name] for name in list(arrays)[:6]}
    write_tf1(tmp_path / "small.ckpt", kept)
    report = restore.initialize(vgg("fcn32s"), str(tmp_path / "small.ckpt"))
    assert set(report.restored) == set(kept)


def test_a_checkpoint_with_nothing_for_the_network_starts_nothing(tmp_path):
    write_tf1(tmp_path / "other.ckpt", {"logits/other/weights": np.zeros(3)})
    with pytest.raises(InputError, match="has 0 of 30 weights"):
        restore.initialize(vgg("fcn32s"), str(tmp_path / "other.ckpt"))
