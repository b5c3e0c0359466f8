"""The label contract."""

import pickle
import re
import typing
from pathlib import Path

import numpy as np
import pytest

from deeplab_tf.config import remedies
from deeplab_tf.data import image_files
from deeplab_tf.data.labels import contract
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.errors import InputError, LabelError, LabelErrorKind, tell_remedies
from tests.data import pngs


def spec(num_classes, ignore_label=255):
    names = tuple(f"class_{i}" for i in range(num_classes))
    return DatasetSpec(
        name="own",
        classes=names,
        palette=distinct_colors(num_classes),
        ignore_label=ignore_label,
    )


def masks(*ids):
    """Masks that have ten rows of each of some ids."""
    return [np.repeat(np.array([found], np.uint16).T, 10, axis=0) for found in ids]


def check(found, spec, **options):
    statistics = LabelStatistics()
    for i, mask in enumerate(found):
        statistics.add(LabelStatistics.of_mask(f"mask_{i}.png", mask, spec))
    contract.check_statistics(statistics, spec, **options)


@pytest.mark.parametrize(
    ("found", "classes"),
    [
        (masks([0, 1, 255], [1]), 2),
        (masks([0, 255], [0, 1]), 2),
        (masks([3, 4], [5]), 6),
        (masks([0]), 2),
    ],
)
def test_right_masks_pass(found, classes):
    check(found, spec(classes))


@pytest.mark.parametrize(
    ("found", "classes", "kind", "message"),
    [
        (
            masks([0, 1], [0, 128], [0, 128, 250]),
            2,
            "ids_beyond_classes",
            r"mask_1\.png: ids 128 are neither classes \(0 to 1\) nor the ignore label "
            r"255, 50\.0% of its pixels; so in 2 of 3 masks\. All ids: 0: 42\.9%.*"
            r"--label_map=128:\.\.\.,250:\.\.\.",
        ),
        (
            masks([0, 255], [0, 255]),
            2,
            "object_ignored",
            "only 0 and 255, and 255 is the ignore",
        ),
        (masks([0, 255], [0]), 3, "object_ignored", "--label_map=255:1"),
        (
            masks([1, 2], [3]),
            3,
            "counts_from_1",
            "count from 1: give .*--reduce_zero_label",
        ),
        (
            masks([0, 1, 2], [3]),
            3,
            "class_count",
            "largest id plus one, 4 here; .* where 0 means .*--reduce_zero_label",
        ),
        (
            masks([0, 38, 75], [147, 220, 52]),
            3,
            "gray_palette",
            "brightnesses of the VOC palette",
        ),
        (
            masks(range(40)),
            3,
            "interpolated",
            "JPEG compression, smoothing or resizing",
        ),
        (
            masks([255], [255]),
            3,
            "nothing_to_learn",
            "are the ignore label 255: there is nothing",
        ),
    ],
)
def test_each_classic_mistake_has_its_kind_and_remedy(found, classes, kind, message):
    with pytest.raises(LabelError) as error:
        check(found, spec(classes))
    assert error.value.kind == kind
    assert "_folder_data" not in str(error.value)  # A command tells that.
    assert re.search(message, error.value.with_remedy(remedies.FOLDER))


def test_an_error_says_in_which_file_which_ids_are_wrong():
    with pytest.raises(LabelError) as error:
        check(masks([0, 1], [0, 128], [0, 128, 250]), spec(2))
    error = pickle.loads(pickle.dumps(error.value))  # As a process would send it.
    assert (error.file, error.ids) == ("mask_1.png", (128, 250))
    assert error.kind == "ids_beyond_classes"
    line = error.with_remedy({error.kind: " Change {first}, {changes}"})
    assert line.endswith(". Change 128, 128:...,250:...")
    with pytest.raises(InputError) as told, tell_remedies({}):
        raise error
    assert str(told.value) == str(error)


def test_commands_know_kinds_alone():
    for table in (remedies.FOLDER, remedies.TFDS, remedies.PUBLISHED):
        assert table.keys() <= set(typing.get_args(LabelErrorKind))


def smoothed(number):
    """A mask of 0 and 5, with 1 and 2 along their border."""
    mask = np.zeros((50, 40), np.uint8)
    mask[:, 20:] = 5
    mask[::2, 20], mask[1::2, 20] = 1, 2
    return np.roll(mask, number, axis=0)


def test_ids_along_borders_alone_are_no_classes():
    with pytest.raises(InputError) as error:
        check([smoothed(i) for i in range(3)], spec(6))
    assert str(error.value) == (
        "mask_0.png: ids 1, 2 lie along borders between other ids, as smoothing, "
        "resizing or JPEG compression put them there; so in 3 of 3 masks. Save masks "
        "as PNG, drawn without smoothing and resized without interpolation"
    )


