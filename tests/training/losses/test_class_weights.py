"""Weights of the classes: counted, computed and read, by hand."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import LossConfig, ResizeConfig
from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.records import Shards
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.data.specs import camvid
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.files import RECIPES
from deeplab_tf.training.losses import class_weights
from deeplab_tf.training.losses.class_weights import PixelCounts

SPEC = DatasetSpec(
    name="pets",
    classes=("ground", "black cat", "dog"),
    palette=distinct_colors(3),
    ignore_label=255,
)
MASKS = (
    # 6 labelled pixels: 4 ground, 2 cat.
    [[0, 0, 0, 0], [1, 1, 255, 255]],
    # 2 labelled pixels: 1 ground, 1 dog; larger, to see that sizes may differ.
    [[0, 2, 255, 255, 255], [255, 255, 255, 255, 255]],
)


def write(folder, masks):
    records = []
    for i, mask in enumerate(masks):
        label = np.array(mask, np.uint8)
        image = np.zeros((*label.shape, 3), np.uint8)
        records.append(
            tfrecord.Record(
                name=f"photo_{i}",
                image=tf.io.encode_png(image).numpy(),
                image_format="png",
                size=label.shape,
                label=image_files.png(label),
            )
        )
    tfrecord.write_shards(records, folder, "train", per_shard=[1] * len(masks))
    return source(folder)


def source(folder):
    return InputData(
        records=Shards(paths=tfrecord.find_shards(str(folder), "train")),
        ignore_label=255,
        mean_pixel=(0.0, 0.0, 0.0),
        resize=ResizeConfig(),
    )


def test_pixels_are_counted_by_class_and_by_what_is_beside_it(tmp_path):
    counts = class_weights.count_pixels(SPEC, write(tmp_path, MASKS))
    assert counts.pixels.tolist() == [5, 2, 1]
    assert counts.beside.tolist() == [6 + 2, 6, 2]


def test_a_class_that_is_ignored_counts_nowhere(tmp_path):
    spec = dataclasses.replace(SPEC, ignore_label=0)
    masks = ([[0, 0, 1, 2]], [[0, 2, 2, 2]])
    counts = class_weights.count_pixels(spec, write(tmp_path, masks))
    assert counts.pixels.tolist() == [0, 1, 4]
    assert counts.beside.tolist() == [0, 2, 5]


def test_median_frequency_of_three_classes():
    counts = PixelCounts(np.array([100, 200, 400]), np.array([1000, 1000, 1000]))
    found = class_weights.median_frequency(counts)
    np.testing.assert_allclose(found, [2, 1, 0.5])


def test_a_class_without_pixels_weighs_nothing_and_is_not_in_the_median():
    counts = PixelCounts(np.array([100, 0, 400]), np.array([1000, 0, 1000]))
    found = class_weights.median_frequency(counts)
    np.testing.assert_allclose(found, [2.5, 0, 0.625])


# Of CamVid's training split: pixels as counted; how many of its 367 masks, of 172,800
# pixels each, show the class (no others agree with the rest); weights as counted.
CAMVID = {
    "Sky": (10_682_767, 366, 0.2793),
    "Building": (14_750_079, 365, 0.2017),
    "Pole": (623_349, 366, 4.7865),
    "Road": (20_076_880, 367, 0.1490),
    "Pavement": (2_845_085, 349, 1.0),
    "Tree": (6_166_762, 319, 0.4217),
    "Sign": (743_859, 351, 3.8467),
    "Fence": (714_595, 173, 1.9736),
    "Car": (3_719_877, 360, 0.7889),
    "Pedestrian": (405_385, 317, 6.3747),
    "Bicyclist": (184_967, 201, 8.8587),
}


def test_median_frequency_of_camvid():
    pixels, shown, weights = np.transpose([*CAMVID.values()])
    found = class_weights.median_frequency(PixelCounts(pixels, shown * 172_800))
    np.testing.assert_allclose(found, weights, atol=6e-5)


def test_inverse_log_of_shares():
    counts = PixelCounts(np.array([3, 1, 0]), np.array([4, 4, 0]))
    # 1 / ln 1.77, 1 / ln 1.27, 1 / ln 1.02.
    found = class_weights.inverse_log(counts)
    np.testing.assert_allclose(found, [1.7513762, 4.1838046, 50.498350], rtol=1e-6)


def test_weights_from_the_records_become_those_of_the_labels(tmp_path):
    config = LossConfig(class_weights="median_frequency")
    found, counts = class_weights.resolve(config, SPEC, write(tmp_path, MASKS))
    # Frequencies 5/8, 2/6, 1/2: the median is 1/2.
    assert found.label_weights == pytest.approx((0.8, 1.5, 1.0))
    assert not found.class_weights
    assert counts.pixels.tolist() == [5, 2, 1]


def test_without_the_flag_nothing_is_read():
    config = LossConfig(label_weights=(1.0, 2.0, 3.0))
    assert class_weights.resolve(config, SPEC, None) == (config, None)


def test_weights_of_a_run_are_kept_as_a_file_that_can_be_given(tmp_path):
    loss = LossConfig(label_weights=(0.1, 1 / 3, 50.5))
    class_weights.write(tmp_path, SPEC, loss, "inverse_log")
    found = class_weights.read(tmp_path / class_weights.FILE_NAME, SPEC)
    assert tuple(found.tolist()) == loss.label_weights


@pytest.mark.parametrize(
    "text",
    ["1\n2.5\n0\n", "# Mine.\ndog 0\nground 1 # most\n\nblack cat 2.5\n"],
)
def test_a_file_has_numbers_or_names_in_any_order(tmp_path, text):
    (tmp_path / "weights").write_text(text)
    found = class_weights.read(tmp_path / "weights", SPEC)
    assert found.tolist() == [1, 2.5, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\n", "2 weights for 3 classes of pets"),
        ("1, 2, 3\n", "1 weights for 3 classes of pets"),
        ("1\n2\nmuch\n", "'much' is no weight; a number"),
        ("1\n2\n-3\n", "'-3' is no weight"),
        ("1\n2\nnan\n", "'nan' is no weight"),
        ("ground 1\ncat 2\ndog 3\n", "no weight of 'black cat', a class of pets"),
        ("ground 1\nblack cat 2\nground 3\n", "no weight of 'dog'"),
        ("ground 1\nblack cat 2\n3\n", "no weight of 'dog'"),
    ],
)
def test_a_file_of_other_classes_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "weights").write_text(text)
    with pytest.raises(InputError, match=message):
        class_weights.read(tmp_path / "weights", SPEC)


def test_neither_a_rule_nor_a_file_lists_the_rules():
    config = LossConfig(class_weights="median")
    with pytest.raises(FlagError, match="=median: median_frequency, inverse_log, or a"):
        class_weights.resolve(config, SPEC, None)


def test_a_damaged_record_is_told(tmp_path):
    records = write(tmp_path, MASKS)
    with tf.io.TFRecordWriter(records.records.paths[0]) as writer:
        writer.write(b"nothing")
    config = LossConfig(class_weights="inverse_log")
    with pytest.raises(InputError, match=r"train-00000-of-00002.tfrecord: record 0 is"):
        class_weights.resolve(config, SPEC, records)


def test_labels_that_are_all_ignored_cannot_be_weighed(tmp_path):
    config = LossConfig(class_weights="inverse_log")
    with pytest.raises(InputError, match="all pixels of the split are ignored"):
        class_weights.resolve(config, SPEC, write(tmp_path, ([[255, 255]],)))


def test_records_without_labels_cannot_be_weighed(tmp_path):
    image = tf.io.encode_png(np.zeros((2, 3, 3), np.uint8)).numpy()
    record = tfrecord.Record(name="a", image=image, image_format="png", size=(2, 3))
    tfrecord.write_shards([record], tmp_path, "train", per_shard=[1])
    config = LossConfig(class_weights="median_frequency")
    with pytest.raises(InputError, match="all pixels of the split are ignored"):
        class_weights.resolve(config, SPEC, source(tmp_path))


def test_the_printed_weights_of_segnet_are_of_camvids_classes():
    found = class_weights.read(RECIPES / "camvid_segnet.weights", camvid.SPEC)
    printed = "0.2595 0.1826 4.564 0.1417 0.9051 0.3826 9.6446 1.8418 0.6823 6.2478"
    assert found.tolist() == [*map(float, printed.split()), 7.3614]
