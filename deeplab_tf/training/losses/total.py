"""The loss: sums over pixels or images, and what they are divided by.

The loss of a batch is `sum over terms of factor * sum / normalizer`. A normalizer is of
all replicas and micro-batches together, so that neither changes the numbers.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.config import LossConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.training.losses import pixel, region
from deeplab_tf.training.losses.pixel import Pixels
from deeplab_tf.training.remat import recompute

# Arrays of the size of the upsampled logits that the loss and its gradient need.
_FULL_SIZE = 4
_WHOLE_BATCH = 8 << 30  # Bytes of them, above which images have their losses in turn.


def normalizers(
    label: tf.Tensor, size: tf.Tensor, spec: DatasetSpec, config: LossConfig
) -> tf.Tensor:
    """Normalizers: divisors of the sum of each term, as far as the labels tell.

    Of a mean over pixels, all that are neither ignored nor of an unknown class,
    whatever they weigh; of FCN's sum, all images; of dice and lovasz, the images of
    which a pixel counts. The hardest pixels are counted later, by `loss_sums`.

    Args:
        label: Class ids, uint8 or int32 `[N, H, W, 1]`.
        size: Height and width of the logits.
        spec: Class count and ignore label.
        config: Which terms, and where they are compared.

    Returns:
        float32 `[terms]`, to be added up over micro-batches and replicas; 0 where
        `loss_sums` gives it.
    """
    _, kept = _mask_ignored(
        label if config.upsample_logits else _shrunk(label, size), spec
    )
    images = tf.reduce_sum(tf.reduce_max(kept, axis=1))
    pixels = tf.reduce_sum(kept)
    if config.loss_normalization == "images":
        pixels = tf.cast(tf.shape(label)[0], tf.float32)
    elif normalizers_come_late(config):
        pixels = tf.zeros([])
    return tf.stack(
        [pixels if name in pixel.LOSSES else images for name, _ in config.terms]
    )


def normalizers_come_late(config: LossConfig) -> bool:
    """Whether one is known with the losses only: the count of the hardest pixels."""
    of_pixels = any(name in pixel.LOSSES for name, _ in config.terms)
    hard = config.top_k_percent_pixels < 1.0
    return of_pixels and hard and config.loss_normalization == "pixels"


def loss_sums(
    logits: tf.Tensor,
    label: tf.Tensor,
    spec: DatasetSpec,
    config: LossConfig,
    step: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The sum of each term, and the normalizers that labels alone could not tell.

    The hardest pixels are those of this micro-batch, as in the official code those of a
    device; those with a loss count. Of K micro-batches, each with its own count, the
    mean is taken: divide by `normalizers + K * late`, late ones added up over the
    replicas.

    Args:
        logits: `[N, h, w, C]`; whatever their type, losses are float32.
        label: Class ids, uint8 or int32 `[N, H, W, 1]`.
        spec: Class count and ignore label.
        config: Which terms.
        step: How many steps were taken, for `hard_example_mining_step`.

    Returns:
        Sums and late normalizers, float32 `[terms]`; the latter are 0 where
        `normalizers` are not.
    """
    sums, late = [], []
    losses_by_term = _losses(logits, label, spec, config)
    for (name, _), losses in zip(config.terms, losses_by_term, strict=True):
        count = tf.zeros([])
        if name in pixel.LOSSES:
            if config.top_k_percent_pixels < 1.0:
                losses = pixel.hardest_pixels(losses, config, step)
            if normalizers_come_late(config):
                count = tf.math.count_nonzero(losses, dtype=tf.float32)
        sums.append(tf.reduce_sum(losses))
        late.append(count)
    return tf.stack(sums), tf.stack(late)


def image_by_image(images: int, memory: float) -> bool:
    """Whether a batch is so large that images have their losses one after the other.

    At 150 classes, the upsampled logits of 16 images of 513x513 would take 2.5 GB.
    Image by image, the loss takes twice the time.

    Args:
        images: Of the batch, or micro-batch, of a device.
        memory: `memory_of_an_image`.
    """
    return images > 1 and images * memory > _WHOLE_BATCH


