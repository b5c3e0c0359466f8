"""Augmentation beyond scale, crop and mirror: colours, blur and rotation.

Each is off at 0. What is on draws from a seed of its own, so that the windows stay
those of a run without it.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from deeplab_tf.config import AugmentConfig
from deeplab_tf.data.transforms import Pair

_Change = Callable[[tf.Tensor, float, tf.Tensor], tf.Tensor]


def distorted(image: tf.Tensor, config: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Blurs `[H, W, 3]` and changes its colours as `config` says, within 0...255."""
    changes: list[tuple[_Change, float]] = [
        (_blur, config.blur_sigma),
        (_brightness, config.brightness_jitter),
        (_contrast, config.contrast_jitter),
        (_saturation, config.saturation_jitter),
        (_hue, config.hue_jitter),
    ]
    for number, (change, most) in enumerate(changes, start=1):
        if most:
            image = change(image, most, tf.random.fold_in(seed, number))
    return image


def _blur(image: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    """By a Gaussian of a sigma up to `most` pixels; edges are mirrored."""
    sigma = tf.random.stateless_uniform((), seed, 1e-3, most)
    radius = math.ceil(3 * most)
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    weights = tf.nn.softmax(-(offsets**2) / (2 * sigma**2))
    # An image may be smaller than the radius.
    rows, columns = (_mirrored(tf.shape(image)[i], radius) for i in (0, 1))
    image = tf.gather(tf.gather(image, rows), columns, axis=1)[tf.newaxis]
    for shape in ((-1, 1, 1, 1), (1, -1, 1, 1)):
        kernel = tf.tile(tf.reshape(weights, shape), (1, 1, 3, 1))
        image = tf.nn.depthwise_conv2d(image, kernel, (1, 1, 1, 1), "VALID")
    return image[0]


def _mirrored(length: tf.Tensor, radius: int) -> tf.Tensor:
    """Pixels -radius ... length + radius, as in a hall of mirrors."""
    place = tf.range(-radius, length + radius) % (2 * length)
    return tf.minimum(place, 2 * length - 1 - place)


def _brightness(image: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    return _clipped(image + tf.random.stateless_uniform((), seed, -most, most) * 255)


def _contrast(image: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    """Away from the mean grey, or towards it."""
    grey = tf.reduce_mean(tf.image.rgb_to_grayscale(image))
    return _clipped(grey + (image - grey) * _factor(most, seed))


def _saturation(image: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    """Away from each pixel's grey, or towards it."""
    grey = tf.image.rgb_to_grayscale(image)
    return _clipped(grey + (image - grey) * _factor(most, seed))


def _hue(image: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    """Turns the circle of hues by up to `most` of it."""
    turn = tf.random.stateless_uniform((), seed, -most, most)
    return _clipped(tf.image.adjust_hue(image / 255, turn) * 255)


def _factor(most: float, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform((), seed, 1 - most, 1 + most)


def _clipped(image: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(image, 0, 255)


def rotation_margin(config: AugmentConfig) -> np.ndarray:
    """Rows and columns beyond each side of a crop that rotation may turn into it."""
    if not config.rotation_degrees:
        return np.zeros(2, np.int32)
    found = []
    for along, across in (config.train_crop_size, config.train_crop_size[::-1]):
        angle = min(math.radians(config.rotation_degrees), math.atan2(across, along))
        needed = along * math.cos(angle) + across * math.sin(angle)
        found.append(math.ceil((needed - along) / 2) + 1)
    return np.array(found, np.int32)


def rotated(
    image: tf.Tensor,
    label: tf.Tensor,
    config: AugmentConfig,
    seed: tf.Tensor,
) -> Pair:
    """A crop out of the middle of both, which are `rotation_margin` larger."""
    if not config.rotation_degrees:
        return image, label
    most = math.radians(config.rotation_degrees)
    angle = tf.random.stateless_uniform((), tf.random.fold_in(seed, 0), -most, most)
    return turned(image, label, config.train_crop_size, angle)


def turned(
    image: tf.Tensor,
    label: tf.Tensor,
    size: tuple[int, int],
    angle: tf.Tensor,
) -> Pair:
    """Both turned about their centre, and the part of `size` around it.

    Args:
        image: Float32 `[H, W, 3]`.
        label: `[H, W, 1]`.
        size: Height and width, so much smaller that no corner is turned in.
        angle: Radians, anticlockwise.
    """
    turn = functools.partial(
        tf.raw_ops.ImageProjectiveTransformV3,
        transforms=_rotation(tf.shape(image)[:2], size, angle),
        output_shape=size,
        fill_value=0.0,
        fill_mode="NEAREST",
    )
    return (
        turn(images=image[tf.newaxis], interpolation="BILINEAR")[0],
        turn(images=label[tf.newaxis], interpolation="NEAREST")[0],
    )


def _rotation(before: tf.Tensor, after: tuple[int, int], angle: tf.Tensor) -> tf.Tensor:
    """Where the op finds the pixels of the result: eight numbers, `[1, 8]`."""
    rows, columns = tf.unstack(tf.cast(before - 1, tf.float32) / 2)
    cos, sin = tf.cos(angle), tf.sin(angle)
    y, x = ((side - 1) / 2 for side in after)
    shift_x = columns - cos * x + sin * y
    shift_y = rows - sin * x - cos * y
    return tf.stack([cos, -sin, shift_x, sin, cos, shift_y, 0.0, 0.0])[tf.newaxis]
