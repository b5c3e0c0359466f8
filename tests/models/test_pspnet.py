"""PSPNet: parts of the image and their means, and what only the training sees."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints import reader, restore
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.compat import source_layer
from deeplab_tf.config import LossConfig, ModelConfig
from deeplab_tf.data.specs import DATASETS
from deeplab_tf.errors import InputError
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import LOGITS
from deeplab_tf.models.heads.pspnet import BINS, BinMeans
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.losses import total as losses
from tests.recorded import assert_all_learn, assign_rule_weights

NARROW = ModelConfig(architecture="pspnet", depth_multiplier=1 / 16)


@functools.cache  # Tests read it and do not change it.
def network(*, learning=False):
    """The narrow one of 3 classes with the rule's weights."""
    model = build(NARROW, 3, training_form=learning)
    assign_rule_weights(model, 1.3)
    return model


def means_by_hand(x, bins):
    """Of `[h, w, C]`: each part from the floor of its start to the ceiling of its end.

    The rule of torch.nn.AdaptiveAvgPool2d.
    """
    found = np.zeros((bins, bins, x.shape[-1]))
    for i, j in np.ndindex(bins, bins):
        rows, columns = (
            slice(math.floor(k * length / bins), math.ceil((k + 1) * length / bins))
            for k, length in zip((i, j), x.shape[:2], strict=True)
        )
        found[i, j] = x[rows, columns].mean((0, 1))
    return found


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("size", [(13, 9), (6, 12), (4, 65), (1, 1)])
def test_bins_divide_a_map_of_any_size(rng, bins, size):
    x = rng.normal(size=(1, *size, 3)).astype(np.float32)
    found = BinMeans(bins)(x)
    np.testing.assert_allclose(found[0], means_by_hand(x[0], bins), atol=1e-5)


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("side", [60, 90])
def test_bins_are_the_fixed_windows_of_the_published_sizes(rng, bins, side):
    x = rng.normal(size=(1, side, side, 2)).astype(np.float32)
    windows = keras.layers.AveragePooling2D(side // bins)(x)
    np.testing.assert_allclose(BinMeans(bins)(x), windows, atol=1e-5)


def branches(model):
    """A model of the means over 6x6, 3x3, 2x2 bins and one, then of what joins."""
    outputs = [
        model.get_layer(f"pyramid_pooling.bin{bins}.{part}").output
        for part in ("mean", "resize")
        for bins in BINS
    ]
    features = model.get_layer("pyramid_pooling.bin1.mean").input
    return keras.Model(features, outputs)


def test_means_of_a_constant_map_are_that_constant(rng):
    constant = np.tile(rng.normal(size=(1, 1, 1, 128)), (1, 13, 9, 1))
    found = branches(network())(constant.astype(np.float32))
    for mean in found[:4]:
        np.testing.assert_allclose(mean - constant[:, :1, :1], 0 * mean, atol=1e-5)


def test_the_mean_of_all_is_the_same_everywhere(rng):
    found = branches(network())(rng.normal(size=(1, 13, 9, 128)).astype(np.float32))
    spreads = [np.std(branch, axis=(1, 2)).max() for branch in found[4:]]
    assert spreads[-1] < 1e-6 < 1e-2 < min(spreads[:-1])


@pytest.mark.nightly
@pytest.mark.parametrize(("size", "cells"), [(473, 60), (713, 90), (513, 65)])
def test_maps_have_the_published_sizes(size, cells):
    model = build(NARROW, 21, input_size=(size, size), training_form=True)
    joined = model.get_layer("pyramid_pooling.concat").output
    # An eighth of 4096 at an eighth of the width, and so on.
    assert joined.shape == (None, cells, cells, 4096 // 16)
    assert [output.shape[1:] for output in model.outputs] == [(cells, cells, 21)] * 2


def test_the_parts_are_joined_behind_the_features_from_fine_to_coarse():
    joined = network().get_layer("pyramid_pooling.concat")
    names = [source_layer(tensor) for tensor in joined.input]
    assert names[1:] == [f"pyramid_pooling.bin{b}.resize" for b in (6, 3, 2, 1)]


def test_only_the_training_sees_auxiliary_logits(rng):
    learning, predicting = network(learning=True), network()
    more = weights_by_name(learning).keys() - weights_by_name(predicting).keys()
    assert {name.split("/")[1] for name in more} == {"conv", "logits"}
    assert all(name.startswith("auxiliary/") for name in more)
    assert len(more) == 7
    images = rng.uniform(0, 255, (1, 33, 41, 3)).astype(np.float32)
    np.testing.assert_allclose(learning(images)[-1], predicting(images), atol=1e-5)


def test_auxiliary_logits_are_of_the_last_block_but_one():
    model = network(learning=True)
    names = {
        layer.name
        for layer in keras.Model(model.input, model.outputs[0]).layers
        if "block" in layer.name
    }
    assert any("block3" in name for name in names)
    assert not any("block4" in name for name in names)


def test_every_weight_learns_from_both(rng):
    model = build(NARROW, 3, training_form=True)
    images = rng.uniform(0, 255, (2, 65, 65, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        both = model(images, training=True)
        cost = tf.add_n([tf.reduce_sum(logits**2) for logits in both])
    assert_all_learn(model, tape, cost)


def test_zero_classifiers_cost_the_logarithm_of_the_classes_and_0_4_of_it(rng):
    spec, config = DATASETS["pascal_voc_seg"], LossConfig()
    model = build(NARROW, 21, training_form=True)
    for name, weight in weights_by_name(model).items():
        if name.startswith(LOGITS):
            weight.assign(tf.zeros_like(weight))
    costs = []
    for logits in model(rng.uniform(0, 255, (1, 65, 65, 3)).astype(np.float32)):
        label = rng.integers(0, 21, (1, 65, 65, 1)).astype(np.int32)
        (cost,), _ = losses.loss_sums(logits, label, spec, config, tf.constant(0))
        (count,) = losses.normalizers(label, logits.shape[1:3], spec, config)
        costs.append(float(cost / count))
    total = config.auxiliary_loss_weight * costs[0] + costs[1]
    assert total == pytest.approx(1.4 * 3.0445224377, rel=1e-5)


@pytest.fixture
def checkpoint(tmp_path):
    """Prefix of one of a training, auxiliary layers and all."""
    weights = weights_by_name(network(learning=True))
    return CheckpointManager(tmp_path, {"weights": weights}, keep=1).save(2)


def test_a_network_that_predicts_takes_no_auxiliary_weights(checkpoint):
    model, expected = build(NARROW, 3), weights_by_name(network())
    report = restore.restore(model, checkpoint)
    assert not [name for name in report.restored if name.startswith("auxiliary")]
    for name, weight in weights_by_name(model).items():
        np.testing.assert_array_equal(weight, expected[name])


def test_what_else_is_left_over_is_still_an_error(checkpoint):
    plain = ModelConfig(
        architecture="deeplab_v2_largefov",
        model_variant="resnet_50_deep",
        depth_multiplier=1 / 16,
    )
    with pytest.raises(InputError, match=r"has 25 that this network has not \(pyr"):
        restore.restore(build(plain, 3), checkpoint)


def test_other_classes_start_with_new_logits_of_both_kinds(checkpoint):
    model = build(NARROW, 5, training_form=True)
    report = restore.initialize(model, checkpoint, exclude=LOGITS)
    assert set(report.excluded) == {
        "auxiliary/logits/biases",
        "auxiliary/logits/weights",
        "logits/semantic/biases",
        "logits/semantic/weights",
    }
    assert reader.open_checkpoint(checkpoint).keys.keys() >= set(report.restored)


@pytest.mark.parametrize(("given", "decay"), [(None, 0.95), (0.9, 0.9)])
def test_batch_norm_moves_as_released_unless_told(given, decay):
    config = ModelConfig(
        architecture="pspnet", depth_multiplier=1 / 16, batch_norm_decay=given
    )
    norms = [
        layer
        for layer in build(config, 3).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert {layer.momentum for layer in norms} == {decay}
