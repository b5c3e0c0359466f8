"""Records on disk."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.data.tfrecord import Record
from deeplab_tf.errors import InputError


def make_record(rng, name="a", height=7, width=9):
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    label = rng.integers(0, 5, (height, width)).astype(np.uint8)
    return Record(
        name=name,
        image=image_files.png(image),
        image_format="png",
        size=(height, width),
        label=image_files.png(label),
    )


@pytest.fixture
def folder(rng, tmp_path):
    """Two shards of 3 and 2 records."""
    records = [make_record(rng, f"image_{i}") for i in range(5)]
    tfrecord.write_shards(records, tmp_path, "train", per_shard=[3, 2])
    return tmp_path


def test_a_record_has_the_official_keys(rng):
    example = tf.train.Example.FromString(make_record(rng).serialize())
    feature = example.features.feature
    assert set(feature) == {
        "image/encoded",
        "image/filename",
        "image/format",
        "image/height",
        "image/width",
        "image/channels",
        "image/segmentation/class/encoded",
        "image/segmentation/class/format",
    }
    assert feature["image/height"].int64_list.value == [7]
    assert feature["image/width"].int64_list.value == [9]
    assert feature["image/channels"].int64_list.value == [3]
    assert feature["image/format"].bytes_list.value == [b"png"]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 9), (31, 2)])
def test_what_is_written_is_read(rng, height, width):
    record = make_record(rng, "2007_000032", height, width)
    sample = tfrecord.parse_example(tf.constant(record.serialize()))
    assert sample["name"].numpy() == b"2007_000032"
    image = tfrecord.decode_image(sample["image"])
    label = tfrecord.decode_label(sample["label"])
    assert image.shape == (height, width, 3)
    assert label.shape == (height, width, 1)
    np.testing.assert_array_equal(
        image, np.asarray(Image.open(io.BytesIO(record.image)))
    )
    np.testing.assert_array_equal(
        label[..., 0], np.asarray(Image.open(io.BytesIO(record.label)))
    )


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("./ADE20K/images/training/ADE_train_00000001.jpg", b"ADE_train_00000001"),
        ("aachen_000000_000019", b"aachen_000000_000019"),
        ("photo.v2.png", b"photo.v2"),
        ("dotted.name", b"dotted.name"),
    ],
)
def test_names_are_stems_whatever_part_of_the_path_was_stored(rng, stored, name):
    record = make_record(rng, stored)
    assert (
        tfrecord.parse_example(tf.constant(record.serialize()))["name"].numpy() == name
    )


def test_a_record_of_other_tools_is_read():
    """As research/deeplab writes it, less what it never reads."""
    image = image_files.png(np.full((3, 4, 3), 9, np.uint8))
    features = {"image/encoded": image, "image/filename": b"x.png"}
    example = tf.train.Example()
    for key, value in features.items():
        example.features.feature[key].bytes_list.value.append(value)
    sample = tfrecord.parse_example(tf.constant(example.SerializeToString()))
    assert sample["label"].numpy() == b""


def test_shards_have_the_official_names(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]
    assert [path[-29:] for path in tfrecord.find_shards(str(folder), "train")] == [
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]


def test_records_are_counted_without_reading_them(folder):
    shards = tfrecord.find_shards(str(folder), "train")
    assert [len(tfrecord.offsets(path)) for path in shards] == [3, 2]
    assert [len(list(tfrecord.read(path))) for path in shards] == [3, 2]


@pytest.mark.parametrize("cut", [5, 100])
def test_a_shard_that_is_cut_off_is_named(folder, cut):
    path = folder / "train-00001-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"train-00001.*: cut off within record 1"):
        tfrecord.offsets(str(path))


def test_a_record_with_a_wrong_byte_is_named(folder):
    path = folder / "train-00000-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"train-00000.*: record 1 is damaged"):
        list(tfrecord.read(str(path)))


def test_a_split_that_is_not_there_says_which_are(folder):
    with pytest.raises(InputError, match=r"no shards val-\*; it has train"):
        tfrecord.find_shards(str(folder), "val")


def test_a_split_is_not_one_whose_name_begins_so(folder, rng):
    tfrecord.write_shards([make_record(rng)], folder, "train-x", per_shard=[1])
    assert len(tfrecord.find_shards(str(folder), "train")) == 2
    with pytest.raises(InputError, match=r"no shards trai-\*; it has train, train-x"):
        tfrecord.find_shards(str(folder), "trai")


def test_a_file_without_numbers_is_a_shard_as_for_official_readers(folder):
    (folder / "test-all.tfrecord").write_bytes(b"")
    assert tfrecord.find_shards(str(folder), "test") == [
        str(folder / "test-all.tfrecord")
    ]


def test_a_missing_shard_is_noticed(folder):
    (folder / "train-00000-of-00002.tfrecord").unlink()
    said = r"1 shards train-\*, of 2 by their names; copy .* \(number 0\), or build"
    with pytest.raises(InputError, match=said):
        tfrecord.find_shards(str(folder), "train")


def test_a_shard_that_is_there_twice_is_noticed(folder):
    twin = folder / "train-00000-of-00002.bak"
    twin.write_bytes((folder / "train-00000-of-00002.tfrecord").read_bytes())
    with pytest.raises(InputError, match=r"3 shards .* remove those .* there twice"):
        tfrecord.find_shards(str(folder), "train")


def test_shards_of_two_sets_are_not_mixed(folder, rng):
    tfrecord.write_shards([make_record(rng)], folder, "train", per_shard=[1])
    with pytest.raises(InputError, match="of two sets, 00001 and 00002"):
        tfrecord.find_shards(str(folder), "train")
