"""Decoded records in memory: the same pixels, and never more than there is room for."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.data import decode, decode_cache
from deeplab_tf.data.crop_resize import Window
from deeplab_tf.errors import InputError
from tests.data.test_corrupt_records import write
from tests.data.test_pipeline import split, take

RECORD = 7 * 9 * 4  # Bytes of a decoded one: colors and id.


@pytest.fixture
def records(rng, tmp_path):
    return write(tmp_path, rng, [3, 2])


def looked_at(cache, records, epochs=2):
    window = Window(tf.constant([2, 3]), tf.constant([4, 5]))
    samples = records.in_order().repeat(epochs)
    return list(samples.map(lambda sample: cache(sample, window)))


@pytest.mark.parametrize(("room", "stay"), [(10, 5), (5, 5), (2.9, 2), (0.5, 0)])
def test_windows_are_the_same_and_memory_is_bounded(records, room, stay):
    cache = decode_cache.make_cache(records, room * RECORD / 1e9)
    expected = looked_at(decode.decode_window, records)
    for one, two in zip(looked_at(cache, records), expected, strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
    assert int(cache.stored.size()) == stay
    assert int(cache.used) == stay * RECORD


def test_what_is_remembered_is_not_decoded_again(records, monkeypatch):
    """A cache that holds other pixels gives those."""
    cache = decode_cache.make_cache(records, 1.0)
    before = looked_at(cache, records, 1)
    keys, _ = cache.stored.export()
    other = tf.io.serialize_tensor(tf.fill((7, 9, 4), tf.constant(5, tf.uint8)))
    cache.stored.insert(keys, tf.repeat(other, len(keys)))
    assert len(before) == len(keys) == 5
    for image, ids in looked_at(cache, records, 1):
        np.testing.assert_array_equal(image, np.full((4, 5, 3), 5))
        np.testing.assert_array_equal(ids, np.full((4, 5, 1), 5))


@pytest.mark.parametrize(
    ("room", "told"), [(9, "all stay in memory"), (2, "about 40% of them stay")]
)
def test_one_line_tells_what_fits(records, caplog, room, told):
    decode_cache.make_cache(records, room * RECORD / 1e9)
    assert "decoded, 5 records are about 0.00 GB" in caplog.text
    assert told in caplog.text


def test_a_damaged_record_is_told(rng, tmp_path):
    records = write(tmp_path, rng, [3, 2], [(1, 0)])
    with pytest.raises(InputError, match=r"00001-of-00002.tfrecord: record 0 is dam"):
        decode_cache.make_cache(records, 1.0)


def test_batches_with_a_cache_are_those_without(shapes):
    plain = split(shapes)
    cached = dataclasses.replace(
        plain, decode=decode_cache.make_cache(plain.records, 1e-4)
    )
    for one, two in zip(take(14, shapes), take(14, shapes, source=cached), strict=True):
        np.testing.assert_array_equal(one["image"], two["image"])
        np.testing.assert_array_equal(one["label"], two["label"])
    assert 0 < int(cached.decode.used) <= 1e5
