"""Records written without TensorFlow are those that TensorFlow writes."""

import hashlib

import pytest
import tensorflow as tf

from deeplab_tf.data.crc32c import crc32c
from deeplab_tf.data.writing import Record, write_shard


def bit_by_bit(data):
    """CRC-32C by its definition."""
    total = 0xFFFFFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = total >> 1 ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xFFFFFFFF


def test_the_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283  # The check value of CRC-32C.
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4.
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


@pytest.mark.parametrize("length", [0, 1, 3, 507, 508, 509, 512, 1020, 1021, 3000])
def test_the_checksum_at_any_length(rng, length):
    data = rng.bytes(length)
    assert crc32c(data) == bit_by_bit(data)


@pytest.fixture
def records(rng):
    """Sizes of one, two and three bytes, a name beyond ASCII, and no label."""
    return [
        Record(
            name="Größe",
            image=rng.bytes(40_000),
            image_format="jpeg",
            size=(1, 127),
            label=rng.bytes(200),
        ),
        Record(name="b", image=b"", image_format="png", size=(128, 70_000)),
    ]


def test_a_record_is_the_example_that_it_says(records):
    for record in records:
        serialized = record.serialized()
        example = tf.train.Example.FromString(serialized)
        assert example.SerializeToString(deterministic=True) == serialized
        features = example.features.feature
        assert len(features) == 8
        assert features["image/encoded"].bytes_list.value == [record.image]
        assert features["image/filename"].bytes_list.value == [record.name.encode()]
        assert features["image/format"].bytes_list.value == [
            record.image_format.encode()
        ]
        sizes = [
            features[f"image/{side}"].int64_list.value for side in ("height", "width")
        ]
        assert sizes == [[record.size[0]], [record.size[1]]]
        assert features["image/channels"].int64_list.value == [3]
        label = features["image/segmentation/class/encoded"].bytes_list.value
        assert label == [record.label]


def test_a_shard_is_the_file_that_tensorflow_writes(records, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record.serialized())
    sha256 = write_shard(records, tmp_path / "ours")
    written = (tmp_path / "ours").read_bytes()
    assert written == (tmp_path / "theirs").read_bytes()
    assert sha256 == hashlib.sha256(written).hexdigest()


def test_a_disk_that_is_full_names_the_file(records, tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_shard(records, tmp_path / "full")
    assert caught.value.filename == str(tmp_path / "full")
