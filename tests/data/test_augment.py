"""Colors, blur and rotation: by hand, eagerly and within a pipeline."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import AugmentConfig
from deeplab_tf.data import augment
from deeplab_tf.errors import FlagError

SEED = tf.constant([3, 4], tf.int64)


def picture(rng, size=(9, 11), low=90, high=160):
    """Not so bright nor dark that anything is clipped."""
    return rng.uniform(low, high, (*size, 3)).astype(np.float32)


def jitter(image, seed=SEED, **settings):
    """The same both ways, whose numbers may differ in the last digits."""

    def change(image):
        plan = augment.plan(tf.shape(image)[:2], AugmentConfig(**settings), seed)
        return augment.jitter_colors(plan, image)

    eager = change(tf.constant(image)).numpy()
    images = tf.data.Dataset.from_generator(
        lambda: iter([image]), output_signature=tf.TensorSpec((None, None, 3))
    )
    (found,) = images.map(change)
    np.testing.assert_allclose(found, eager, atol=1e-3)
    return eager


def seeds(count):
    return [tf.constant([5, i], tf.int64) for i in range(count)]


def test_nothing_happens_by_default(rng):
    image = tf.constant(picture(rng))
    plan = augment.plan(tf.constant([9, 11]), AugmentConfig(), SEED)
    assert augment.jitter_colors(plan, image) is image
    assert plan.angle is None


def test_brightness_is_a_shift_of_all(rng):
    image, shifts = picture(rng), []
    for seed in seeds(5):
        shift = jitter(image, seed, brightness_jitter=0.2) - image
        assert np.ptp(shift) < 1e-3
        shifts.append(shift.mean())
    assert np.abs(shifts).max() <= 0.2 * 255
    assert np.ptp(shifts) > 5


def gray(image):
    return image @ np.float32([0.2989, 0.587, 0.114])


def test_contrast_is_a_factor_around_the_mean_grey(rng):
    image = picture(rng)
    mean = gray(image).mean()
    found = jitter(image, contrast_jitter=0.3)
    factors = (found - mean) / (image - mean)
    assert np.median(factors) == pytest.approx(factors[0, 0, 0], abs=1e-2)
    assert 0.7 <= np.median(factors) <= 1.3
    np.testing.assert_allclose(
        found, mean + (image - mean) * np.median(factors), atol=0.1
    )


def test_saturation_is_a_factor_around_each_pixels_grey(rng):
    image = picture(rng)
    found = jitter(image, saturation_jitter=0.5)
    own = gray(image)[..., np.newaxis]
    factor = np.median((found - own) / (image - own))
    assert 0.5 <= factor <= 1.5
    np.testing.assert_allclose(found, own + (image - own) * factor, atol=0.1)


def test_hue_turns_colors_and_leaves_greys(rng):
    image = picture(rng)
    image[0] = image[0, :, :1]
    found = jitter(image, hue_jitter=0.2)
    np.testing.assert_allclose(found[0], image[0], atol=1e-2)
    np.testing.assert_allclose(found.max(-1), image.max(-1), atol=1e-2)
    np.testing.assert_allclose(found.min(-1), image.min(-1), atol=1e-2)
    assert np.abs(found - image).max() > 1


def test_colors_stay_within_their_range(rng):
    image = picture(rng, low=0, high=255)
    for seed in seeds(4):
        found = jitter(image, seed, brightness_jitter=1.0, contrast_jitter=1.0)
        assert found.min() >= 0
        assert found.max() <= 255


def test_blur_spreads_a_point_and_keeps_its_sum():
    image = np.zeros((21, 21, 3), np.float32)
    image[10, 10] = 200
    found = max(
        (jitter(image, seed, blur_sigma=2.0) for seed in seeds(5)),
        key=lambda blurred: blurred[10, 14, 0],
    )
    np.testing.assert_allclose(found.sum((0, 1)), 200, rtol=1e-4)
    np.testing.assert_allclose(found, found[::-1, ::-1], atol=1e-4)
    np.testing.assert_allclose(found[..., 0], found[..., 0].T, atol=1e-4)
    # A Gaussian: the logarithm falls with the square of the distance.
    line = found[10, 10:15, 0]
    falls = np.log(line[0] / line[1:]) / np.arange(1, 5) ** 2
    np.testing.assert_allclose(falls, falls[0], rtol=1e-2)
    assert falls[0] >= 1 / (2 * 2.0**2) * 0.99


@pytest.mark.parametrize("size", [(1, 1), (2, 30)])
def test_blur_leaves_what_has_one_color(size):
    image = np.full((*size, 3), 77, np.float32)
    np.testing.assert_allclose(jitter(image, blur_sigma=3.0), image, atol=1e-3)


def rotate(image, label, size, angle):
    eager = augment.rotate(image, label, size, angle)
    pairs = tf.data.Dataset.from_generator(
        lambda: iter([(image, label)]),
        output_signature=(
            tf.TensorSpec((None, None, 3), tf.float32),
            tf.TensorSpec((None, None, 1), tf.int32),
        ),
    )
    (found,) = pairs.map(lambda *pair: augment.rotate(*pair, size, angle))
    np.testing.assert_allclose(found[0], eager[0], atol=1e-3)
    np.testing.assert_array_equal(found[1], eager[1])
    return eager


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_are_those_of_numpy(rng, quarters):
    image = picture(rng, (7, 7))
    label = rng.integers(0, 5, (7, 7, 1)).astype(np.int32)
    found = rotate(image, label, (5, 5), quarters * math.pi / 2)
    expected = np.rot90(image, quarters)[1:-1, 1:-1]
    np.testing.assert_allclose(found[0], expected, atol=1e-2)
    np.testing.assert_array_equal(found[1], np.rot90(label, quarters)[1:-1, 1:-1])


def test_a_slope_is_turned_by_its_angle():
    """Colors that grow to the right grow upwards, too, once turned anticlockwise."""
    rows, columns = np.mgrid[:21, :21].astype(np.float32) - 10
    image = np.repeat(columns[..., np.newaxis], 3, axis=-1)
    label = np.zeros((21, 21, 1), np.int32)
    found = rotate(image, label, (9, 9), math.radians(30))[0].numpy()
    x, y = columns[6:15, 6:15], -rows[6:15, 6:15]
    expected = x * math.cos(math.radians(30)) + y * math.sin(math.radians(30))
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "degrees"), [((33, 49), 10), ((33, 49), 180), ((7, 90), 60), ((5, 5), 45)]
)
def test_the_margin_holds_all_that_is_turned_in(size, degrees):
    """The corners of a crop, turned by any angle, lie within it."""
    config = AugmentConfig(train_crop_size=size, rotation_degrees=degrees)
    margin = augment.rotation_margin(config)
    half = (np.array(size) - 1) / 2
    for angle in np.radians(np.linspace(0, degrees, 200)):
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        rows, columns = half[0] * cos + half[1] * sin, half[0] * sin + half[1] * cos
        assert rows <= half[0] + margin[0]
        assert columns <= half[1] + margin[1]


def test_no_rotation_needs_no_margin():
    assert augment.rotation_margin(AugmentConfig()).tolist() == [0, 0]


def test_a_plan_is_the_same_again_and_of_each_seed_another():
    config = AugmentConfig(
        train_crop_size=(33, 49), rotation_degrees=20.0, hue_jitter=0.2, blur_sigma=2.0
    )

    def draw(seed):
        plan = augment.plan(tf.constant([300, 400]), config, seed)
        drawn = (plan.size, plan.window.start, plan.blur, plan.hue, plan.angle)
        return [value.numpy().tolist() for value in drawn]

    assert draw(SEED) == draw(SEED)
    for values in zip(*map(draw, seeds(6)), strict=True):
        assert len({str(value) for value in values}) > 1


def test_colors_blur_and_rotation_leave_the_crop_where_it_was():
    size, plain = tf.constant([300, 400]), AugmentConfig(train_crop_size=(33, 49))
    colored = dataclasses.replace(plain, hue_jitter=0.2, blur_sigma=1.0)
    rotated = dataclasses.replace(colored, rotation_degrees=20.0)
    for seed in seeds(5):
        one, two = (augment.plan(size, each, seed) for each in (plain, colored))
        np.testing.assert_array_equal(one.window.start, two.window.start)
        np.testing.assert_array_equal(one.size, two.size)
        third = augment.plan(size, rotated, seed)
        margin = augment.rotation_margin(rotated)
        np.testing.assert_array_equal(third.window.start, one.window.start - margin)
        np.testing.assert_array_equal(
            third.window.size, np.add(plain.train_crop_size, 2 * margin)
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hue_jitter": 0.7}, "--hue_jitter=0.7: between 0, for none, and 0.5"),
        ({"contrast_jitter": -0.1}, "--contrast_jitter=-0.1: between 0"),
        ({"rotation_degrees": 200}, "--rotation_degrees=200: between 0"),
        ({"blur_sigma": -1.0}, "--blur_sigma=-1.0: 0 or more"),
    ],
)
def test_settings_beyond_their_range_are_mistakes(settings, message):
    with pytest.raises(FlagError, match=message):
        AugmentConfig(**settings)
