"""Data augmentation: scale, crop, mirror, color jitter, blur and rotation.

`plan` draws all that is random, before a pixel is read; then the crop is read, and
`apply` does the rest. Color, blur and rotation are off at 0; each of them draws from a
seed of its own, so that crops stay those of a run without it.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from deeplab_tf.config import AugmentConfig
from deeplab_tf.data import crop_resize, transforms
from deeplab_tf.data.crop_resize import Window
from deeplab_tf.data.transforms import Pair


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is random about a training sample; None where it is off.

    Attributes:
        size: Height and width to which the image is scaled, int32 `[2]`.
        window: The crop in the scaled image, and what rotation may turn into it; it may
            reach beyond the image.
        crop_size: Height and width of the crop.
        flip: Whether to mirror it from left to right.
        blur: Gaussian kernel, `[2 * radius + 1]`.
        brightness: To add, of 255.
        contrast: Factor around the mean gray.
        saturation: Factor around each pixel's gray.
        hue: To add, of the circle of hues.
        angle: Radians, anticlockwise.
    """

    size: tf.Tensor
    window: Window
    crop_size: tuple[int, int]
    flip: tf.Tensor
    blur: tf.Tensor | None = None
    brightness: tf.Tensor | None = None
    contrast: tf.Tensor | None = None
    saturation: tf.Tensor | None = None
    hue: tf.Tensor | None = None
    angle: tf.Tensor | None = None


def plan(size: tf.Tensor, config: AugmentConfig, seed: tf.Tensor) -> Plan:
    """Draws scale, crop, mirror, colors, blur and rotation of a training sample.

    Args:
        size: Height and width of the image, int32 `[2]`.
        config: Ranges of what is drawn.
        seed: Two integers, from which everything follows.
    """
    scale_seed, crop_seed, flip_seed = tf.unstack(tf.random.split(seed, 3))
    scale = transforms.random_scale(
        config.min_scale_factor,
        config.max_scale_factor,
        config.scale_factor_step_size,
        scale_seed,
    )
    size = transforms.scaled_size(size, scale)
    margin = rotation_margin(config)
    start = transforms.random_start(size, config.train_crop_size, crop_seed)

    def uniform(number: int, least: float, most: float) -> tf.Tensor:
        own = tf.random.fold_in(seed, number)
        return tf.random.stateless_uniform((), own, least, most)

    sigma, turn = config.blur_sigma, math.radians(config.rotation_degrees)
    brightness, hue = config.brightness_jitter, config.hue_jitter
    contrast, saturation = config.contrast_jitter, config.saturation_jitter
    return Plan(
        size=size,
        window=Window(start - margin, tf.add(config.train_crop_size, 2 * margin)),
        crop_size=config.train_crop_size,
        flip=transforms.random_flip(flip_seed),
        angle=uniform(0, -turn, turn) if turn else None,
        blur=_gaussian(uniform(1, 1e-3, sigma), sigma) if sigma else None,
        brightness=uniform(2, -brightness, brightness) * 255 if brightness else None,
        contrast=uniform(3, 1 - contrast, 1 + contrast) if contrast else None,
        saturation=uniform(4, 1 - saturation, 1 + saturation) if saturation else None,
        hue=uniform(5, -hue, hue) if hue else None,
    )


def apply(
    plan: Plan,
    image: tf.Tensor,
    label: tf.Tensor,
    *,
    mean_pixel: Sequence[float],
    ignore_label: int,
) -> Pair:
    """A training crop, `[*crop_size, 3]` and `[*crop_size, 1]`, of what was read.

    Args:
        plan: Of the sample.
        image: What of its window lies within the image, float32 `[h, w, 3]`, mirrored
            already.
        label: The same of the label, class ids `[h, w, 1]`.
        mean_pixel: RGB around the image.
        ignore_label: Id around the label.
    """
    image, label = crop_resize.add_margins(
        jitter_colors(plan, image),
        label,
        crop_resize.margins_around(plan.window, plan.size, plan.flip),
        mean_pixel=mean_pixel,
        ignore_label=ignore_label,
    )
    if plan.angle is not None:
        image, label = rotate(image, label, plan.crop_size, plan.angle)
    return image, label


