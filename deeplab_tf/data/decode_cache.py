"""Cache of decoded images: as many records as fit stay in memory."""

import dataclasses

import tensorflow as tf
from absl import logging

from deeplab_tf.data import corrupt_records, decode
from deeplab_tf.data.crop_resize import Window
from deeplab_tf.data.decode import Sample
from deeplab_tf.data.records import Records
from deeplab_tf.data.transforms import Pair

_GB = 1e9
_MEASURED = 20  # Records from whose sizes that of the split is estimated.


@dataclasses.dataclass(frozen=True, eq=False)
class DecodeCache:
    """A `decode.Decoder` that remembers, until its room is used up.

    What it gives is what `decode.decode_window` gives, bit for bit; so a run with it
    is the run without it. A record is known by its bytes.

    Attributes:
        room: Bytes.
        stored: Fingerprint -> image and ids.
        used: Bytes.
    """

    room: int
    stored: tf.lookup.experimental.MutableHashTable
    used: tf.Variable

    def __call__(self, sample: Sample, window: Window) -> Pair:
        """Image and ids, uint8, of a window of a parsed record."""
        prints = tf.fingerprint(tf.stack([sample["image"], sample["label"]]))
        image, label = tf.unstack(tf.bitcast(prints, tf.int64))
        key = image + 3 * label
        stored = self.stored.lookup(key)
        both = tf.cond(
            tf.strings.length(stored) == 0,
            lambda: self._decode(key, sample),
            lambda: tf.io.parse_tensor(stored, tf.uint8),
        )
        part = decode.crop(tf.ensure_shape(both, (None, None, 4)), window)
        return part[..., :3], part[..., 3:]

    def _decode(self, key: tf.Tensor, sample: Sample) -> tf.Tensor:
        both = tf.concat(decode.decode_record(sample), -1)
        needed = tf.size(both, tf.int64)
        used = self.used.assign_add(needed, read_value=True)
        fits = tf.cond(
            used <= self.room,
            lambda: self._insert(key, both),
            lambda: self._give_up(needed),
        )
        with tf.control_dependencies([fits]):
            return tf.identity(both)

    def _insert(self, key: tf.Tensor, both: tf.Tensor) -> tf.Tensor:
        inserted = self.stored.insert(key, tf.io.serialize_tensor(both))
        with tf.control_dependencies([inserted]):
            return tf.constant(True)

    def _give_up(self, needed: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([self.used.assign_sub(needed, read_value=False)]):
            return tf.constant(False)


def make_cache(records: Records, gigabytes: float) -> DecodeCache:
    """A cache for a split; says how much of it there is room for.

    Raises:
        InputError: A record cannot be read.
    """
    needed = _estimate_bytes(records)
    share = min(gigabytes * _GB / max(needed, 1), 1.0)
    logging.info(
        "--cache_decoded_gb=%g: decoded, %d records are about %.2f GB; %s",
        gigabytes,
        records.count(),
        needed / _GB,
        "all stay in memory"
        if share == 1
        else f"about {share:.0%} of them stay in memory",
    )
    with tf.device("CPU:0"):
        stored = tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, b"")
        used = tf.Variable(0, dtype=tf.int64, trainable=False)
    return DecodeCache(int(gigabytes * _GB), stored, used)


def _estimate_bytes(records: Records) -> float:
    """About what all records take, decoded: colors and id, a byte each."""
    sizes = (
        records.in_order()
        .take(_MEASURED)
        .map(lambda sample: tf.reduce_prod(decode.image_size(sample["image"])))
    )
    with corrupt_records.translate_read_errors(records):
        measured = [4 * int(size) for size in sizes]
    return records.count() * sum(measured) / max(len(measured), 1)
