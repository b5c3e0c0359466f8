"""DeepLab v1 and v2 on VGG-16: the released sizes, branches and scales."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.build import build
from deeplab_tf.models.multi_scale import each_scale
from deeplab_tf.models.weight_names import weights_by_name
from tests.at_night import mark_nightly
from tests.recorded import assign_rule_weights

V1 = ModelConfig(architecture="deeplab_v1", depth_multiplier=1 / 64)
V2 = dataclasses.replace(V1, architecture="deeplab_v2_aspp", model_variant="vgg_16")


def logits(config, image, **settings):
    keras.backend.clear_session()
    model = build(config, 3, **settings)
    assign_rule_weights(model, 1.3)
    return model(image).numpy()


def of(name):
    return dataclasses.replace(V1, architecture=name)


@pytest.mark.parametrize(
    ("name", "size", "cells", "predicted"),
    mark_nightly(
        [
            ("deeplab_v1", 306, 39, 306),
            ("deeplab_v1", 514, 65, 514),
            ("deeplab_v1_7x7", 321, 41, 41),
            ("deeplab_v1_msc", 321, 41, 321),
            ("deeplab_v1_largefov", 321, 41, 41),
            ("deeplab_v1_largefov", 513, 65, 65),
            ("deeplab_v1_msc_largefov", 321, 41, 321),
            ("deeplab_v2_aspp", 321, 41, 41),
            ("deeplab_v2_largefov", 513, 65, 65),
        ],
        by_day=(2, 7),
    ),
)
def test_logits_are_as_large_as_released(name, size, cells, predicted):
    image = np.zeros((1, size, size, 3), np.float32)
    config = dataclasses.replace(V2, architecture=name)
    assert logits(config, image, training_form=True).shape == (1, cells, cells, 3)
    assert logits(config, image).shape == (1, predicted, predicted, 3)


def test_the_base_network_predicts_from_67_cells():
    model = build(V1, 3)
    cells = keras.Model(model.input, model.get_layer("logits.fc8").output)
    assert cells(np.zeros((1, 514, 514, 3), np.float32)).shape[1:3] == (67, 67)


def test_the_base_network_learns_what_it_predicts(rng):
    """Cell i of the training is pixel 8 i + 1, away from the zeros at the border."""
    image = rng.uniform(0, 255, (1, 514, 514, 3)).astype(np.float32)
    learned = logits(V1, image, training_form=True)
    predicted = logits(V1, image)[:, 1::8, 1::8]
    assert learned.shape[1] == 65
    inner = np.s_[:, 22:43, 22:43]  # 308 pixels are 39 cells.
    np.testing.assert_allclose(
        predicted[inner], learned[inner], atol=1e-5 * learned.std()
    )


@pytest.mark.parametrize("training_form", [True, False])
def test_branches_that_score_zero_leave_large_fov(training_form, rng):
    image = rng.uniform(0, 255, (1, 65, 97, 3)).astype(np.float32)
    plain = logits(of("deeplab_v1_largefov"), image)
    keras.backend.clear_session()
    model = build(of("deeplab_v1_msc_largefov"), 3, training_form=training_form)
    assign_rule_weights(model, 1.3)
    for name, weight in weights_by_name(model).items():
        if "logits/msc" in name:
            weight.assign(tf.zeros_like(weight))
    found = model(image).numpy()
    if not training_form:
        found = found[:, ::8, ::8]
    np.testing.assert_allclose(found, plain, atol=1e-5 * plain.std())


def test_branches_see_in_training_what_they_see_in_prediction(rng):
    """Strided there, dense here: every eighth pixel is the same, but for the sum of
    scores that interpolate pools, which meet their cells there, too."""
    image = rng.uniform(0, 255, (1, 65, 97, 3)).astype(np.float32)
    config = of("deeplab_v1_msc_largefov")
    learned = logits(config, image, training_form=True)
    predicted = logits(config, image)
    np.testing.assert_allclose(
        predicted[:, ::8, ::8], learned, atol=1e-4 * learned.std()
    )


@pytest.mark.parametrize(
    ("name", "learning"),
    [
        ("deeplab_v1_msc", {"logits", "msc"}),
        ("deeplab_v1_msc_largefov", {"logits", "msc"}),
    ],
)
def test_multi_scale_branches_learn_on_a_fixed_trunk(name, learning):
    weights = weights_by_name(build(of(name), 3))
    trained = {key for key, weight in weights.items() if weight.trainable}
    assert {key.split("/")[0] for key in trained} == learning
    assert ("logits/fc8/weights" in trained) == (name == "deeplab_v1_msc")


def test_rates_are_added(rng):
    """Zeroing all branches but one leaves that one."""
    image = rng.uniform(0, 255, (1, 65, 65, 3)).astype(np.float32)
    model = build(V2, 3)
    assign_rule_weights(model, 1.3)
    names = [f"logits.fc8_{i}" for i in range(1, 5)]
    branches = keras.Model(model.input, [model.get_layer(n).output for n in names])
    np.testing.assert_allclose(model(image), np.sum(branches(image), axis=0), atol=1e-4)
    for name, weight in weights_by_name(model).items():
        if name.startswith("logits") and not name.startswith("logits/fc8_3"):
            weight.assign(tf.zeros_like(weight))
    np.testing.assert_array_equal(model(image), branches(image)[2])


@pytest.mark.parametrize("rates", [(6, 12, 18, 24), (2, 4, 8, 12)])
def test_branches_have_the_rates_asked_for(rates):
    model = build(dataclasses.replace(V2, atrous_rates=rates), 3)
    found = [model.get_layer(f"vgg_16.fc6_{i}").dilation_rate[0] for i in range(1, 5)]
    assert tuple(found) == rates


def test_scales_share_their_weights_and_the_greatest_score_wins(rng):
    config = dataclasses.replace(V2, image_pyramid=(1.0, 0.75, 0.5))
    image = rng.uniform(0, 255, (1, 129, 129, 3)).astype(np.float32)
    model = build(config, 3)
    assign_rule_weights(model, 1.3)
    *scales, merged = each_scale(model, config)(image)
    assert len(scales) == 3
    assert all((merged >= scale).numpy().all() for scale in scales)
    np.testing.assert_array_equal(merged, np.max(scales, axis=0))
    single = weights_by_name(build(V2, 3))
    assert weights_by_name(model).keys() == single.keys()


def test_scales_have_the_sizes_of_the_released_network():
    config = dataclasses.replace(V2, image_pyramid=(1.0, 0.75, 0.5))
    model = build(config, 3, input_size=(513, 513))
    sizes = {
        name: model.get_layer(name).output.shape[1]
        for name in ("image.1", "image.0.75", "image.0.5")
    }
    assert sizes == {"image.1": 513, "image.0.75": 385, "image.0.5": 257}
    inner = build(V2, 3)
    cells = [inner(np.zeros((1, n, n, 3), np.float32)).shape[1] for n in sizes.values()]
    assert cells == [65, 49, 33]


def test_equal_scales_are_one(rng):
    image = rng.uniform(0, 255, (1, 65, 97, 3)).astype(np.float32)
    thrice = logits(dataclasses.replace(V2, image_pyramid=(1.0, 1.0, 1.0)), image)
    np.testing.assert_array_equal(thrice, logits(V2, image))
