"""One view or several."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.config import ModelConfig
from deeplab_tf.models.build import build
from deeplab_tf.prediction.test_time import (
    MultiScaleFlip,
    greatest_probability,
    predict_confidence,
    predict_logits,
    predict_probabilities,
)
from tests.recorded import assign_rule_weights, golden, settings


def network(images, training):
    """Scores that follow the image: three classes, stride 4."""
    assert training is False
    return images[:, ::4, ::4] / 50.0


@pytest.fixture
def images(rng):
    smooth = rng.uniform(0, 255, (2, 9, 11, 3)).astype(np.float32)
    return resize.bilinear(smooth, (33, 41))


def test_one_view_upsamples_scores_and_then_classifies(images):
    classes, probabilities = predict_probabilities(network, images, MultiScaleFlip())
    logits = resize.bilinear(network(images, False), (33, 41)).numpy()
    np.testing.assert_array_equal(classes, logits.argmax(-1))
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    expected = shifted / shifted.sum(-1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert classes.dtype == tf.int32


def test_classifying_first_gives_classes_by_the_nearest_neighbor(images):
    views = MultiScaleFlip(upsample_logits=False)
    classes, probabilities = predict_probabilities(network, images, views)
    coarse = network(images, False).numpy().argmax(-1)
    np.testing.assert_array_equal(classes[:, ::4, ::4], coarse)
    np.testing.assert_allclose(np.sum(probabilities, -1), 1.0, atol=1e-5)


def test_a_mirror_image_is_mirrored_back(images):
    symmetric = tf.concat([images, images[:, :, ::-1]], axis=2)[:, :, :81]
    symmetric = (symmetric + symmetric[:, :, ::-1]) / 2
    plain, _ = predict_probabilities(network, symmetric, MultiScaleFlip())
    both, _ = predict_probabilities(network, symmetric, MultiScaleFlip(flip=True))
    np.testing.assert_array_equal(plain, both)
    _, plain = predict_probabilities(network, images, MultiScaleFlip())
    _, mirrored = predict_probabilities(network, images[:, :, ::-1], MultiScaleFlip())
    _, both = predict_probabilities(network, images, MultiScaleFlip(flip=True))
    average = (plain + mirrored[:, :, ::-1]) / 2
    np.testing.assert_allclose(both, average, atol=1e-6)


def test_probabilities_of_several_views_sum_to_one(images):
    views = MultiScaleFlip(scales=(0.5, 1.0, 1.75), flip=True, logits_stride=4)
    classes, probabilities = predict_probabilities(network, images, views)
    np.testing.assert_allclose(np.sum(probabilities, -1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(classes, np.argmax(probabilities, -1))


def test_the_official_bug_takes_softmax_twice_of_several_views_alone(images):
    several = MultiScaleFlip(scales=(0.5, 1.0), logits_stride=4)
    twice = MultiScaleFlip(scales=(0.5, 1.0), logits_stride=4, softmax_twice=True)
    classes, probabilities = predict_probabilities(network, images, several)
    same, squeezed = predict_probabilities(network, images, twice)
    np.testing.assert_array_equal(classes, same)
    expected = np.exp(probabilities) / np.exp(probabilities).sum(-1, keepdims=True)
    np.testing.assert_allclose(squeezed, expected, atol=1e-6)
    _, once = predict_probabilities(network, images, MultiScaleFlip())
    _, bug = predict_probabilities(network, images, MultiScaleFlip(softmax_twice=True))
    np.testing.assert_array_equal(once, bug)


@pytest.mark.golden
@pytest.mark.parametrize("flip", [False, True])
def test_multi_scale_classes_are_the_official_ones(flip):
    data = golden("multiscale_mobilenet_v2_os16_6.npz")
    recorded = settings(data, "meta_json")
    model = build(ModelConfig(), 21)
    assign_rule_weights(model, recorded["gain"])
    images = tf.cast(data["image"], tf.float32)[tf.newaxis]
    views = MultiScaleFlip(scales=tuple(recorded["eval_scales"]), flip=flip)
    classes, _ = predict_probabilities(model, images, views)
    expected = data[f"argmax_flip{int(flip)}"]
    assert np.mean(classes.numpy() == expected) > 0.999


@pytest.mark.parametrize(
    "views",
    [
        MultiScaleFlip(),
        MultiScaleFlip(upsample_logits=False),
        MultiScaleFlip(scales=(0.5, 1.0), logits_stride=4),
    ],
)
def test_confidence_is_the_probability_of_the_class(images, views):
    """Of 33 rows, which are no whole number of blocks."""
    classes, confidence = predict_confidence(network, images, views)
    expected, probabilities = predict_probabilities(network, images, views)
    np.testing.assert_array_equal(classes, expected)
    places = classes.numpy()[..., np.newaxis]
    of_class = np.take_along_axis(probabilities.numpy(), places, axis=-1)[..., 0]
    np.testing.assert_allclose(confidence, of_class, atol=1e-6)


@pytest.mark.parametrize("height", [1, 15, 16, 17, 40])
def test_the_greatest_probability_is_that_of_a_softmax(rng, height):
    logits = rng.normal(0, 3, (2, height, 5, 4)).astype(np.float32)
    shifted = np.exp(logits.astype(float))
    expected = (shifted / shifted.sum(-1, keepdims=True)).max(-1)
    np.testing.assert_allclose(greatest_probability(logits), expected, 1e-6)


@pytest.mark.parametrize("upsampled", [True, False])
def test_scores_of_one_view_are_the_logits_at_image_size(images, upsampled):
    views = MultiScaleFlip(upsample_logits=upsampled)
    classes, scores = predict_logits(network, images, views)
    np.testing.assert_array_equal(
        classes, predict_probabilities(network, images, views)[0]
    )
    expected = resize.bilinear(network(images, False), (33, 41))
    np.testing.assert_array_equal(scores, expected)


def test_scores_of_several_views_are_logarithms_of_their_probabilities(images):
    views = MultiScaleFlip(scales=(0.5, 1.0), flip=True)
    classes, probabilities = predict_probabilities(network, images, views)
    found, scores = predict_logits(network, images, views)
    np.testing.assert_array_equal(found, classes)
    np.testing.assert_allclose(np.exp(scores), probabilities, rtol=1e-4)
    official = dataclasses.replace(views, softmax_twice=True)
    np.testing.assert_array_equal(predict_logits(network, images, official)[1], scores)


def test_scores_are_finite_where_a_probability_is_not_to_be_held(images):
    views = MultiScaleFlip(flip=True)
    _, scores = predict_logits(
        lambda x, training: 100 * network(x, training), images, views
    )
    assert np.isfinite(scores).all()
    assert np.min(scores) < -80  # Nothing is clipped before.
