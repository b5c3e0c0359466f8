"""Real photographs: a check finds what was planted in them, and nothing else."""

import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.data import spec as spec_
from deeplab_tf.data.tfrecord import Record
from deeplab_tf.dataset_report.run import check
from deeplab_tf.errors import InputError


@pytest.fixture(scope="module")
def voc(shared, builder, tmp_path_factory):
    """Records of 60 + 60 photographs of VOC."""
    root = shared / "data" / "voc_sample" / "VOCdevkit" / "VOC2012"
    if not root.is_dir():
        pytest.skip("../shared/data/voc_sample is not on this machine")
    folder, lists = tmp_path_factory.mktemp("voc"), root / "ImageSets" / "Segmentation"
    module = builder("folder")
    module.build(
        module.FolderConfig(
            image_dir=str(root / "JPEGImages"),
            label_dir=str(root / "SegmentationClass"),
            output_dir=str(folder),
            num_classes=21,
            train_list=str(lists / "train.txt"),
            val_list=str(lists / "val.txt"),
        )
    )
    return folder


def test_nothing_is_wrong_with_voc(voc, tmp_path):
    report = check(str(voc), path=str(tmp_path / "check.html"))
    assert (report.faults, report.doubts) == ([], [])
    assert {name: s.records for name, s in report.splits.items()} == {
        "train": 60,
        "val": 60,
    }
    counts = spec_.load(voc).pixel_counts["train"]
    tally = report.splits["train"].tally
    assert counts == tuple(tally.pixels.get(i, 0) for i in range(21))


@pytest.mark.nightly
def test_nothing_is_wrong_with_camvid(shared, builder, tmp_path):
    source = shared / "data" / "camvid"
    if not source.is_dir():
        pytest.skip("../shared/data/camvid is not on this machine")
    for kind in ("images", "labels"):
        (tmp_path / "root" / kind).mkdir(parents=True)
        (tmp_path / "root" / kind / "val").symlink_to(source / kind / "val")
    module = builder("camvid")
    output = str(tmp_path / "records")
    module.build(
        module.CamvidConfig(camvid_root=str(tmp_path / "root"), output_dir=output)
    )
    report = check(output, images=6)
    assert (report.faults, report.doubts) == ([], [])
    assert report.splits["val"].records == 101


def read(folder, split):
    records = []
    for path in tfrecord.find_shards(str(folder), split):
        for serialized in tfrecord.read(path):
            features = tf.train.Example.FromString(serialized).features.feature
            texts = {
                key: features[f"image/{name}"].bytes_list.value[0]
                for key, name in (
                    ("name", "filename"),
                    ("image", "encoded"),
                    ("label", "segmentation/class/encoded"),
                )
            }
            texts["name"] = texts["name"].decode()
            height, width = (
                features[f"image/{side}"].int64_list.value[0]
                for side in ("height", "width")
            )
            records.append(Record(image_format="jpeg", size=(height, width), **texts))
    return records


def ids(record):
    return np.asarray(Image.open(io.BytesIO(record.label)))


def smoothed(record):
    mask = np.where(ids(record) == 255, 0, ids(record))
    small = Image.fromarray(mask).resize((mask.shape[1] // 2, mask.shape[0] // 2), 0)
    large = small.resize(mask.shape[::-1], Image.Resampling.BILINEAR)
    return image_files.png(np.asarray(large))


# Number in the split train -> what is done to it, and a part of what is said.
PLANTED = {
    2: (
        lambda it: {"label": image_files.png(np.where(ids(it), 77, 0).astype("uint8"))},
        "77",
    ),
    5: (lambda it: {"label": image_files.png(ids(it), ((0, 0, 0),))}, "a palette"),
    8: (
        lambda it: {"image": it.label, "image_format": "png", "label": it.image},
        "swapped",
    ),
    14: (lambda it: {"image": it.image[:9000]}, "its image is damaged"),
    21: (
        lambda it: {"label": image_files.png(ids(it)[::2, ::2].copy())},
        "the mask is",
    ),
    27: (lambda it: {"label": smoothed(it)}, "lie along borders between other ids"),
    33: (
        lambda it: {"label": image_files.png(ids(it) * 0 + 255)},
        "ignore label 255 alone",
    ),
    38: (lambda it: {"size": (it.size[0] + 1, it.size[1])}, "image/width and height"),
    44: (lambda it: {"label": b""}, "it has no mask"),
}


@pytest.mark.nightly
def test_ten_and_one_planted_faults_are_found_and_named(voc, tmp_path, caplog):
    splits = {split: read(voc, split) for split in ("train", "val")}
    train, val = splits["train"], splits["val"]
    for index, (change, _) in PLANTED.items():
        train[index] = dataclasses.replace(train[index], **change(train[index]))
    val[30] = dataclasses.replace(train[50], name=val[30].name)
    for split, some in splits.items():
        tfrecord.write_shards(some, tmp_path, split, per_shard=[30, 30])
    dataclasses.replace(spec_.load(voc), shards={}).save(tmp_path)
    path = tmp_path / "val-00000-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[tfrecord.offsets(str(path))[4] + 900] ^= 16
    path.write_bytes(content)
    with pytest.raises(InputError, match="11 errors; "):
        check(str(tmp_path))
    said = [r.message for r in caplog.records if r.levelname == "ERROR"]
    assert len(said) == 11
    for index, (_, message) in PLANTED.items():
        place = (
            f"train, train-0000{index // 30}-of-00002.tfrecord, record {index % 30} "
        )
        (line,) = (line for line in said if line.startswith(place))
        assert f"({train[index].name}): " in line
        assert message in line
    assert any(
        re.match(r"val, val-00000-of-00002\.tfrecord, record 4: its checksum", line)
        for line in said
    )
    duplicate = f"record 0 ({val[30].name}): the same image as train, "
    assert any(f"val-00001-of-00002.tfrecord, {duplicate}" in line for line in said)
    assert Path(tmp_path / "check.html").stat().st_size > 100_000
