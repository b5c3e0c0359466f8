"""Preprocessing: resize to a range, pad with the mean pixel; random scale and crop.

An image is float32 `[H, W, 3]`, RGB in 0...255; a label int32 `[H, W, 1]`, class ids.
The two travel together: what is done to one is done to the other. Resizes are
corner-aligned, bilinear for images, nearest for labels.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from deeplab_tf import resize as resizing
from deeplab_tf.config import ResizeConfig

Pair = tuple[tf.Tensor, tf.Tensor]
Size = Any  # (height, width): two numbers, or an int32 tensor of two.


def to_network(
    images: tf.Tensor,
    *,
    resize: ResizeConfig,
    crop_size: tuple[int, int],
    multiple: int,
    mean_pixel: Sequence[float],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Preprocessing of whole images: resize into the range, pad with the mean pixel.

    Args:
        images: RGB in 0...255, `[N, H, W, 3]`.
        resize: Range of sizes, where one is set.
        crop_size: See `network_size`.
        multiple: See there; at 1, a side longer than the crop is not padded.
        mean_pixel: RGB of what is padded, at the bottom and right.

    Returns:
        What the network sees, float32 `[N, h, w, 3]`, and (height, width) of the images
        in it, int32 `[2]`.
    """
    inner, pixels = tf.shape(images)[1:3], tf.cast(images, tf.float32)
    if resize.min_resize_value is not None:
        inner = size_in_range(inner, resize)
        pixels = resizing.bilinear(pixels, inner)
    size = network_size(inner, crop_size=crop_size, multiple=multiple)
    return _pad(pixels, size - inner, mean_pixel), inner


def label_to_network(
    label: tf.Tensor, inner: tf.Tensor, size: tf.Tensor, *, ignore_label: int
) -> tf.Tensor:
    """A label `[H, W, 1]` as `to_network` frames its image: `[h, w, 1]`.

    Args:
        label: Class ids.
        inner: To what (height, width) the image was resized,
        size: and to what it was padded, int32 `[2]`.
        ignore_label: Id of what is padded.
    """
    label = resizing.nearest(label[tf.newaxis], inner)[0]
    missing = size - inner
    pads = [[0, missing[0]], [0, missing[1]], [0, 0]]
    return tf.pad(label, pads, constant_values=ignore_label)


def size_in_range(size: tf.Tensor, config: ResizeConfig) -> tf.Tensor:
    """Height and width, int32 `[2]`, in the range of sizes.

    The smaller side becomes `min_resize_value`, unless the larger one would pass
    `max_resize_value`; then both grow to a multiple of `resize_factor` plus one.
    Products are float32 and floored, as in the official code.
    """
    original = tf.cast(size, tf.float32)
    shorter, longer = _sort(original)
    least, most = config.min_resize_value, config.max_resize_value
    factor = config.resize_factor
    wanted = tf.floor(original * (float(least or 1) / shorter))
    if most is not None:
        most -= (most - 1) % factor if factor else 0
        within = tf.floor(original * (float(most) / longer))
        wanted = tf.where(_sort(wanted)[1] > most, within, wanted)
    wanted = tf.maximum(tf.cast(wanted, tf.int32), 1)
    if factor:
        wanted += (factor - (wanted - 1) % factor) % factor
    if not config.keep_aspect_ratio:
        wanted = tf.repeat(_sort(wanted)[1], 2)
    return wanted


def _sort(size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The shorter and the longer side.

    Not by a reduction, whose result OpenVINO gets wrong where an image has any size.
    """
    height, width = tf.unstack(size, 2)
    return tf.minimum(height, width), tf.maximum(height, width)


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


def network_size(size: Size, *, crop_size: tuple[int, int], multiple: int) -> tf.Tensor:
    """To what (height, width) an image of `size` is padded before prediction.

    A side up to the crop size, which image pooling was trained to see, to that; a
    longer one to the next multiple of `multiple`, the output stride, plus one, so that
    corners stay aligned.
    """
    size = tf.stack(size)
    aligned = (size + multiple - 2) // multiple * multiple + 1
    return tf.where(size <= crop_size, crop_size, aligned)


def _pad(
    images: tf.Tensor, missing: tf.Tensor, mean_pixel: Sequence[float]
) -> tf.Tensor:
    """`[N, H, W, 3]` grown by `missing` (rows, columns) of mean pixel."""
    pads = [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]
    mean = tf.constant(mean_pixel, images.dtype)
    return tf.pad(images - mean, pads) + mean


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
