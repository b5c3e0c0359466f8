"""Shards are those that dataset.json describes."""

import dataclasses
import hashlib
import os

import pytest
import tensorflow as tf

from deeplab_tf import files
from deeplab_tf.config import DataConfig, TfdsConfig
from deeplab_tf.data import shard_checksums, tfrecord
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.shard_checksums import Verification
from deeplab_tf.data.specs import shapes
from deeplab_tf.errors import InputError
from tests.data.test_tfrecord import make_record

WHY = "it was changed, or is of another build; build the records again"


@pytest.fixture
def folder(rng, tmp_path):
    """Two shards, described as a build does it."""
    records = [make_record(rng, str(i)) for i in range(4)]
    tfrecord.write_shards(records, tmp_path, "train", per_shard=[2, 2])
    describe(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    place = tmp_path_factory.mktemp("cache") / "new"
    monkeypatch.setenv(files.CACHE, str(place))
    return place


def describe(folder, **changes):
    shards = {path.name: path.read_bytes() for path in folder.glob("*.tfrecord")}
    facts = {
        "shards": {n: hashlib.sha256(data).hexdigest() for n, data in shards.items()},
        "shard_sizes": {name: len(data) for name, data in shards.items()},
    }
    dataclasses.replace(shapes.SPEC, **(facts | changes)).save(folder)


def replace(path, rng, name):
    """Another shard in its place, and its time put back."""
    before = path.stat()
    records = [make_record(rng, name), make_record(rng, "x")]
    tfrecord.write_shards(records, path.parent, "other", per_shard=[2])
    (path.parent / "other-00000-of-00001.tfrecord").replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def opened(folder):
    config = DataConfig(dataset_dir=str(folder))
    return open_split(config, TfdsConfig(), "train")[1]


def test_a_shard_of_another_size_is_named_before_anything_is_read(folder, rng):
    path = folder / "train-00001-of-00002.tfrecord"
    before = path.stat().st_size
    replace(path, rng, "a longer name")
    with pytest.raises(InputError) as error:
        opened(folder)
    now = path.stat().st_size
    assert str(error.value) == (
        f"{path}: {now} bytes, and dataset.json says {before}: {WHY}"
    )


def test_a_shard_of_another_content_is_named_beside_the_reading(folder):
    one = folder / "train-00000-of-00002.tfrecord"
    records = list(tfrecord.read(str(one)))
    with tf.io.TFRecordWriter(str(one)) as writer:
        for record in reversed(records):  # Of the same size.
            writer.write(record)
    with pytest.raises(InputError) as error:
        Verification(opened(folder).checksums).wait()
    assert (
        str(error.value) == f"{one}: not the shard that dataset.json describes: {WHY}"
    )


def test_where_a_record_is_damaged_that_is_said(folder):
    path = folder / "train-00001-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    verification = Verification(opened(folder).checksums)
    with pytest.raises(InputError, match="record 1 is damaged; copy or build it agai"):
        verification.wait()
    with pytest.raises(InputError, match="record 1 is damaged; copy or build it agai"):
        verification.raise_mismatch()


def test_what_is_not_recorded_is_not_asked_for(folder, rng):
    replace(folder / "train-00001-of-00002.tfrecord", rng, "a longer name")
    describe(folder, shards={}, shard_sizes={})  # As of 0.1 or by hand.
    Verification(opened(folder).checksums).wait()
    (folder / "dataset.json").unlink()  # As of research/deeplab.
    Verification(opened(folder).checksums).wait()


def test_a_build_without_sizes_has_checksums(folder, rng):
    describe(folder, shard_sizes={})
    replace(folder / "train-00001-of-00002.tfrecord", rng, "a longer name")
    with pytest.raises(InputError, match="not the shard that"):
        Verification(opened(folder).checksums).wait()


def test_shards_that_are_not_listed_beside_others_are_warned_of(folder, caplog):
    path = folder / "train-00000-of-00002.tfrecord"
    describe(folder, shards={"train-00000-of-00001.tfrecord": "0"}, shard_sizes={})
    assert opened(folder).checksums == {}
    assert (
        f"{path}: dataset.json lists other shards of its split, and not this one; is "
        "it of another build?"
    ) in caplog.text


@pytest.fixture
def computed(monkeypatch):
    """Names of shards whose SHA-256 was computed."""
    names, compute = [], files.file_digest
    monkeypatch.setattr(
        shard_checksums,
        "file_digest",
        lambda path: names.append(path.name) or compute(path),
    )
    return names


def test_each_shard_is_verified_once_as_long_as_it_does_not_change(folder, computed):
    names = sorted(path.name for path in folder.glob("*.tfrecord"))
    for _ in range(3):
        Verification(opened(folder).checksums).wait()
    assert computed == names
    os.utime(folder / names[1])
    Verification(opened(folder).checksums).wait()
    assert computed == [*names, names[1]]


def test_a_shard_that_was_wrong_is_not_remembered(folder, computed):
    describe(folder, shards={"train-00000-of-00002.tfrecord": "0" * 64})
    for _ in range(2):
        with pytest.raises(InputError, match=r"00000-of-00002\.tfrecord: not the sh"):
            Verification(opened(folder).checksums).wait()
    assert len(computed) == 2


@pytest.mark.parametrize("place", ["/dev/null/cache", "~nobody_of_this_name/cache"])
def test_a_cache_that_cannot_be_written_is_no_mistake(
    folder, computed, monkeypatch, place
):
    monkeypatch.setenv(files.CACHE, place)
    for _ in range(2):
        Verification(opened(folder).checksums).wait()
    assert len(computed) == 4


def test_the_cache_is_below_home_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv(files.CACHE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".cache" / "deeplab_tf"


def test_records_that_are_left_out_as_damaged_are_not_verified(folder):
    records = opened(folder).without([3])
    assert list(records.checksums) == [str(folder / "train-00000-of-00002.tfrecord")]
