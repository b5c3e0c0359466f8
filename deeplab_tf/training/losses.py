"""What wrong pixels cost, with an ignore label."""

import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.config import LossConfig
from deeplab_tf.data.spec import DatasetSpec


def pixel_losses(
    logits: tf.Tensor, label: tf.Tensor, spec: DatasetSpec, config: LossConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """Weighted cross entropy of each pixel, and which pixels count.

    Args:
        logits: `[N, h, w, C]`.
        label: Class ids, int32 `[N, H, W, 1]`.
        spec: Class count and ignore label.
        config: Whether to compare at the size of label or logits, and class weights.

    Returns:
        Losses, 0 where the label is ignored, and 1 or 0; both float32 `[pixels]`.
    """
    if config.upsample_logits:
        logits = resize.bilinear(logits, tf.shape(label)[1:3])
    else:
        label = resize.nearest(label, tf.shape(logits)[1:3])
    label = tf.reshape(label, [-1])
    logits = tf.reshape(logits, [-1, spec.num_classes])
    # Ids that are no class count as little as ignored ones; `bad_labels` finds them.
    known = tf.logical_and(label >= 0, label < spec.num_classes)
    kept = tf.logical_and(known, tf.not_equal(label, spec.ignore_label))
    label, kept = tf.where(kept, label, 0), tf.cast(kept, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)
    return losses * kept * _class_weight(label, spec, config), kept


def _class_weight(
    label: tf.Tensor, spec: DatasetSpec, config: LossConfig
) -> tf.Tensor | float:
    weights = config.label_weights
    if len(weights) <= 1:
        return weights[0] if weights else 1.0
    return tf.gather(tf.constant(weights, tf.float32), label)


def hardest(losses: tf.Tensor, config: LossConfig, step: tf.Tensor) -> tf.Tensor:
    """The greatest losses: `top_k_percent_pixels` of all, ignored ones included.

    Until `hard_example_mining_step`, the share falls from all to that.
    """
    share = tf.constant(config.top_k_percent_pixels)
    if config.hard_example_mining_step:
        progress = tf.cast(step, tf.float32) / config.hard_example_mining_step
        progress = tf.minimum(1.0, progress)
        share = progress * share + (1.0 - progress)
    count = tf.cast(share * tf.cast(tf.size(losses), tf.float32), tf.int32)
    return tf.math.top_k(losses, count).values


def loss_and_count(
    logits: tf.Tensor,
    label: tf.Tensor,
    spec: DatasetSpec,
    config: LossConfig,
    step: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sum of the losses, and the number of pixels, or images, to divide it by.

    Divide once, by the counts of all devices together. All pixels that are kept count,
    whatever they weigh; of the hardest, those with a loss. Over images, the loss is
    that of FCN, whose released solvers do not normalize: the sum over an image.
    """
    losses, kept = pixel_losses(logits, label, spec, config)
    if config.top_k_percent_pixels < 1.0:
        losses = hardest(losses, config, step)
        kept = tf.cast(tf.not_equal(losses, 0.0), tf.float32)
    if config.loss_normalization == "images":
        return tf.reduce_sum(losses), tf.cast(tf.shape(label)[0], tf.float32)
    return tf.reduce_sum(losses), tf.reduce_sum(kept)


def on_grid(label: tf.Tensor, grid: tuple[int, int] | None) -> tf.Tensor:
    """The labels `[N, H, W, 1]` of the pixels that a network scores in training.

    Args:
        label: Of every pixel.
        grid: First row and column, and distance between two; None for all pixels.
    """
    if grid is None:
        return label
    first, distance = grid
    return label[:, first::distance, first::distance]


def bad_labels(label: tf.Tensor, spec: DatasetSpec) -> tf.Tensor:
    """How many pixels are neither a class nor ignored, int32."""
    known = tf.logical_and(label >= 0, label < spec.num_classes)
    wrong = tf.logical_not(tf.logical_or(known, tf.equal(label, spec.ignore_label)))
    return tf.reduce_sum(tf.cast(wrong, tf.int32))
