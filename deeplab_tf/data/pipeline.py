"""Records -> batches, for training and for evaluation.

The order of training records and every random choice follow from the seed and the
number of the record alone; so a run that starts again after `n` steps sees what
the uninterrupted one would have seen.
"""

import dataclasses
import functools

import tensorflow as tf

from deeplab_tf.config import AugmentConfig, ResizeConfig
from deeplab_tf.data import tfrecord, transforms
from deeplab_tf.data.damage import Sample
from deeplab_tf.data.records import Records


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Records of a split, and how they are framed.

    Attributes:
        records: What is read.
        ignore_label: Of the data set.
        mean_pixel: Of the network: the colour around images smaller than the crop.
        resize: Range of sizes into which images are brought first.
    """

    records: Records
    ignore_label: int
    mean_pixel: tuple[float, float, float]
    resize: ResizeConfig

    def pair(self, sample: Sample) -> transforms.Pair:
        """Decodes a parsed record and brings it into the range of sizes."""
        image = tf.cast(tfrecord.decode_image(sample["image"]), tf.float32)
        label = tf.cond(
            tf.equal(sample["label"], b""),  # A test split.
            lambda: tf.fill((*tf.unstack(tf.shape(image)[:2]), 1), self.ignore_label),
            lambda: self.label(sample),
        )
        return transforms.resize_to_range(image, label, self.resize)

    def label(self, sample: Sample) -> tf.Tensor:
        """Decodes the class ids of a parsed record, int32 `[H, W, 1]`."""
        label = tfrecord.decode_label(sample["label"])
        table = self.records.table
        return label if table is None else tf.gather(tf.cast(table, tf.int32), label)


def training_batches(
    source: Source,
    augment: AugmentConfig,
    batch_size: int,
    *,
    seed: int,
    start: int = 0,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Endless batches of crops: "image" `[N, H, W, 3]`, "label" `[N, H, W, 1]`, "name".

    Args:
        source: The split.
        augment: Crop size and scales.
        batch_size: Images a batch, of one replica.
        seed: Of order and augmentation.
        start: Records, over all replicas, that an earlier run has taken.
        context: Which part of the records is this machine's; all by default.
    """
    per_epoch = source.records.count()
    first, skipped = divmod(start, per_epoch)
    records = tf.data.Dataset.counter(first).flat_map(
        lambda epoch: source.records.epoch(epoch, seed).enumerate(epoch * per_epoch)
    )
    records = records.skip(skipped)  # Less than an epoch; earlier ones are not read.
    if context:
        records = records.shard(context.num_input_pipelines, context.input_pipeline_id)
    crop = functools.partial(_training_crop, source=source, augment=augment, seed=seed)
    crops = records.map(crop, tf.data.AUTOTUNE, deterministic=True)
    return crops.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _training_crop(
    number: tf.Tensor,
    sample: Sample,
    *,
    source: Source,
    augment: AugmentConfig,
    seed: int,
) -> Sample:
    image, label = source.pair(sample)
    seeds = tf.random.split(tf.stack([tf.cast(seed, tf.int64), number]), 3)
    scale = transforms.random_scale(
        augment.min_scale_factor,
        augment.max_scale_factor,
        augment.scale_factor_step_size,
        seeds[0],
    )
    image, label = transforms.scaled(image, label, scale)
    image, label = transforms.padded(
        image,
        label,
        augment.train_crop_size,
        mean_pixel=source.mean_pixel,
        ignore_label=source.ignore_label,
    )
    image, label = transforms.random_crop(
        image, label, augment.train_crop_size, seeds[1]
    )
    image, label = transforms.random_flip(image, label, seeds[2])
    return {"image": image, "label": label, "name": sample["name"]}


def evaluation_batches(
    source: Source, batch_size: int, *, crop_size: tuple[int, int], multiple: int
) -> tf.data.Dataset:
    """Every image of a split once, padded as `transforms.network_size` says.

    Images of one padded size share a batch; of several sizes, batches may come out of
    the records' order. "height" and "width" tell where an image ends.
    """
    frame = functools.partial(
        _framed, source=source, crop_size=crop_size, multiple=multiple
    )
    samples = source.records.in_order().map(frame, tf.data.AUTOTUNE, deterministic=True)
    if batch_size == 1:
        return samples.batch(1).prefetch(tf.data.AUTOTUNE)
    batches = samples.group_by_window(
        lambda sample: tf.cast(
            tf.shape(sample["image"])[0] * 65536 + tf.shape(sample["image"])[1],
            tf.int64,
        ),
        lambda _, same: same.batch(batch_size),
        window_size=batch_size,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def _framed(
    sample: Sample,
    *,
    source: Source,
    crop_size: tuple[int, int],
    multiple: int,
) -> Sample:
    image, label = source.pair(sample)
    shape = tf.shape(image)
    image, label = transforms.padded(
        image,
        label,
        transforms.network_size(shape[:2], crop_size=crop_size, multiple=multiple),
        mean_pixel=source.mean_pixel,
        ignore_label=source.ignore_label,
    )
    return {
        "image": image,
        "label": label,
        "name": sample["name"],
        "height": shape[0],
        "width": shape[1],
    }
