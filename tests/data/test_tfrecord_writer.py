"""Records written without TensorFlow are those that TensorFlow writes."""

import hashlib

import pytest
import tensorflow as tf

from deeplab_tf.data.tfrecord_writer import Record, write_shard


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
        serialized = record.serialize()
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
            writer.write(record.serialize())
    sha256 = write_shard(records, tmp_path / "ours")
    written = (tmp_path / "ours").read_bytes()
    assert written == (tmp_path / "theirs").read_bytes()
    assert sha256 == hashlib.sha256(written).hexdigest()


def test_a_disk_that_is_full_names_the_file(records, tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_shard(records, tmp_path / "full")
    assert caught.value.filename == str(tmp_path / "full")
