"""Batches: the same seed gives the same ones, also from the middle."""

import dataclasses
import functools
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.input import plain
from deeplab_tf.config import AugmentConfig, ResizeConfig
from deeplab_tf.data import image_files, pipeline, tfrecord
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.records import Shards, shuffle, shuffle_indices
from tests.data.test_tfrecord import make_record

AUGMENT = AugmentConfig(train_crop_size=(33, 49))


def split(folder, split="train", **resize):
    return InputData(
        records=Shards(paths=tfrecord.find_shards(str(folder), split)),
        ignore_label=255,
        mean_pixel=(127.5, 127.5, 127.5),
        resize=ResizeConfig(**resize),
    )


def take(count, folder, batch_size=4, source=None, augment=AUGMENT, **options):
    batches = pipeline.training_batches(
        source or split(folder), augment, batch_size, **({"seed": 1} | options)
    )
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def names(batches):
    return [name for batch in batches for name in batch["name"]]


def test_batches_have_the_crop_size(shapes):
    (batch,) = take(1, shapes)
    assert batch["image"].shape == (4, 33, 49, 3)
    assert batch["image"].dtype == np.float32
    assert batch["label"].shape == (4, 33, 49, 1)
    assert batch["label"].dtype == np.uint8
    assert set(np.unique(batch["label"])) <= {0, 1, 2, 3, 4, 5, 255}


def test_every_epoch_has_every_image_once_in_an_order_of_its_own(shapes):
    found = names(take(18, shapes))
    epochs = [found[i : i + 24] for i in (0, 24, 48)]
    assert all(len(set(epoch)) == 24 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_same_seed_gives_the_same_batches_and_another_others(shapes):
    first, again, other = take(7, shapes), take(7, shapes), take(7, shapes, seed=2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one["image"], two["image"])
        np.testing.assert_array_equal(one["label"], two["label"])
    assert names(first) != names(other)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("steps", [1, 6, 13])
def test_batches_go_on_from_any_step_as_if_never_stopped(shapes, steps, order):
    source = dataclasses.replace(split(shapes), order=order)
    whole = take(steps + 3, shapes, source=source)
    rest = take(3, shapes, source=source, start=steps * 4)
    for one, two in zip(whole[steps:], rest, strict=True):
        np.testing.assert_array_equal(one["image"], two["image"])
        assert list(one["name"]) == list(two["name"])


def test_two_pipelines_share_each_batch_of_one(shapes):
    """Of 8 images, two replicas of the first have two each, then those of the other."""
    whole = take(6, shapes, batch_size=8)
    for pipeline_id in range(2):
        context = tf.distribute.InputContext(2, pipeline_id, 4)
        own = names(take(12, shapes, batch_size=2, context=context))
        half = slice(4 * pipeline_id, 4 * pipeline_id + 4)
        assert own == [name for batch in whole for name in batch["name"][half]]


def test_to_go_on_late_takes_no_reading(shapes):
    """After 10**9 images, 24 an epoch: the 41,666,666th has 16 of them behind it."""
    whole, epoch = 41_666_666, tf.constant(41_666_666, tf.int64)
    found = take(2, shapes, start=24 * whole + 16)
    assert list(found[0]["number"]) == [24 * whole + 16 + i for i in range(4)]
    seeds = tf.stack([tf.constant(1, tf.int64), epoch])
    order = tf.random.experimental.stateless_shuffle(
        tf.range(24, dtype=tf.int64), seeds
    )
    stored = [sample["name"] for sample in split(shapes).records.in_order()]
    assert names(found) == [stored[i].numpy() for i in order[16:]]


def test_all_records_of_an_epoch_are_mixed():
    """Also of more than any buffer holds: as far as in a shuffled list."""
    pairs = list(shuffle_indices(5000, 3, 0).take(10_000).as_numpy_iterator())
    numbers, indices = np.array(pairs).T
    np.testing.assert_array_equal(numbers, np.arange(10_000))
    for epoch in np.split(indices, 2):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(5000))
        moved = np.abs(epoch - np.arange(5000)).mean()
        assert 0.9 < moved / (5000 / 3) < 1.1  # The mean of |x - y|, both uniform.
    assert (indices[:5000] != indices[5000:]).mean() > 0.99


