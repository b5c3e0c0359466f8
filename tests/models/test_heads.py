"""ASPP, decoder, searched cell and pyramid, and what cannot be built."""

import dataclasses
import io
import json

import keras
import numpy as np
import pytest

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.build import build
from deeplab_tf.models.multi_scale import each_scale
from deeplab_tf.models.weight_names import weights_by_name
from tests.at_night import mark_nightly
from tests.recorded import SMALL, assign_rule_weights


def test_image_pooling_gives_every_position_the_mean_of_all(rng):
    model = build(ModelConfig(depth_multiplier=0.25), 3)
    assign_rule_weights(model, 1.3)
    convolution = model.get_layer("image_pooling")
    pooling = model.get_layer("image_pooling.mean")
    parts = keras.Model(
        model.input,
        [
            pooling.input,
            convolution.input,
            convolution.output,
            model.get_layer("image_pooling.resize").output,
        ],
    )
    features, mean, convolved, everywhere = parts(rng.uniform(0, 255, (1, 65, 97, 3)))
    np.testing.assert_allclose(
        mean[0, 0, 0], np.mean(features, axis=(0, 1, 2)), atol=1e-5
    )
    assert features.shape[1:3] == everywhere.shape[1:3] == (5, 7)
    assert convolved.shape == (1, 1, 1, 256)
    assert np.std(everywhere, axis=(1, 2)).max() < 1e-6


@pytest.mark.parametrize(
    ("stride", "rates", "usual"),
    [
        (8, (6, 12, 18), "12,24,36"),
        (16, (12, 24, 36), "6,12,18"),
        (8, (12, 24, 36), None),
        (16, (6, 12), None),
    ],
)
def test_rates_of_the_other_stride_are_told(caplog, stride, rates, usual):
    config = ModelConfig(
        depth_multiplier=0.25, output_stride=stride, atrous_rates=rates
    )
    build(config, 3)
    told = f"usually {usual} at --output_stride={stride}" in caplog.text
    assert told == (usual is not None)


def test_dropout_acts_in_training_alone(rng):
    model = build(SMALL, 3, frozen_batch_norm=True)
    images = rng.uniform(0, 255, (1, 33, 33, 3)).astype(np.float32)
    twice = [model(images, training=True).numpy() for _ in range(2)]
    assert np.abs(twice[0] - twice[1]).max() > 0
    twice = [model(images, training=False).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*twice)


def test_all_layers_with_weights_are_named_after_their_scope():
    for layer in build(SMALL, 3).layers:
        if layer.weights:
            assert layer.name.split(".")[0] in {
                "MobilenetV2",
                "aspp0",
                "image_pooling",
                "concat_projection",
                "concat_projection_dropout",
                "decoder",
                "logits",
            }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            ModelConfig(model_variant="vgg"),
            "vgg: did you mean vgg_16[?] One of mobilenet_v2,",
        ),
        (ModelConfig(logits_kernel_size=3), "--logits_kernel_size=3 needs"),
        (
            ModelConfig(output_stride=8, decoder_output_stride=(16, 4)),
            "--decoder_output_stride=16 is above --output_stride=8",
        ),
        (
            ModelConfig(decoder_output_stride=(4,), decoder_output_is_logits=True),
            "needs --decoder_filters=3",
        ),
        (
            ModelConfig(
                aspp_with_squeeze_and_excitation=True,
                aspp_with_concat_projection=False,
                atrous_rates=(6,),
            ),
            "needs --aspp_with_concat_projection",
        ),
        (
            ModelConfig(model_variant="mobilenet_edgetpu", decoder_output_stride=(4,)),
            "--decoder_output_stride=4: mobilenet_edgetpu has no features",
        ),
        (
            ModelConfig(
                dense_prediction_cell_json="cell.json", image_pyramid=(0.5, 1.0)
            ),
            "--image_pyramid and --dense_prediction_cell_json do not go together",
        ),
        (
            ModelConfig(dense_prediction_cell_json="cell.json", output_stride=32),
            "needs --output_stride=16 or 8, not 32",
        ),
    ],
)
def test_settings_that_cannot_be_built_name_their_flag(config, message):
    with pytest.raises(FlagError, match=message):
        build(config, 3)


def test_pooling_windows_larger_than_the_image_are_an_error():
    config = ModelConfig(image_pooling_crop_size=(513, 513))
    with pytest.raises(FlagError, match="is larger than the image"):
        build(config, 3, input_size=(321, 321))


@pytest.mark.parametrize("variant", ["mobilenet_v2", "resnet_v1_18"])
def test_images_are_normalized_inside(variant):
    model = build(ModelConfig(model_variant=variant), 3)
    normalized = keras.Model(model.input, model.get_layer("normalized").output)
    pixel = normalized(np.array([[[[0.0, 127.5, 255.0]]]], np.float32))
    expected = [-1.0, 0.0, 1.0]
    if BACKBONES[variant].mean:
        expected = [-123.15, 127.5 - 115.90, 255 - 103.06]
    np.testing.assert_allclose(np.ravel(pixel), expected, atol=1e-5)


def test_the_summary_of_a_network_can_be_printed():
    text = io.StringIO()
    build(SMALL, 3).summary(print_fn=lambda line: text.write(line))
    assert "concat_projection" in text.getvalue()


@pytest.mark.parametrize(
    ("branches", "message"),
    [
        (None, r"cell\.json: no such file"),
        ({"a": 1}, r"cell\.json: not a list of branches"),
        ([{"op": "pool", "input": -1}], r'branch 0, .*"op": "pool".* is possible'),
        (
            [{"op": "conv", "kernel": 1, "input": 0}],
            "with the number of an earlier branch as input",
        ),
    ],
)
def test_a_cell_that_cannot_be_built_says_why(tmp_path, branches, message):
    path = tmp_path / "cell.json"
    if branches is not None:
        path.write_text(json.dumps(branches))
    config = ModelConfig(depth_multiplier=0.25, dense_prediction_cell_json=str(path))
    with pytest.raises(InputError, match=message):
        build(config, 3)


@pytest.mark.parametrize("method", mark_nightly(["max", "avg"], by_day=(0,)))
def test_a_pyramid_merges_the_logits_of_its_scales(method, rng):
    config = dataclasses.replace(SMALL, image_pyramid=(0.5, 1.0), merge_method=method)
    model = build(config, 3)
    assign_rule_weights(model, 1.3)
    assert set(weights_by_name(model)) == set(weights_by_name(build(SMALL, 3)))
    images = rng.uniform(0, 255, (1, 65, 97, 3)).astype(np.float32)
    half, whole, merged = each_scale(model, config)(images)
    merge = np.maximum if method == "max" else lambda a, b: (a + b) / 2
    np.testing.assert_allclose(merged, merge(half, whole), atol=1e-6)
    plain = build(SMALL, 3)
    assign_rule_weights(plain, 1.3)
    np.testing.assert_allclose(whole, plain(images), atol=1e-4)
