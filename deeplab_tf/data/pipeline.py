"""Input pipeline: records -> batches, with tf.data, for training and evaluation.

The order of training records and every random choice follow from the seed and the
number of the record alone; so a run that starts again after `n` steps sees what
the uninterrupted one would have seen.
"""

import dataclasses
import functools

import tensorflow as tf

from deeplab_tf.config import AugmentConfig, ResizeConfig
from deeplab_tf.data import augment, crop_resize, transforms
from deeplab_tf.data.decode import (
    Decoder,
    Sample,
    decode_ids,
    decode_record,
    decode_window,
    image_size,
)
from deeplab_tf.data.records import ORDER, Records, require_label, shuffle_indices

_READS = 16  # Records that are read at a time, in order 2.


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputData:
    """Records of a split, and how they become inputs of a network.

    Attributes:
        records: What is read.
        ignore_label: Of the data set.
        mean_pixel: Of the network: RGB around images smaller than the crop.
        resize: Range of sizes into which images are brought first.
        decode: Reads a window of a parsed record, for training.
        order: Newest version of the order of records that the run knows.
    """

    records: Records
    ignore_label: int
    mean_pixel: tuple[float, float, float]
    resize: ResizeConfig
    decode: Decoder = decode_window
    order: int = ORDER

    def to_network(
        self, sample: Sample, *, crop_size: tuple[int, int], multiple: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """A parsed record, decoded and preprocessed as `transforms.to_network` says.

        Returns:
            Image, label, and (height, width) of both without padding.
        """
        image, ids = decode_record(sample)
        images, inner = transforms.to_network(
            image[tf.newaxis],
            resize=self.resize,
            crop_size=crop_size,
            multiple=multiple,
            mean_pixel=self.mean_pixel,
        )
        label = transforms.label_to_network(
            self.classes(ids, sample),
            inner,
            tf.shape(images)[1:3],
            ignore_label=self.ignore_label,
        )
        return images[0], label, inner

    def label(self, sample: Sample) -> tf.Tensor:
        """Class ids of a parsed record, uint8 `[H, W, 1]`; none without a label."""
        return tf.cond(
            tf.strings.length(sample["label"]) == 0,
            lambda: tf.zeros((0, 0, 1), tf.uint8),
            lambda: self._to_class_ids(decode_ids(sample, image_size(sample["image"]))),
        )

    def classes(self, ids: tf.Tensor, sample: Sample) -> tf.Tensor:
        """Class ids, uint8, of ids that `decode` gave; all ignored without a label."""
        label = require_label(sample, self.records)["label"]
        return tf.cond(
            tf.strings.length(label) == 0,
            lambda: tf.fill(tf.shape(ids), tf.constant(self.ignore_label, tf.uint8)),
            lambda: self._to_class_ids(ids),
        )

    def sizes(self, sample: Sample) -> list[tf.Tensor]:
        """Height and width of an image as stored and, with a range, resized into it."""
        stored = image_size(sample["image"])
        if self.resize.min_resize_value is None:
            return [stored]
        return [stored, transforms.size_in_range(stored, self.resize)]

    def _to_class_ids(self, ids: tf.Tensor) -> tf.Tensor:
        table = self.records.table
        if table is None:
            return ids
        return tf.gather(tf.cast(table, tf.uint8), tf.cast(ids, tf.int32))


@tf.autograph.experimental.do_not_convert
def training_batches(
    source: InputData,
    config: AugmentConfig,
    batch_size: int,
    *,
    seed: int,
    start: int = 0,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Endless batches of crops: "image" `[N, H, W, 3]`, "label" `[N, H, W, 1]`, "name".

    Images are float32, or uint8 with `config.uint8_images`; labels are uint8. "number"
    counts the images of all batches, from 0, over epochs and replicas.

    Args:
        source: The split.
        config: Crop size and augmentation.
        batch_size: Images a batch, of one replica.
        seed: Of order and augmentation.
        start: Records, over all replicas, that an earlier run has taken.
        context: Which part of the records is this machine's; all by default.
    """
    records = _own_records(source, batch_size, seed=seed, start=start, context=context)
    crop = functools.partial(training_crop, source=source, config=config, seed=seed)
    crops = records.map(crop, tf.data.AUTOTUNE, deterministic=True)
    return crops.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _own_records(
    source: InputData,
    batch_size: int,
    *,
    seed: int,
    start: int = 0,
    count: int = -1,
    context: tf.distribute.InputContext | None,
) -> tf.data.Dataset:
    """Number and record of each image of this machine, in the order of the run.

    Args:
        source: The split.
        batch_size: Images a batch, of one replica.
        seed: Of the order.
        start: The first number.
        count: How many numbers, of all machines; -1: without end.
        context: Which part is this machine's; all by default.
    """
    records = source.records
    by_index = min(source.order, records.order) > 1
    if by_index:
        numbered = shuffle_indices(records.count(), seed, start)
    else:
        numbered = _read_in_order_1(records, seed, start)
    numbered = numbered.take(count)
    if context:
        numbered = shard_global_batches(numbered, batch_size, context)
    if not by_index:
        return numbered
    return numbered.map(
        lambda number, index: (number, records.read(index)), _READS, deterministic=True
    )


def _read_in_order_1(records: Records, seed: int, start: int) -> tf.data.Dataset:
    per_epoch = records.count()
    first, skipped = divmod(start, per_epoch)
    numbered = tf.data.Dataset.counter(first).flat_map(
        lambda epoch: records.epoch(epoch, seed).enumerate(epoch * per_epoch)
    )
    return numbered.skip(skipped)  # Less than an epoch; earlier ones are not read.


def shard_global_batches(
    records: tf.data.Dataset, batch_size: int, context: tf.distribute.InputContext
) -> tf.data.Dataset:
    """Shards each global batch: the images of this machine, one after the other.

    Args:
        records: Of all machines, one by one.
        batch_size: Images a batch, of one replica.
        context: Which part is this machine's.
    """
    replicas = context.num_replicas_in_sync // context.num_input_pipelines
    batches = records.batch(batch_size * replicas)
    own = batches.shard(context.num_input_pipelines, context.input_pipeline_id)
    return own.unbatch()


def training_crop(
    number: tf.Tensor,
    sample: Sample,
    *,
    source: InputData,
    config: AugmentConfig,
    seed: int,
) -> Sample:
    """A record, augmented at random; chance is the seed and the record's number."""
    sizes = source.sizes(sample)
    plan = augment.plan(sizes[-1], config, tf.stack([tf.cast(seed, tf.int64), number]))
    image, ids = crop_resize.resample(
        functools.partial(source.decode, sample),
        [*sizes, plan.size],
        crop_resize.clip_window(plan.window, plan.size),
        flip=plan.flip,
    )
    image, label = augment.apply(
        plan,
        image,
        source.classes(ids, sample),
        mean_pixel=source.mean_pixel,
        ignore_label=source.ignore_label,
    )
    if config.uint8_images:
        image = tf.cast(image + 0.5, tf.uint8)
    return {
        "image": tf.ensure_shape(image, (*plan.crop_size, 3)),
        "label": tf.ensure_shape(label, (*plan.crop_size, 1)),
        "name": sample["name"],
        "number": number,
    }


@tf.autograph.experimental.do_not_convert
def one_batch(
    source: InputData,
    batch_size: int,
    *,
    crop_size: tuple[int, int],
    seed: int,
    global_batch_size: int,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """The first batch of a training, endlessly: the middle of images, not augmented.

    Args:
        source: The split.
        batch_size: Images a batch, of one replica.
        crop_size: Height, width of the middle.
        seed: Of the order.
        global_batch_size: Images of all replicas.
        context: Which part of the batch is this machine's; all by default.

    Returns:
        Batches as those of `training_batches`, without names.
    """
    records = _own_records(
        source, batch_size, seed=seed, count=global_batch_size, context=context
    )
    crop = functools.partial(_center_crop, source=source, crop_size=crop_size)
    crops = records.map(crop)
    return crops.batch(batch_size, drop_remainder=True).cache().repeat()


def _center_crop(
    number: tf.Tensor, sample: Sample, *, source: InputData, crop_size: tuple[int, int]
) -> Sample:
    image, label, _ = source.to_network(sample, crop_size=crop_size, multiple=1)
    top, left = tf.unstack((tf.shape(image)[:2] - crop_size) // 2)
    height, width = crop_size
    image = image[top : top + height, left : left + width]
    label = label[top : top + height, left : left + width]
    return {
        "image": tf.ensure_shape(image, (*crop_size, 3)),
        "label": tf.ensure_shape(label, (*crop_size, 1)),
        "number": number,
    }


@tf.autograph.experimental.do_not_convert
def evaluation_batches(
    source: InputData,
    batch_size: int,
    *,
    crop_size: tuple[int, int],
    multiple: int,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Every image of a split once, padded as `transforms.network_size` says.

    Images of one padded size share a batch; of several sizes, batches may come out of
    the records' order. "height" and "width" tell where an image ends.

    Args:
        source: The split.
        batch_size: Images a batch.
        crop_size: See `transforms.network_size`.
        multiple: See there.
        context: Which part of the records is this machine's; all by default.
    """
    preprocess = functools.partial(
        _evaluation_sample, source=source, crop_size=crop_size, multiple=multiple
    )
    records = source.records.in_order()
    if context:
        records = records.shard(context.num_input_pipelines, context.input_pipeline_id)
    samples = records.map(preprocess, tf.data.AUTOTUNE, deterministic=True)
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


def _evaluation_sample(
    sample: Sample, *, source: InputData, crop_size: tuple[int, int], multiple: int
) -> Sample:
    image, label, size = source.to_network(
        sample, crop_size=crop_size, multiple=multiple
    )
    return {
        "image": image,
        "label": tf.cast(label, tf.int32),  # What it is counted with overflows uint8.
        "name": sample["name"],
        "height": size[0],
        "width": size[1],
    }
