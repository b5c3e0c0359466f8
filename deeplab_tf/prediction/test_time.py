"""Test-time augmentation: images -> classes and probabilities, by scales and flips."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.runtime import TINY

_ROWS = 16  # Of an image at a time.
Model = Callable[..., tf.Tensor]  # Images `[N, H, W, 3]` -> logits `[N, h, w, C]`.


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiScaleFlip:
    """Test-time augmentation: the views of an image whose probabilities are averaged.

    Attributes:
        scales: Factors of the size.
        flip: Take the mirror image of each, too.
        upsample_logits: Bring logits to image size, then classify; or classify first.
        logits_stride: Image size over logits size.
        softmax_twice: As the official code makes probabilities of several views.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    upsample_logits: bool = True
    logits_stride: int = 16
    softmax_twice: bool = False

    @property
    def is_single(self) -> bool:
        """One view, the image as it is."""
        return self.scales == (1.0,) and not self.flip


def predict_probabilities(
    model: Model, images: tf.Tensor, views: MultiScaleFlip
) -> tuple[tf.Tensor, tf.Tensor]:
    """Classes and probabilities of images.

    Args:
        model: It is called without training.
        images: RGB in 0...255, float32 `[N, H, W, 3]`, padded to a size that suits it.
        views: Scales and flips; probabilities of several are averaged.

    Returns:
        Class ids, int32 `[N, H, W]`, and probabilities, float32 `[N, H, W, C]`.
    """
    size = tf.shape(images)[1:3]
    if views.is_single and not views.upsample_logits:
        return _classify_first(model(images, training=False), size)
    if views.is_single:
        logits = resize.bilinear(model(images, training=False), size)
        return _argmax(logits), tf.nn.softmax(logits)
    of_views = [
        tf.nn.softmax(_logits(model, images, views, scale, flip))
        for scale in views.scales
        for flip in ([False, True] if views.flip else [False])
    ]
    probabilities = tf.add_n(of_views) / len(of_views)
    classes = _argmax(probabilities)
    if views.softmax_twice:
        probabilities = tf.nn.softmax(probabilities)
    return classes, probabilities


def predict_logits(
    model: Model, images: tf.Tensor, views: MultiScaleFlip
) -> tuple[tf.Tensor, tf.Tensor]:
    """Classes as `predict_probabilities` gives them, and what a CRF starts from.

    Args:
        model: It is called without training.
        images: RGB in 0...255, float32 `[N, H, W, 3]`, padded to a size that suits it.
        views: Scales and flips.

    Returns:
        Class ids, int32 `[N, H, W]`, and float32 `[N, H, W, C]`: the logits of one
        view, the logarithm of the mean probabilities of several; nothing is clipped.
    """
    if not views.is_single:
        mean = dataclasses.replace(views, softmax_twice=False)
        classes, probabilities = predict_probabilities(model, images, mean)
        # A probability that float32 cannot hold is 0; it has no logarithm.
        return classes, tf.math.log(tf.maximum(probabilities, TINY))
    size = tf.shape(images)[1:3]
    coarse = model(images, training=False)
    logits = resize.bilinear(coarse, size)
    if views.upsample_logits:
        return _argmax(logits), logits
    return _classify_first(coarse, size)[0], logits


def predict_confidence(
    model: Model, images: tf.Tensor, views: MultiScaleFlip
) -> tuple[tf.Tensor, tf.Tensor]:
    """Classes as `predict_probabilities` gives them, and the probability of each.

    Args:
        model: It is called without training.
        images: RGB in 0...255, float32 `[N, H, W, 3]`, padded to a size that suits it.
        views: Scales and flips.

    Returns:
        Class ids, int32, and probabilities, float32, both `[N, H, W]`.
    """
    if views.is_single and views.upsample_logits:
        classes, logits = predict_logits(model, images, views)
        return classes, greatest_probability(logits)
    classes, probabilities = predict_probabilities(model, images, views)
    return classes, tf.gather(probabilities, classes, axis=-1, batch_dims=3)


def greatest_probability(logits: tf.Tensor) -> tf.Tensor:
    """The greatest of the softmax, float32 `[N, H, W]`.

    It is computed some rows at a time: a softmax of the whole, of which nobody needs
    the rest, takes more than twice as long for 151 classes, and their memory.

    Args:
        logits: float32 `[N, H, W, C]`.
    """
    count, height, width, _ = tf.unstack(tf.shape(logits))
    rows = tf.minimum(_ROWS, height)
    # All blocks have as many rows; the last one begins as early as it must.
    starts = tf.minimum(tf.range(0, height, rows), height - rows)

    def of_block(start: tf.Tensor) -> tf.Tensor:
        block = logits[:, start : start + rows]
        most = tf.reduce_max(block, axis=-1, keepdims=True)
        return 1 / tf.reduce_sum(tf.exp(block - most), axis=-1)

    blocks = tf.map_fn(of_block, starts, fn_output_signature=tf.float32)
    joined = tf.reshape(tf.transpose(blocks, [1, 0, 2, 3]), [count, -1, width])
    number = tf.range(height) // rows
    places = number * rows + tf.range(height) - tf.gather(starts, number)
    return tf.gather(joined, places, axis=1)


def _logits(
    model: Model, images: tf.Tensor, views: MultiScaleFlip, scale: float, flip: bool
) -> tf.Tensor:
    """Logits at image size, of the images at `scale`, mirrored or not."""
    size = tf.shape(images)[1:3]
    if scale != 1.0:
        images = resize.bilinear(images, _scale_size(size, scale))
    logits = model(images[:, :, ::-1] if flip else images, training=False)
    if scale < 1.0:
        # By way of the size that the image at scale 1 gives, as in the official code.
        logits = resize.bilinear(logits, _scale_size(size, 1.0 / views.logits_stride))
    logits = logits[:, :, ::-1] if flip else logits
    return resize.bilinear(logits, size)


def _scale_size(size: tf.Tensor, scale: float) -> tf.Tensor:
    return tf.stack(
        [resize.scale_length(size[0], scale), resize.scale_length(size[1], scale)]
    )


def _classify_first(logits: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    classes = resize.nearest(_argmax(logits)[..., tf.newaxis], size)[..., 0]
    return classes, resize.bilinear(tf.nn.softmax(logits), size)


def _argmax(values: tf.Tensor) -> tf.Tensor:
    return tf.argmax(values, axis=-1, output_type=tf.int32)
