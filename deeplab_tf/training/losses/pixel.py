"""Pixel losses, each for itself: cross entropy, focal, hard example mining."""

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf

from deeplab_tf.config import LossConfig


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pixels:
    """Scores of pixels and what they should be, image by image.

    Attributes:
        logits: float32 `[N, pixels, C]`.
        label: Class ids, int32 `[N, pixels]`, 0 where none counts.
        kept: 1 where the pixel counts, else 0; float32 `[N, pixels]`.
    """

    logits: tf.Tensor
    label: tf.Tensor
    kept: tf.Tensor


def cross_entropy(pixels: Pixels, config: LossConfig) -> tf.Tensor:
    """Cross entropy: `-sum_k q_k log p_k` of each pixel, times the weight of its class.

    With label smoothing, `q` is `1 - smoothing` at the label, and `smoothing` is
    spread evenly over all classes, that of the label too: Szegedy et al. 2016, section
    7, https://arxiv.org/abs/1512.00567.

    Returns:
        float32 `[N * pixels]`, 0 where a pixel does not count.
    """
    losses, share = _negative_log_likelihood(pixels), config.label_smoothing
    if share:
        others = tf.reduce_mean(tf.nn.log_softmax(pixels.logits), axis=-1)
        losses = (1.0 - share) * losses - share * tf.reshape(others, [-1])
    return _weigh(losses, pixels, config)


def focal(pixels: Pixels, config: LossConfig) -> tf.Tensor:
    """Focal loss: `-(1 - p)^gamma log p`, p of the right class, times its weight.

    Softmax form of Lin et al. 2017, equations 4 and 5, https://arxiv.org/abs/1708.02002
    (alpha is the class's weight). With gamma 0 it is the cross entropy, not smoothed.

    Returns:
        float32 `[N * pixels]`, 0 where a pixel does not count.
    """
    losses = _negative_log_likelihood(pixels)
    if config.focal_gamma:
        # Above 0, for a gamma below 1: the slope of a power at 0 is infinite.
        wrong = tf.maximum(-tf.math.expm1(-losses), 1e-12)
        losses *= wrong**config.focal_gamma
    return _weigh(losses, pixels, config)


LOSSES: Mapping[str, Callable[[Pixels, LossConfig], tf.Tensor]] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
}


def hardest_pixels(losses: tf.Tensor, config: LossConfig, step: tf.Tensor) -> tf.Tensor:
    """Online hard example mining: the greatest losses of an image batch.

    `top_k_percent_pixels` of all are kept, ignored ones included among all.

    Until `hard_example_mining_step`, the share falls from all to that.
    """
    share = tf.constant(config.top_k_percent_pixels)
    if config.hard_example_mining_step:
        progress = tf.cast(step, tf.float32) / config.hard_example_mining_step
        progress = tf.minimum(1.0, progress)
        share = progress * share + (1.0 - progress)
    count = tf.cast(share * tf.cast(tf.size(losses), tf.float32), tf.int32)
    return tf.math.top_k(losses, count).values


def _negative_log_likelihood(pixels: Pixels) -> tf.Tensor:
    """`-log p` of the right class, `[N * pixels]`."""
    logits = tf.reshape(pixels.logits, [-1, tf.shape(pixels.logits)[-1]])
    label = tf.reshape(pixels.label, [-1])
    return tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)


def _weigh(losses: tf.Tensor, pixels: Pixels, config: LossConfig) -> tf.Tensor:
    losses, weights = losses * tf.reshape(pixels.kept, [-1]), config.label_weights
    if len(weights) <= 1:
        return losses * weights[0] if weights else losses
    weight = tf.gather(tf.constant(weights, tf.float32), pixels.label)
    return losses * tf.reshape(weight, [-1])
