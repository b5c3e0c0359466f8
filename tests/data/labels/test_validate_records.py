"""Labels of records are checked before work starts."""

import numpy as np
import pytest

from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.data.labels.validate_records import check_records
from deeplab_tf.data.records import Shards
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.data.tfrecord import Record
from deeplab_tf.errors import InputError

SPEC = DatasetSpec(name="own", classes=("a", "b"), palette=((0, 0, 0), (9, 9, 9)))


def write(folder, masks, *, palette=()):
    records = [
        Record(
            name=f"image_{i}",
            image=image_files.png(np.zeros((4, 5, 3), np.uint8)),
            image_format="png",
            size=(4, 5),
            label=image_files.png(mask, palette) if mask is not None else b"",
        )
        for i, mask in enumerate(masks)
    ]
    tfrecord.write_shards(records, folder, "train", per_shard=[len(masks)])
    return Shards(paths=tfrecord.find_shards(str(folder), "train"))


def mask(*ids, shape=(4, 5)):
    return np.resize(np.array(ids, np.uint8), shape)


@pytest.mark.parametrize("how", ["off", "sample", "full"])
def test_right_records_pass(shapes, how):
    shards = Shards(paths=tfrecord.find_shards(str(shapes), "train"))
    check_records(shards, shapes_spec.SPEC, how)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            [mask(0, 1), mask(0, 7)],
            r"train-00000-of-00001\.tfrecord: record 1 \(image_1\)",
        ),
        ([mask(0, 1), mask(0, 7)], "ids 7 are neither classes"),
        ([mask(0, 1, shape=(5, 4))], "the mask is 4x5, its image 5x4"),
        ([None], "it has no label"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, masks, message):
    with pytest.raises(InputError, match=message):
        check_records(write(tmp_path, masks), SPEC, "sample")


def test_a_palette_in_a_record_is_refused(tmp_path):
    shards = write(tmp_path, [mask(0, 1)], palette=((0, 0, 0), (9, 9, 9)))
    with pytest.raises(InputError, match="has a palette"):
        check_records(shards, SPEC, "sample")


def test_one_bad_record_in_500_is_found_by_a_full_check_alone(tmp_path):
    shards = write(tmp_path, [*[mask(0, 1)] * 450, mask(3), *[mask(0, 1)] * 49])
    check_records(shards, SPEC, "sample")
    with pytest.raises(InputError, match=r"record 450 \(image_450\): ids 3"):
        check_records(shards, SPEC, "full")


def test_an_empty_shard_is_an_error(tmp_path):
    tfrecord.write_shards([], tmp_path, "train", per_shard=[0])
    shards = Shards(paths=tfrecord.find_shards(str(tmp_path), "train"))
    with pytest.raises(InputError, match="no records"):
        check_records(shards, SPEC, "off")


def test_a_class_that_is_ignored_is_told(tmp_path, caplog):
    spec = DatasetSpec(
        name="own", classes=("other", "b"), palette=SPEC.palette, ignore_label=0
    )
    check_records(write(tmp_path, [mask(0, 1)]), spec, "sample")
    assert 'Class 0 "other" is the ignore label' in caplog.text
