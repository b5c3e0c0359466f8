"""Batches: the same seed gives the same ones, also from the middle."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import AugmentConfig, ResizeConfig
from deeplab_tf.data import pipeline, tfrecord
from deeplab_tf.data.pipeline import Source
from deeplab_tf.data.records import Shards

AUGMENT = AugmentConfig(train_crop_size=(33, 49))


def source(folder, split="train", **resize):
    return Source(
        records=Shards(paths=tfrecord.find_shards(str(folder), split)),
        ignore_label=255,
        mean_pixel=(127.5, 127.5, 127.5),
        resize=ResizeConfig(**resize),
    )


def take(count, folder, batch_size=4, **options):
    batches = pipeline.training_batches(
        source(folder), AUGMENT, batch_size, **({"seed": 1} | options)
    )
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def names(batches):
    return [name for batch in batches for name in batch["name"]]


def test_batches_have_the_crop_size(shapes):
    (batch,) = take(1, shapes)
    assert batch["image"].shape == (4, 33, 49, 3)
    assert batch["image"].dtype == np.float32
    assert batch["label"].shape == (4, 33, 49, 1)
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


@pytest.mark.parametrize("steps", [1, 5, 6, 7, 13])
def test_batches_go_on_from_any_step_as_if_never_stopped(shapes, steps):
    whole = take(steps + 3, shapes)
    rest = take(3, shapes, start=steps * 4)
    for one, two in zip(whole[steps:], rest, strict=True):
        np.testing.assert_array_equal(one["image"], two["image"])
        assert list(one["name"]) == list(two["name"])


def test_two_pipelines_share_the_records_of_one(shapes):
    whole = names(take(12, shapes, batch_size=2))
    parts = [
        names(
            take(
                12,
                shapes,
                batch_size=1,
                context=tf.distribute.InputContext(2, pipeline_id, 2),
            )
        )
        for pipeline_id in range(2)
    ]
    assert [n for pair in zip(*parts, strict=True) for n in pair] == whole


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
        source(shapes, "val"), batch_size, crop_size=(97, 97), multiple=16
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
    ranged = source(shapes, "val", min_resize_value=33, max_resize_value=33)
    batches = pipeline.evaluation_batches(ranged, 1, crop_size=(33, 33), multiple=16)
    for batch in batches.as_numpy_iterator():
        assert max(batch["height"][0], batch["width"][0]) == 33
        assert batch["image"].shape[1:3] == (33, 33)


def test_a_split_without_labels_is_all_ignored(rng, tmp_path):
    from tests.data.test_tfrecord import make_record

    record = make_record(rng)
    unlabelled = tfrecord.Record(
        name="x", image=record.image, image_format="png", size=record.size
    )
    tfrecord.write([unlabelled], tmp_path, "test", per_shard=[1])
    (batch,) = pipeline.evaluation_batches(
        source(tmp_path, "test"), 1, crop_size=(17, 17), multiple=16
    )
    assert (batch["label"].numpy() == 255).all()
