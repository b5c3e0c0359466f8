"""(image, label) -> (image, label): the official preprocessing, with seeds.

An image is float32 `[H, W, 3]`, RGB in 0...255; a label int32 `[H, W, 1]`, class ids.
The two travel together: what is done to one is done to the other. Resizes are
corner-aligned, bilinear for images, nearest for labels.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.config import ResizeConfig

Pair = tuple[tf.Tensor, tf.Tensor]
Size = Any  # (height, width): two numbers, or an int32 tensor of two.


def resized(image: tf.Tensor, label: tf.Tensor, size: Size) -> Pair:
    """Both at (height, width) `size`."""
    return (
        resize.bilinear(image[tf.newaxis], size)[0],
        resize.nearest(label[tf.newaxis], size)[0],
    )


def resize_to_range(image: tf.Tensor, label: tf.Tensor, config: ResizeConfig) -> Pair:
    """Brings both into the range of sizes, where one is set."""
    if config.min_resize_value is None:
        return image, label
    return resized(image, label, size_in_range(tf.shape(image)[:2], config))


def size_in_range(size: tf.Tensor, config: ResizeConfig) -> tf.Tensor:
    """Height and width, int32 `[2]`, after `resize_to_range`.

    The smaller side becomes `min_resize_value`, unless the larger one would pass
    `max_resize_value`; then both grow to a multiple of `resize_factor` plus one.
    Products are float32 and floored, as in the official code.
    """
    original = tf.cast(size, tf.float32)
    least, most = config.min_resize_value, config.max_resize_value
    factor = config.resize_factor
    wanted = tf.floor(original * (float(least or 1) / tf.reduce_min(original)))
    if most is not None:
        most -= (most - 1) % factor if factor else 0
        within = tf.floor(original * (float(most) / tf.reduce_max(original)))
        wanted = tf.where(tf.reduce_max(wanted) > most, within, wanted)
    wanted = tf.maximum(tf.cast(wanted, tf.int32), 1)
    if factor:
        wanted += (factor - (wanted - 1) % factor) % factor
    if not config.keep_aspect_ratio:
        wanted = tf.repeat(tf.reduce_max(wanted), 2)
    return wanted


def scaled_size(size: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Height and width, int32 `[2]`, times `scale`, truncated, but not to 0."""
    return tf.maximum(tf.cast(tf.cast(size, tf.float32) * scale, tf.int32), 1)


def random_scale(least: float, most: float, step: float, seed: tf.Tensor) -> tf.Tensor:
    """One of `least`, `least + step`, ..., `most`, or any between where `step` is 0."""
    if step == 0:
        return tf.random.stateless_uniform((), seed, least, most)
    count = int((most - least) / step + 1)
    index = tf.random.stateless_uniform((), seed, 0, count, tf.int32)
    return tf.linspace(least, most, count)[index]


def padded(
    image: tf.Tensor,
    label: tf.Tensor,
    size: Size,
    *,
    mean_pixel: Sequence[float],
    ignore_label: int,
) -> Pair:
    """Both grown at the bottom and right to `size`: mean colour and ignore label.

    Sides that are larger stay.
    """
    missing = tf.maximum(tf.stack(size) - tf.shape(image)[:2], 0)
    pads = [[0, missing[0]], [0, missing[1]], [0, 0]]
    return (
        pad_image(image, missing, mean_pixel),
        tf.pad(label, pads, constant_values=ignore_label),
    )


def pad_image(
    image: tf.Tensor, missing: tf.Tensor, mean_pixel: Sequence[float]
) -> tf.Tensor:
    """`[..., H, W, 3]` grown by `missing` (rows, columns) of mean colour."""
    leading = [[0, 0]] * (len(image.shape) - 3)
    pads = [*leading, [0, missing[0]], [0, missing[1]], [0, 0]]
    mean = tf.constant(mean_pixel, image.dtype)
    return tf.pad(image - mean, pads) + mean


def network_size(size: Size, *, crop_size: tuple[int, int], multiple: int) -> tf.Tensor:
    """To what (height, width) an image of `size` is padded before prediction.

    A side up to the crop size, which image pooling was trained to see, to that; a
    longer one to the next multiple of `multiple`, the output stride, plus one, so that
    corners stay aligned.
    """
    size = tf.stack(size)
    aligned = (size + multiple - 2) // multiple * multiple + 1
    return tf.where(size <= crop_size, crop_size, aligned)


def random_start(
    size: tf.Tensor, crop_size: tuple[int, int], seed: tf.Tensor
) -> tf.Tensor:
    """First row and column of a crop of an image of `size` or, if less, of the crop's.

    It is where `tf.image.stateless_random_crop` would begin.
    """
    room = tf.maximum(size - crop_size, 0) + 1
    return tf.random.stateless_uniform((3,), seed, 0, tf.int32.max, tf.int32)[:2] % room


def random_flip(seed: tf.Tensor) -> tf.Tensor:
    """Whether to mirror an image, in half of the cases."""
    return tf.random.stateless_uniform((), seed) < 0.5