def memory_of_an_image(
    size: Sequence[int], spec: DatasetSpec, config: LossConfig
) -> int:
    """Bytes that an image's loss and its gradient take, where they are compared.

    At the size of the logits, which is a sixteenth or less, they are neglected.

    Args:
        size: Height and width of the labels.
        spec: Class count.
        config: Where logits and labels are compared.
    """
    if not config.upsample_logits:
        return 0
    return 4 * _FULL_SIZE * math.prod(size) * spec.num_classes


def _losses(
    logits: tf.Tensor, label: tf.Tensor, spec: DatasetSpec, config: LossConfig
) -> list[tf.Tensor]:
    """Of each term those of all pixels, `[N * H * W]`, or of all images, `[N]`."""

    def of_images(logits: tf.Tensor, label: tf.Tensor) -> list[tf.Tensor]:
        pixels = _align(tf.cast(logits, tf.float32), label, spec, config)
        return [
            region.LOSSES[name](pixels)
            if name in region.LOSSES
            else pixel.LOSSES[name](pixels, config)
            for name, _ in config.terms
        ]

    images, *size, _ = tf.convert_to_tensor(label).shape.as_list()
    memory = memory_of_an_image(size, spec, config) if all(size) else 0
    if not (images and image_by_image(images, memory)):
        return of_images(logits, label)
    # The backward pass computes those of an image again, and none before its turn.
    losses = tf.map_fn(
        lambda each: recompute(of_images, [part[tf.newaxis] for part in each]),
        (logits, label),
        fn_output_signature=[tf.float32] * len(config.terms),
        parallel_iterations=1,
    )
    return [tf.reshape(each, [-1]) for each in losses]


def total(sums: tf.Tensor, normalizers: tf.Tensor, config: LossConfig) -> tf.Tensor:
    """The loss, or a micro-batch's share of it: sums by normalizers, times factors."""
    factors = tf.constant([factor for _, factor in config.terms])
    return tf.reduce_sum(factors * (sums / tf.maximum(normalizers, 1e-5)))


def _align(
    logits: tf.Tensor, label: tf.Tensor, spec: DatasetSpec, config: LossConfig
) -> Pixels:
    if config.upsample_logits:
        logits = resize.bilinear(logits, tf.shape(label)[1:3])
    else:
        label = _shrunk(label, tf.shape(logits)[1:3])
    label, kept = _mask_ignored(label, spec)
    logits = tf.reshape(logits, [tf.shape(label)[0], -1, spec.num_classes])
    return Pixels(logits=logits, label=label, kept=kept)


def _shrunk(label: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return resize.nearest(label, size)


def _mask_ignored(label: tf.Tensor, spec: DatasetSpec) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels, 0 for those that do not count, and 1 for those that do, `[N, pixels]`."""
    label = tf.convert_to_tensor(label)
    label = tf.cast(tf.reshape(label, [tf.shape(label)[0], -1]), tf.int32)
    # Ids that are no class count as little as ignored ones; see `count_bad_labels`.
    known = tf.logical_and(label >= 0, label < spec.num_classes)
    kept = tf.logical_and(known, tf.not_equal(label, spec.ignore_label))
    return tf.where(kept, label, 0), tf.cast(kept, tf.float32)


def sample_on_grid(label: tf.Tensor, grid: tuple[int, int] | None) -> tf.Tensor:
    """The labels `[N, H, W, 1]` of the pixels that a network scores in training.

    Args:
        label: Of every pixel.
        grid: First row and column, and distance between two; None for all pixels.
    """
    if grid is None:
        return label
    first, distance = grid
    return label[:, first::distance, first::distance]


def count_bad_labels(label: tf.Tensor, spec: DatasetSpec) -> tf.Tensor:
    """Number of pixels that are neither a class nor ignored, float32."""
    label = tf.cast(label, tf.int32)
    known = tf.logical_and(label >= 0, label < spec.num_classes)
    wrong = tf.logical_not(tf.logical_or(known, tf.equal(label, spec.ignore_label)))
    # Sums of int32 are computed on the host, far from a GPU.
    return tf.reduce_sum(tf.cast(wrong, tf.float32))
