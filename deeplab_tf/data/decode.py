"""Decodes the JPEG or PNG and the label PNG of a record, whole or in part."""

from collections.abc import Callable

import tensorflow as tf

from deeplab_tf.data import tfrecord
from deeplab_tf.data.crop_resize import Window
from deeplab_tf.data.transforms import Pair

Sample = dict[str, tf.Tensor]
Decoder = Callable[[Sample, Window], Pair]

# Chroma subsampling: a color of a JPEG is spread over four pixels, with a share of
# those beside it; at the edge of a part they would be missing.
_SHARED = 2


def image_size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width of a JPEG or PNG, int32 `[2]`, without decoding it."""
    return tf.cond(
        tfrecord.is_jpeg(encoded),
        lambda: tf.io.extract_jpeg_shape(encoded)[:2],
        lambda: _png_size(encoded),
    )


def _png_size(encoded: tf.Tensor) -> tf.Tensor:
    # What is too short gets zeros: TensorFlow's error would quote it, and Python then
    # fails to read the error.
    header = tf.strings.substr(encoded, 0, 24) + b"\0" * 24
    width_height = tf.strings.substr(header, 16, 8)
    return tf.io.decode_raw(width_height, tf.int32, little_endian=False)[::-1]


def decode_record(sample: Sample) -> Pair:
    """Image and ids of a parsed record, uint8 `[H, W, 3]` and `[H, W, 1]`.

    Where there is no label, ids are 0.
    """
    image = tfrecord.decode_image(sample["image"])
    return image, decode_ids(sample, tf.shape(image)[:2])


def decode_ids(sample: Sample, size: tf.Tensor) -> tf.Tensor:
    """Ids of a parsed record, uint8 `[H, W, 1]`; 0 where there is no label.

    Args:
        sample: The record.
        size: Height and width of its image, which the label must have.
    """
    shape = tf.concat([size, [1]], 0)
    ids = tf.cond(
        tf.strings.length(sample["label"]) == 0,
        lambda: tf.zeros(shape, tf.uint8),
        lambda: tfrecord.decode_label(sample["label"]),
    )
    same = tf.reduce_all(tf.shape(ids) == shape)
    ids = tfrecord.require(same, ids, "a label of another size than its image")
    return tf.ensure_shape(ids, (None, None, 1))


def decode_window(sample: Sample, window: Window) -> Pair:
    """What `decode_record` gives, of a window; of a JPEG, less is decoded."""
    image = tf.cond(
        tfrecord.is_jpeg(sample["image"]),
        lambda: _jpeg_window(sample["image"], window),
        lambda: crop(tf.io.decode_png(sample["image"], 3), window),
    )
    ids = decode_ids(sample, image_size(sample["image"]))
    return tf.ensure_shape(image, (None, None, 3)), crop(ids, window)


def crop(pixels: tf.Tensor, window: Window) -> tf.Tensor:
    """The pixels of a window."""
    start = tf.concat([window.start, [0]], 0)
    return tf.slice(pixels, start, tf.concat([window.size, [-1]], 0))


def _jpeg_window(encoded: tf.Tensor, window: Window) -> tf.Tensor:
    size = tf.io.extract_jpeg_shape(encoded)[:2]
    start = tf.maximum(window.start - _SHARED, 0)
    stop = tf.minimum(window.start + window.size + _SHARED, size)
    pixels = tf.io.decode_and_crop_jpeg(
        encoded,
        tf.concat([start, stop - start], 0),
        3,
        dct_method=tfrecord.DCT,
    )
    return crop(pixels, Window(window.start - start, window.size))