def jitter_colors(plan: Plan, image: tf.Tensor) -> tf.Tensor:
    """Blurs an image `[H, W, 3]`, then changes its colors, within 0...255."""
    if plan.blur is not None:
        image = _blur(image, plan.blur)
    if plan.brightness is not None:
        image = _clip(image + plan.brightness)
    if plan.contrast is not None:
        gray = tf.reduce_mean(tf.image.rgb_to_grayscale(image))
        image = _clip(gray + (image - gray) * plan.contrast)
    if plan.saturation is not None:
        gray = tf.image.rgb_to_grayscale(image)
        image = _clip(gray + (image - gray) * plan.saturation)
    if plan.hue is not None:
        image = _clip(tf.image.adjust_hue(image / 255, plan.hue) * 255)
    return image


def _gaussian(sigma: tf.Tensor, largest: float) -> tf.Tensor:
    """A Gaussian kernel, `[2 * radius + 1]`, as wide as one of the largest sigma."""
    radius = math.ceil(3 * largest)
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    return tf.nn.softmax(-(offsets**2) / (2 * sigma**2))


def _blur(image: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Filters rows, then columns; edges are mirrored."""
    radius = kernel.shape[0] // 2
    # An image may be smaller than the radius.
    rows, columns = (_reflect(tf.shape(image)[i], radius) for i in (0, 1))
    image = tf.gather(tf.gather(image, rows), columns, axis=1)[tf.newaxis]
    for shape in ((-1, 1, 1, 1), (1, -1, 1, 1)):
        filters = tf.tile(tf.reshape(kernel, shape), (1, 1, 3, 1))
        image = tf.nn.depthwise_conv2d(image, filters, (1, 1, 1, 1), "VALID")
    return image[0]


def _reflect(length: tf.Tensor, radius: int) -> tf.Tensor:
    """Indices of pixels -radius ... length + radius, mirrored as often as need be."""
    place = tf.range(-radius, length + radius) % (2 * length)
    return tf.minimum(place, 2 * length - 1 - place)


def _clip(image: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(image, 0, 255)


def rotation_margin(config: AugmentConfig) -> np.ndarray:
    """Rows and columns beyond each side of a crop that rotation may turn into it."""
    if not config.rotation_degrees:
        return np.zeros(2, np.int32)
    margins = []
    for along, across in (config.train_crop_size, config.train_crop_size[::-1]):
        angle = min(math.radians(config.rotation_degrees), math.atan2(across, along))
        needed = along * math.cos(angle) + across * math.sin(angle)
        margins.append(math.ceil((needed - along) / 2) + 1)
    return np.array(margins, np.int32)


def rotate(
    image: tf.Tensor, label: tf.Tensor, size: tuple[int, int], angle: tf.Tensor
) -> Pair:
    """Rotates both about their center, and crops the part of `size` around it.

    Args:
        image: Float32 `[H, W, 3]`.
        label: `[H, W, 1]`.
        size: Height and width, so much smaller that no corner is turned in.
        angle: Radians, anticlockwise.
    """
    turn = functools.partial(
        tf.raw_ops.ImageProjectiveTransformV3,
        transforms=_projective_rotation(tf.shape(image)[:2], size, angle),
        output_shape=size,
        fill_value=0.0,
        fill_mode="NEAREST",
    )
    return (
        turn(images=image[tf.newaxis], interpolation="BILINEAR")[0],
        turn(images=label[tf.newaxis], interpolation="NEAREST")[0],
    )


def _projective_rotation(
    before: tf.Tensor, after: tuple[int, int], angle: tf.Tensor
) -> tf.Tensor:
    """Places of the result's pixels before: the op's eight numbers, `[1, 8]`."""
    rows, columns = tf.unstack(tf.cast(before - 1, tf.float32) / 2)
    cos, sin = tf.cos(angle), tf.sin(angle)
    y, x = ((side - 1) / 2 for side in after)
    shift_x = columns - cos * x + sin * y
    shift_y = rows - sin * x - cos * y
    return tf.stack([cos, -sin, shift_x, sin, cos, shift_y, 0.0, 0.0])[tf.newaxis]