def test_a_pipeline_reads_its_own_records_alone(shapes, tmp_path):
    """The other's are damaged, and it does not see it."""
    folder = tmp_path / "records"
    shutil.copytree(shapes, folder)
    context = tf.distribute.InputContext(2, 0, 2)
    own = set(names(take(6, shapes, batch_size=2, context=context)))
    source = split(folder)
    stored = [sample["name"].numpy() for sample in source.records.in_order()]
    for index in (i for i, name in enumerate(stored) if name not in own):
        path, number = source.records.where(index).split(": record ")
        offset = tfrecord.offsets(path)[int(number)] + 100
        content = bytearray(Path(path).read_bytes())
        content[offset] ^= 1
        Path(path).write_bytes(content)
    assert set(names(take(6, folder, batch_size=2, context=context))) == own
    other = tf.distribute.InputContext(2, 1, 2)
    with pytest.raises(tf.errors.DataLossError):
        take(1, folder, batch_size=2, context=other)


def test_order_1_is_that_of_runs_begun_before(shapes):
    """Files in a shuffled order, four at a time, through a buffer."""
    paths = tfrecord.find_shards(str(shapes), "train")

    def epoch(number):
        seeds = tf.stack([tf.constant(1, tf.int64), number])
        order = tf.random.experimental.stateless_shuffle(tf.constant(paths), seeds)
        stored = tf.data.Dataset.from_tensor_slices(order).interleave(
            tf.data.TFRecordDataset, cycle_length=4
        )
        return shuffle(stored, 1, number)

    expected = tf.data.Dataset.counter(0).flat_map(epoch).map(tfrecord.parse_example)
    source = dataclasses.replace(split(shapes), order=1)
    found = names(take(9, shapes, source=source))
    assert found == [sample["name"].numpy() for sample in expected.take(36)]
    assert found != names(take(9, shapes))


def test_images_may_be_rounded_to_uint8(shapes):
    whole = dataclasses.replace(AUGMENT, uint8_images=True)
    (exact,), (rounded,) = take(1, shapes), take(1, shapes, augment=whole)
    assert rounded["image"].dtype == np.uint8
    np.testing.assert_array_equal(rounded["image"], np.floor(exact["image"] + 0.5))
    np.testing.assert_array_equal(rounded["label"], exact["label"])


def test_images_are_numbered_over_epochs_and_pipelines(shapes):
    context = tf.distribute.InputContext(2, 1, 2)
    found = take(8, shapes, batch_size=2, start=16, context=context)
    assert [list(batch["number"]) for batch in found] == [
        [16 + 4 * i + 2, 16 + 4 * i + 3] for i in range(8)
    ]


def test_an_image_is_augmented_anew_in_each_epoch(shapes):
    batches = take(12, shapes)
    seen = {}
    for batch in batches:
        for name, image in zip(batch["name"], batch["image"], strict=True):
            seen.setdefault(name, []).append(image)
    different = [not np.array_equal(*pair) for pair in seen.values()]
    assert np.mean(different) > 0.9


@pytest.mark.parametrize("batch_size", [1, 3])
def test_evaluation_takes_every_image_once_padded(shapes, batch_size):
    batches = pipeline.evaluation_batches(
        split(shapes, "val"), batch_size, crop_size=(97, 97), multiple=16
    )
    found = list(batches.as_numpy_iterator())
    assert sorted(names(found)) == [f"val_{i:04d}".encode() for i in range(7)]
    for batch in found:
        height, width = batch["image"].shape[1:3]
        assert height >= 97
        assert width >= 97
        assert (height - 1) % 16 == (width - 1) % 16 == 0
        for i in range(len(batch["name"])):
            inside = np.s_[: batch["height"][i], : batch["width"][i]]
            outside = np.ones((height, width), bool)
            outside[inside] = False
            assert (batch["label"][i][..., 0][outside] == 255).all()
            assert (batch["image"][i][outside] == 127.5).all()


def test_images_can_be_brought_into_a_range_first(shapes):
    ranged = split(shapes, "val", min_resize_value=33, max_resize_value=33)
    batches = pipeline.evaluation_batches(ranged, 1, crop_size=(33, 33), multiple=16)
    for batch in batches.as_numpy_iterator():
        assert max(batch["height"][0], batch["width"][0]) == 33
        assert batch["image"].shape[1:3] == (33, 33)


def test_a_split_without_labels_is_all_ignored(rng, tmp_path):
    record = make_record(rng)
    unlabelled = tfrecord.Record(
        name="x", image=record.image, image_format="png", size=record.size
    )
    tfrecord.write_shards([unlabelled], tmp_path, "test", per_shard=[1])
    source = split(tmp_path, "test")
    records = dataclasses.replace(source.records, needs_labels=False)
    source = dataclasses.replace(source, records=records)
    (batch,) = pipeline.evaluation_batches(source, 1, crop_size=(17, 17), multiple=16)
    assert (batch["label"].numpy() == 255).all()


