"""Damaged records: named, and left out where that was asked for."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import AugmentConfig, ResizeConfig
from deeplab_tf.data import corrupt_records, image_files, pipeline, tfrecord
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.records import Shards
from deeplab_tf.errors import FlagError, InputError
from tests.data import pngs
from tests.data.test_tfrecord import make_record


def serialized(name, image, label):
    record = tfrecord.Record(
        name=name, image=image, image_format="png", size=(7, 9), label=label
    )
    return record.serialize()


def bad(rng, how):
    """A serialized record that cannot be used."""
    good = make_record(rng, "bad")
    return {
        "no record": b"nothing",
        "no image": serialized("bad", b"\x89PNG", good.label),
        "half an image": serialized("bad", good.image[:-30], good.label),
        "half a label": serialized("bad", good.image, good.label[:-20]),
        "another size": serialized("bad", good.image, image_files.png(SMALL)),
    }[how]


SMALL = np.zeros((3, 3), np.uint8)
HOW = ["no record", "no image", "half an image", "half a label", "another size"]
IS = [*["is damaged; copy or build it again"] * 4, r"\(bad\): the mask is 3x3, its im"]


def write(folder, rng, per_shard, bads=()):
    """Shards of good records but for those at (shard, number)."""
    for shard, count in enumerate(per_shard):
        path = folder / tfrecord.shard_name("train", shard, len(per_shard))
        with tf.io.TFRecordWriter(str(path)) as writer:
            for i in range(count):
                name = f"{shard}_{i}"
                good = make_record(rng, name).serialize()
                writer.write(bad(rng, HOW[i % 5]) if (shard, i) in bads else good)
    return Shards(paths=tfrecord.find_shards(str(folder), "train"))


def break_checksum(records, shard, number):
    path = records.paths[shard]
    offset = tfrecord.offsets(path)[number]
    with open(path, "r+b") as file:
        file.seek(offset + 100)
        byte = file.read(1)
        file.seek(offset + 100)
        file.write(bytes([byte[0] ^ 1]))


def names(samples):
    return [sample["name"].numpy().decode() for sample in samples]


def source(records):
    return InputData(
        records=records,
        ignore_label=255,
        mean_pixel=(127.5,) * 3,
        resize=ResizeConfig(),
    )


def batches(records, **options):
    augment = AugmentConfig(train_crop_size=(5, 5))
    found = pipeline.training_batches(source(records), augment, 2, seed=1, **options)
    return found.as_numpy_iterator()


@pytest.mark.parametrize("how", range(5))
def test_a_record_that_cannot_be_used_is_named(rng, tmp_path, how):
    records = write(tmp_path, rng, [2, 6], [(1, how)])
    message = rf"00001-of-00002.tfrecord: record {how} {IS[how]}"
    with pytest.raises(InputError, match=message):
        list(
            itertools.islice(corrupt_records.read_batches(batches(records), records), 8)
        )


@pytest.mark.parametrize("how", range(5))
def test_none_is_scored(rng, tmp_path, how):
    records = write(tmp_path, rng, [2, 6], [(1, how)])
    found = pipeline.evaluation_batches(
        source(records), 1, crop_size=(9, 9), multiple=1
    )
    message = rf"00001-of-00002.tfrecord: record {how} {IS[how]}"
    with pytest.raises(InputError, match=message):
        list(corrupt_records.read_batches(found, records))


IDS = np.eye(7, 9, dtype=np.uint8)
MISREAD = pngs.misread(IDS)


def write_label(folder, rng, label, needs_labels=True):
    """Two records, the second with a label."""
    good = make_record(rng, "good")
    path = folder / tfrecord.shard_name("train", 0, 1)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(good.serialize())
        writer.write(serialized("late", good.image, label))
    return Shards(paths=[str(path)], needs_labels=needs_labels)


def read_all(records, how):
    if how == "to train":
        samples = itertools.islice(batches_of(records), 1)
    elif how == "to evaluate":
        samples = pipeline.evaluation_batches(
            source(records), 1, crop_size=(9, 9), multiple=1
        )
    else:
        samples = records.in_order().map(lambda each: {"": source(records).label(each)})
    return list(corrupt_records.read_batches(samples, records))


def batches_of(records):
    augment = AugmentConfig(train_crop_size=(5, 5))
    return pipeline.training_batches(source(records), augment, 2, seed=1)


@pytest.mark.parametrize("how", ["to train", "to evaluate", "to count"])
def test_a_label_that_no_sample_has_seen_is_named_with_its_cause(rng, tmp_path, how):
    records = write_label(tmp_path, rng, MISREAD["16 bits"])
    with pytest.raises(InputError) as error:
        read_all(records, how)
    assert str(error.value) == (
        f"{records.paths[0]}: record 1 (late): its label PNG has 16 bits, which "
        "TensorFlow does not read as class ids; build the records again with "
        "datasets/build_folder_data.py"
    )


def test_a_record_without_a_label_is_named_where_labels_are_needed(rng, tmp_path):
    records = write_label(tmp_path, rng, b"")
    for how in ("to train", "to evaluate"):
        with pytest.raises(
            InputError, match=r"record 1 \(late\): it has no label; only"
        ):
            read_all(records, how)
    records = write_label(tmp_path, rng, b"", needs_labels=False)
    (_, late) = read_all(records, "to evaluate")
    assert (late["label"].numpy() == 255).all()


def test_a_label_of_another_size_is_not_counted(rng, tmp_path):
    records = write_label(tmp_path, rng, image_files.png(np.zeros((9, 7), np.uint8)))
    message = r"record 1 \(late\): the mask is 7x9, its image 9x7 .* turned by 90 deg"
    with pytest.raises(InputError, match=message):
        read_all(records, "to count")


def test_a_label_that_breaks_the_contract_may_be_left_out_aloud(rng, tmp_path, caplog):
    records = write_label(tmp_path, rng, MISREAD["16 bits"])
    kept = corrupt_records.skip_corrupt(records, 1)
    assert names(kept.in_order()) == ["good"]
    assert "record 1 (late): its label PNG has 16 bits" in caplog.text
    assert "1 of 2 records are left out" in caplog.text


def test_a_wrong_checksum_is_named(rng, tmp_path):
    records = write(tmp_path, rng, [2, 6])
    break_checksum(records, 1, 3)
    with pytest.raises(InputError, match=r"00001-of-00002.tfrecord: record 3 is damag"):
        list(
            itertools.islice(corrupt_records.read_batches(batches(records), records), 8)
        )


def test_what_is_no_damage_is_not_called_so(rng, tmp_path):
    records = write(tmp_path, rng, [2])
    with (
        pytest.raises(InputError, match="though all can by now"),
        corrupt_records.translate_read_errors(records),
    ):
        raise tf.errors.DataLossError(None, None, "IteratorGetNext: torn")
    with (
        pytest.raises(tf.errors.InvalidArgumentError),
        corrupt_records.translate_read_errors(records),
    ):
        raise tf.errors.InvalidArgumentError(None, None, "of the network")


def test_nothing_is_read_unless_it_was_asked_for(rng, tmp_path):
    records = write(tmp_path, rng, [2], [(0, 1)])
    assert corrupt_records.skip_corrupt(records, 0) is records


@pytest.fixture
def damaged(rng, tmp_path):
    """12 records, of which those with names are good, in three shards."""
    records = write(tmp_path, rng, [6, 1, 5], [(0, 0), (0, 3), (1, 0)])
    break_checksum(records, 2, 4)
    return records


GOOD = ["0_1", "0_2", "0_4", "0_5", "2_0", "2_1", "2_2", "2_3"]


def test_damaged_records_are_told_and_left_out(damaged, caplog):
    kept = corrupt_records.skip_corrupt(damaged, 4)
    for shard, number in ((0, 0), (0, 3), (1, 0), (2, 4)):
        assert f"{damaged.paths[shard]}: record {number} is damaged" in caplog.text
    assert "4 of 12 records are left out" in caplog.text
    assert kept.count() == 8
    assert names(kept.in_order()) == GOOD
    assert names(kept.each()) == GOOD
    assert [names(part.in_order()) for part in kept.by_file()] == [
        GOOD[:4],
        [],
        GOOD[4:],
    ]
    assert kept.where(2) == f"{damaged.paths[0]}: record 4"
    assert corrupt_records.skip_corrupt(kept, 4).count() == 8


def test_files_are_searched_once_however_many_records_are_asked_for(
    damaged, monkeypatch
):
    kept = corrupt_records.skip_corrupt(damaged, 4)
    searched, edges = [], tfrecord.edges
    monkeypatch.setattr(
        tfrecord, "edges", lambda path: searched.append(path) or edges(path)
    )
    found = [kept.where(index) for index in range(8)]
    assert found == [
        f"{damaged.paths[shard]}: record {number}"
        for shard, numbers in ((0, (1, 2, 4, 5)), (2, (0, 1, 2, 3)))
        for number in numbers
    ]
    assert searched == list(damaged.paths)


def test_more_than_allowed_stop_the_run(damaged):
    message = "00002-of-00003.tfrecord: record 4 is damaged, and 3 before it; --max_"
    with pytest.raises(InputError, match=message):
        corrupt_records.skip_corrupt(damaged, 3)


def test_where_all_are_damaged_none_is_left_to_train_on(rng, tmp_path):
    records = write(tmp_path, rng, [2, 1], [(0, 0), (0, 1), (1, 0)])
    message = "00000-of-00002.tfrecord: all 3 records of the split are damaged; copy"
    with pytest.raises(InputError, match=message):
        corrupt_records.skip_corrupt(records, 3)


def test_every_epoch_has_all_that_are_left(damaged):
    kept = corrupt_records.skip_corrupt(damaged, 9)
    epochs = [names(kept.epoch(tf.constant(i, tf.int64), 5)) for i in range(3)]
    assert all(sorted(epoch) == GOOD for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3


def test_without_damage_the_order_is_what_it_was(rng, tmp_path):
    records = write(tmp_path, rng, [4, 5])
    kept = corrupt_records.skip_corrupt(records, 1)
    epoch = tf.constant(2, tf.int64)
    assert names(kept.epoch(epoch, 5)) == names(records.epoch(epoch, 5))


def taken(records, count, **options):
    found = itertools.islice(batches(records, **options), count)
    return [
        pair
        for batch in found
        for pair in zip(batch["name"], batch["image"], strict=True)
    ]


@pytest.mark.nightly
def test_a_run_goes_on_and_is_shared_out_without_them(damaged):
    """Each start looks anew for what is damaged."""
    whole = taken(corrupt_records.skip_corrupt(damaged, 4), 9)
    rest = taken(corrupt_records.skip_corrupt(damaged, 4), 4, start=10)
    for one, two in zip(whole[10:], rest, strict=True):
        assert one[0] == two[0]
        np.testing.assert_array_equal(one[1], two[1])
    for index in range(2):
        context = tf.distribute.InputContext(2, index, 2)
        own = taken(corrupt_records.skip_corrupt(damaged, 4), 4, context=context)
        assert [name for name, _ in own] == [
            name for i, (name, _) in enumerate(whole[:16]) if i // 2 % 2 == index
        ]


def test_records_of_other_libraries_are_not_searched(rng, tmp_path):
    class Others:
        def count(self):
            return 3

        def where(self, index):
            return f"tfds: example {index}"

    with pytest.raises(FlagError, match="TFRecord shards alone, not of tfds: example"):
        corrupt_records.skip_corrupt(Others(), 1)