def test_smoothing_is_the_remedy_where_ids_are_wrong_too():
    with pytest.raises(InputError) as error:
        check([np.where(smoothed(0) == 5, 250, smoothed(0))], spec(6))
    assert str(error.value) == (
        "mask_0.png: ids 250 are neither classes (0 to 5) nor the ignore label 255, "
        "47.5% of its pixels; so in 1 of 1 masks. All ids: 0: 50.0%, 1: 1.2%, 2: 1.2%, "
        "250: 47.5%. Some ids 1, 2 lie along borders between other ids, as smoothing, "
        "resizing or JPEG compression put them there. Save masks as PNG, drawn without "
        "smoothing and resized without interpolation"
    )


def test_a_few_that_look_smoothed_are_warned_of(caplog):
    sharp = [np.where(smoothed(i) > 2, 5, 0) for i in range(19)]
    check([*sharp, smoothed(0)], spec(6))
    assert "1 of 20 masks look interpolated, first mask_19.png" in caplog.text


def test_what_is_only_suspicious_is_told_and_passes(caplog):
    check(masks([0, 1], [1], [255], [1]), spec(4))
    assert [record.message for record in caplog.records] == [
        "1 of 4 masks hold only the ignore label 255, first mask_2.png",
        "2 of 4 masks hold only one class, first mask_1.png",
        'classes in no mask: 2 "class_2", 3 "class_3"',
    ]


def test_a_sample_is_not_suspected(caplog):
    check(masks([0, 1], [255]), spec(4), complete=False)
    assert not caplog.records


def test_no_masks_are_no_mistake():
    contract.check_statistics(LabelStatistics(), spec(2))


def test_a_sample_need_not_show_an_object():
    check(masks([0, 255]), spec(2), complete=False)


def test_the_ignore_label_may_be_that_of_a_class():
    check(masks([0, 1, 2]), spec(3, ignore_label=0))
    with pytest.raises(InputError, match="ids 255 are neither"):
        check(masks([0, 255]), spec(3, ignore_label=0))


def test_brightnesses_are_those_that_tensorflow_reads(tmp_path):
    import tensorflow as tf

    ids = np.array([[*range(21), 255]], np.uint8)
    seen = tf.io.decode_png(image_files.png(ids, distinct_colors(21)), 1).numpy()
    assert set(np.unique(seen).tolist()) <= contract._palette_brightness()
    assert len(np.unique(seen)) > 15


def test_ids_are_mapped_by_a_table():
    mask = np.array([[0, 1, 255, 300]], np.uint16)
    np.testing.assert_array_equal(contract.id_table({255: 1})[mask], [[0, 1, 1, 300]])
    table = contract.id_table({1: 0}, others=255)
    np.testing.assert_array_equal(table[mask], [[255, 0, 255, 255]])


@pytest.mark.parametrize(
    ("shape", "message"),
    [((4, 6), "the mask is 6x4, its image 5x4"), ((5, 4), "turned by 90 degrees")],
)
def test_a_mask_of_another_size_is_named(shape, message):
    mask = np.zeros(shape, np.uint8)
    with pytest.raises(LabelError, match=message):
        contract.check_size(Path("mask.png"), mask, (4, 5))


@pytest.mark.parametrize(
    ("png", "message"),
    [
        (b"\xff\xd8\xff\xe0", "its label is no PNG, but a JPEG"),
        (b"GIF89a", "its label is no PNG$"),
        (
            image_files.png(np.zeros((2, 2), np.uint8))[:8],
            "record 3: its label is damaged$",
        ),
        (
            image_files.png(np.zeros((2, 2), np.uint8))[:25],
            "record 3: its label is damaged",
        ),
        (image_files.png(np.zeros((2, 2), np.uint8), ((0, 0, 0),)), "has a palette"),
        (image_files.png(np.zeros((2, 2, 3), np.uint8)), "has colors"),
        (image_files.png(np.zeros((2, 2), np.uint16)), "has 16 bits"),
    ],
)
def test_a_label_that_is_no_plain_png_is_refused(png, message):
    with pytest.raises(InputError, match=message):
        contract.check_label_png("train-00000-of-00001.tfrecord record 3", png)


@pytest.mark.parametrize(
    ("what", "png"), pngs.misread(np.eye(3, dtype=np.uint8)).items()
)
def test_labels_that_tensorflow_would_misread_are_refused(what, png):
    told = {
        "1 bits": "PNG has 1 bit, which",
        "a palette of 1 bit": "PNG has a palette, which",
        "a palette with transparency": "PNG has a palette, which",
        "colors and alpha": "PNG has colors, which",
        "a JPEG": "is no PNG, but a JPEG",
        "a GIF": "is no PNG",
    }
    with pytest.raises(LabelError) as error:
        contract.check_label_png("record 3", png)
    expected = told.get(what, f"PNG has {what}, which")
    assert str(error.value).startswith(f"record 3: its label {expected}")
    assert "datasets/build_folder_data.py" in error.value.with_remedy(remedies.FOLDER)