@pytest.mark.parametrize(
    "resize",
    [
        {},
        {"min_resize_value": 40, "max_resize_value": 90, "resize_factor": 8},
        {"min_resize_value": 150, "keep_aspect_ratio": False},
    ],
)
@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_crops_are_those_of_whole_images(tmp_path, rng, image_format, resize):
    """The same random numbers, and what they show: labels exactly, pixels to 0.001."""
    records = []
    for i, size in enumerate([(80, 60), (30, 100), (1, 7), (33, 49)]):
        record = make_record(rng, f"{i}", *size)
        if image_format == "jpeg":
            pixels = tfrecord.decode_image(tf.constant(record.image))
            encoded = tf.io.encode_jpeg(pixels).numpy()
            record = dataclasses.replace(record, image=encoded)
        records.append(record)
    tfrecord.write_shards(records, tmp_path, "train", per_shard=[4])
    given = {"source": split(tmp_path, **resize), "config": AUGMENT, "seed": 7}
    samples = given["source"].records.in_order().repeat(12).enumerate()
    pairs = tf.data.Dataset.zip(
        samples.map(functools.partial(pipeline.training_crop, **given)),
        samples.map(functools.partial(plain, **given)),
    )
    for found, expected in pairs:
        np.testing.assert_allclose(found["image"], expected["image"], atol=1e-3)
        np.testing.assert_array_equal(found["label"], expected["label"])


def test_colors_and_blur_change_no_window(shapes):
    changed = dataclasses.replace(
        AUGMENT,
        brightness_jitter=0.2,
        contrast_jitter=0.2,
        saturation_jitter=0.2,
        hue_jitter=0.1,
        blur_sigma=1.0,
    )
    (one,), (two,) = take(1, shapes), take(1, shapes, augment=changed)
    np.testing.assert_array_equal(one["label"], two["label"])
    outside = one["label"][..., 0] == 255
    assert np.abs(one["image"] - two["image"])[~outside].mean() > 3
    again = take(1, shapes, augment=changed)
    np.testing.assert_array_equal(again[0]["image"], two["image"])


def test_rotation_takes_from_beyond_the_crop(rng, tmp_path):
    """Within an image there is no edge; around it, mean color and ignore label."""
    image = np.full((200, 200, 3), 50, np.uint8)
    label = np.full((200, 200), 3, np.uint8)
    record = tfrecord.Record(
        name="a",
        image=image_files.png(image),
        image_format="png",
        size=(200, 200),
        label=image_files.png(label),
    )
    tfrecord.write_shards([record], tmp_path, "train", per_shard=[1])
    turning = AugmentConfig(
        train_crop_size=(65, 65),
        rotation_degrees=45.0,
        min_scale_factor=0.33,
        max_scale_factor=1.0,
        scale_factor_step_size=0.0,
    )
    shares = []
    for batch in take(6, tmp_path, augment=turning):
        inside = batch["label"][..., 0] == 3
        assert set(np.unique(batch["label"])) <= {3, 255}
        assert batch["image"][inside].max() < 90  # Half a pixel of the edge's blend.
        np.testing.assert_allclose(batch["image"][inside].min(), 50, atol=1e-2)
        shares += inside.mean((1, 2)).tolist()
    assert max(shares) == 1.0
    assert min(shares) < 0.95


def test_ids_of_other_records_become_class_ids(tmp_path, rng):
    tfrecord.write_shards([make_record(rng)], tmp_path, "train", per_shard=[1])
    table = np.arange(256)[::-1]
    mapped = split(tmp_path)
    records = dataclasses.replace(mapped.records, table=table)
    mapped = dataclasses.replace(mapped, records=records)
    (one,), (two,) = take(1, tmp_path), take(1, tmp_path, source=mapped)
    inside = one["label"] != 255
    np.testing.assert_array_equal(two["label"][inside], 255 - one["label"][inside])
    assert (two["label"][~inside] == 255).all()


def test_one_batch_is_the_middle_of_images_as_they_are(shapes):
    source = split(shapes)
    batches = iter(
        pipeline.one_batch(source, 3, crop_size=(49, 49), seed=1, global_batch_size=3)
    )
    first, second = next(batches), next(batches)
    for name in ("image", "label", "number"):
        np.testing.assert_array_equal(first[name], second[name])
    _, index = next(iter(shuffle_indices(source.records.count(), 1, 0)))
    sample = source.records.read(index)
    image = tfrecord.decode_image(sample["image"]).numpy()
    top, left = (np.array(image.shape[:2]) - 49) // 2
    middle = image[top : top + 49, left : left + 49]
    np.testing.assert_array_equal(first["image"][0], middle.astype(np.float32))
