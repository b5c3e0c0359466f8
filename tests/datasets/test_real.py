"""Real photographs and masks: two builders make the same records of the same files."""

import pytest

from deeplab_tf.data.specs import camvid, voc2012
from tests.datasets import trees


def assert_same(one, other, sizes):
    for split, size in sizes.items():
        records = trees.examples(one, split)
        assert len(records) == size
        assert records == trees.examples(other, split)


def test_voc_is_the_same_by_its_builder_and_as_a_folder(builder, shared, tmp_path):
    root = shared / "data" / "voc_sample" / "VOCdevkit" / "VOC2012"
    for split in ("train", "val"):
        stems = (root / "ImageSets/Segmentation" / f"{split}.txt").read_text().split()
        trees.write_list(tmp_path / "lists" / f"{split}.txt", stems[:20])
    voc, folder = builder("voc2012"), builder("folder")
    config = voc.Voc2012Config(
        image_folder=str(root / "JPEGImages"),
        semantic_segmentation_folder=str(root / "SegmentationClass"),
        list_folder=str(tmp_path / "lists"),
        output_dir=str(tmp_path / "voc"),
    )
    voc.build(config)
    config = folder.FolderConfig(
        image_dir=str(root / "JPEGImages"),
        label_dir=str(root / "SegmentationClass"),
        class_names=voc2012.SPEC.classes,
        train_list=str(tmp_path / "lists" / "train.txt"),
        val_list=str(tmp_path / "lists" / "val.txt"),
        output_dir=str(tmp_path / "folder"),
    )
    folder.build(config)
    assert_same(tmp_path / "voc", tmp_path / "folder", {"train": 20, "val": 20})


@pytest.fixture
def camvid_root(shared, tmp_path):
    """The first images of each split."""
    for kind in ("images", "labels"):
        for split, count in (("train", 15), ("val", 10)):
            (tmp_path / kind / split).mkdir(parents=True)
            paths = sorted((shared / "data" / "camvid" / kind / split).iterdir())
            for path in paths[:count]:
                (tmp_path / kind / split / path.name).symlink_to(path)
    return tmp_path


def test_camvid_is_the_same_by_its_builder_and_as_a_folder(builder, camvid_root):
    segnet, folder = builder("camvid"), builder("folder")
    config = segnet.CamvidConfig(
        camvid_root=str(camvid_root), output_dir=str(camvid_root / "camvid")
    )
    segnet.build(config)
    config = folder.FolderConfig(
        image_dir=str(camvid_root / "images"),
        label_dir=str(camvid_root / "labels"),
        split_by_folder=True,
        class_names=camvid.SPEC.classes,
        label_map=("11:255",),
        output_dir=str(camvid_root / "folder"),
    )
    folder.build(config)
    assert_same(
        camvid_root / "camvid", camvid_root / "folder", {"train": 15, "val": 10}
    )
    counts = trees.described(camvid_root / "camvid")["pixel_counts"]
    assert counts == trees.described(camvid_root / "folder")["pixel_counts"]


@pytest.mark.nightly
def test_camvid_has_the_published_pixels(builder, shared, tmp_path):
    segnet = builder("camvid")
    root = shared / "data" / "camvid"
    segnet.build(segnet.CamvidConfig(camvid_root=str(root), output_dir=str(tmp_path)))
    facts = trees.described(tmp_path)
    assert facts["split_sizes"] == {"train": 367, "val": 101}
    assert facts["pixel_counts"] == {"train": TRAIN_PIXELS, "val": VAL_PIXELS}


# By class, as counted in the files that SegNet published.
TRAIN_PIXELS = [
    *(10_682_767, 14_750_079, 623_349, 20_076_880, 2_845_085, 6_166_762),
    *(743_859, 714_595, 3_719_877, 405_385, 184_967),
]
VAL_PIXELS = [
    *(1_601_620, 4_531_180, 98_499, 5_053_176, 1_521_751, 2_851_125),
    *(155_724, 537_197, 304_716, 113_531, 387_010),
]
