"""Images -> class ids and probabilities, from one look or several."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from deeplab_tf import resize

_TINY = np.finfo(np.float32).tiny
Network = Callable[..., tf.Tensor]  # Images `[N, H, W, 3]` -> logits `[N, h, w, C]`.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looks:
    """From how many versions of an image a prediction is averaged.

    Attributes:
        scales: Factors of the size.
        flipped: Look at the mirror image of each, too.
        upsample_logits: Bring logits to image size, then classify; or classify first.
        logits_stride: Image size over logits size.
        softmax_twice: As the official code makes probabilities of several looks.
    """

    scales: tuple[float, ...] = (1.0,)
    flipped: bool = False
    upsample_logits: bool = True
    logits_stride: int = 16
    softmax_twice: bool = False

    @property
    def single(self) -> bool:
        """One look, at the image as it is."""
        return self.scales == (1.0,) and not self.flipped


def predict(
    network: Network, images: tf.Tensor, looks: Looks
) -> tuple[tf.Tensor, tf.Tensor]:
    """Classes and probabilities of images.

    Args:
        network: A model; it is called without training.
        images: RGB in 0...255, float32 `[N, H, W, 3]`, padded to a size that suits it.
        looks: Scales and flips; probabilities of several are averaged.

    Returns:
        Class ids, int32 `[N, H, W]`, and probabilities, float32 `[N, H, W, C]`.
    """
    size = tf.shape(images)[1:3]
    if looks.single and not looks.upsample_logits:
        return _classified_first(network(images, training=False), size)
    if looks.single:
        logits = resize.bilinear(network(images, training=False), size)
        return _classes(logits), tf.nn.softmax(logits)
    found = [
        tf.nn.softmax(_logits(network, images, looks, scale, flip))
        for scale in looks.scales
        for flip in ([False, True] if looks.flipped else [False])
    ]
    probabilities = tf.add_n(found) / len(found)
    classes = _classes(probabilities)
    if looks.softmax_twice:
        probabilities = tf.nn.softmax(probabilities)
    return classes, probabilities


def score(
    network: Network, images: tf.Tensor, looks: Looks
) -> tuple[tf.Tensor, tf.Tensor]:
    """Classes as `predict` gives them, and what a CRF starts from.

    Args:
        network: A model; it is called without training.
        images: RGB in 0...255, float32 `[N, H, W, 3]`, padded to a size that suits it.
        looks: Scales and flips.

    Returns:
        Class ids, int32 `[N, H, W]`, and scores, float32 `[N, H, W, C]`: the logits of
        one look, the logarithm of the probabilities of several; nothing is clipped.
    """
    if not looks.single:
        mean = dataclasses.replace(looks, softmax_twice=False)
        classes, probabilities = predict(network, images, mean)
        # A probability that float32 cannot hold is 0; it has no logarithm.
        return classes, tf.math.log(tf.maximum(probabilities, _TINY))
    size = tf.shape(images)[1:3]
    small = network(images, training=False)
    logits = resize.bilinear(small, size)
    if looks.upsample_logits:
        return _classes(logits), logits
    return _classified_first(small, size)[0], logits


def _logits(
    network: Network, images: tf.Tensor, looks: Looks, scale: float, flip: bool
) -> tf.Tensor:
    """Logits at image size, of the images at `scale`, mirrored or not."""
    size = tf.shape(images)[1:3]
    if scale != 1.0:
        images = resize.bilinear(images, _scaled(size, scale))
    logits = network(images[:, :, ::-1] if flip else images, training=False)
    if scale < 1.0:
        # By way of the size that the image at scale 1 gives, as in the official code.
        logits = resize.bilinear(logits, _scaled(size, 1.0 / looks.logits_stride))
    logits = logits[:, :, ::-1] if flip else logits
    return resize.bilinear(logits, size)


def _scaled(size: tf.Tensor, scale: float) -> tf.Tensor:
    return tf.stack(
        [resize.scale_length(size[0], scale), resize.scale_length(size[1], scale)]
    )


def _classified_first(
    logits: tf.Tensor, size: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    classes = resize.nearest(_classes(logits)[..., tf.newaxis], size)[..., 0]
    return classes, resize.bilinear(tf.nn.softmax(logits), size)


def _classes(scores: tf.Tensor) -> tf.Tensor:
    return tf.argmax(scores, axis=-1, output_type=tf.int32)
