"""VOC 2012 and SBD, on small trees in their layouts."""

import numpy as np
import pytest

from deeplab_tf.errors import InputError
from tests.datasets import trees

# Of the twenty-one, by hand; the others of networks' tables are in test_specs.
PALETTE = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
TRAIN, VAL = ["2007_000032", "2007_000039", "2008_000002"], ["2007_000033", "2009_7"]
SBD_ALONE = ["2008_000008", "2010_000001"]


def size(stem):
    """Odd sizes, another for each image."""
    return 11 + int(stem[-1]), 23 - int(stem[-1])


def ids_of(stem):
    """A void border, as VOC draws it, and the last class."""
    ids = trees.bands(*size(stem), [0, 4, 20])
    ids[0], ids[:, -1] = 255, 255
    return ids


def sbd_ids_of(stem):
    return trees.bands(*size(stem), [0, 15])


@pytest.fixture
def devkit(tmp_path, rng):
    """VOC2012 with palette masks; images of SBD are among its own."""
    root = tmp_path / "VOCdevkit" / "VOC2012"
    lists = root / "ImageSets" / "Segmentation"
    trees.write_list(lists / "train.txt", TRAIN)
    trees.write_list(lists / "val.txt", VAL)
    for stem in [*TRAIN, *VAL, *SBD_ALONE]:
        image = root / "JPEGImages" / f"{stem}.jpg"
        trees.write_photo(image, trees.photo(rng, *size(stem)))
    for stem in [*TRAIN, *VAL]:
        mask = root / "SegmentationClass" / f"{stem}.png"
        trees.write_mask(mask, ids_of(stem), PALETTE)
    return root


@pytest.fixture
def sbd(tmp_path):
    """SBD's folder: one image of VOC's train, one of its val, two of neither."""
    io = pytest.importorskip("scipy.io")
    root = tmp_path / "benchmark_RELEASE" / "dataset"
    (root / "cls").mkdir(parents=True)
    trees.write_list(root / "train.txt", [TRAIN[0], SBD_ALONE[1], VAL[0]])
    trees.write_list(root / "val.txt", [SBD_ALONE[0]])
    for stem in [TRAIN[0], VAL[0], *SBD_ALONE]:
        segmentation = sbd_ids_of(stem).astype(np.uint8)
        content = {
            "Boundaries": np.zeros((20, 1), object),
            "Segmentation": segmentation,
            "CategoriesPresent": np.array([[15]], np.uint8),
        }
        io.savemat(root / "cls" / f"{stem}.mat", {"GTcls": content})
    return root


@pytest.fixture
def build(builder, devkit, tmp_path):
    """Builds with flags changed; gives the folder of the records."""
    module = builder("voc2012")

    def run(**settings):
        folders = {
            "image_folder": str(devkit / "JPEGImages"),
            "semantic_segmentation_folder": str(devkit / "SegmentationClassRaw"),
            "list_folder": str(devkit / "ImageSets" / "Segmentation"),
            "output_dir": str(tmp_path / "records"),
        }
        module.build(module.Voc2012Config(**(folders | settings)))
        return tmp_path / "records"

    return run


def test_each_list_is_a_split_of_the_palette_masks(build, devkit):
    records = build()
    assert sorted(path.name for path in records.glob("*.tfrecord")) == [
        *(f"train-{i:05d}-of-00003.tfrecord" for i in range(3)),
        *(f"val-{i:05d}-of-00002.tfrecord" for i in range(2)),
    ]
    for split, stems in (("train", TRAIN), ("val", VAL)):
        examples = trees.examples(records, split)
        assert len(examples) == len(stems)
        for features, stem in zip(examples, stems, strict=True):
            image = devkit / "JPEGImages" / f"{stem}.jpg"
            trees.assert_record(features, image, ids_of(stem))
    facts = trees.described(records)
    assert facts["name"] == "pascal_voc_seg"
    assert facts["split_sizes"] == {"train": 3, "val": 2}


def test_pixels_are_counted_by_class(build):
    counts = trees.described(build())["pixel_counts"]["val"]
    assert len(counts) == 21
    # Masks of 14x20 and 18x16, height first: the first row and the last column are
    # void; rows 1, 4, ... are of class 4, five and six of them; rows 2, 5, ... of class
    # 20, four and six; rows 3, 6, ... of class 0, four and five.
    assert counts[4] == 5 * 19 + 6 * 15
    assert counts[20] == 4 * 19 + 6 * 15
    assert counts[0] == 4 * 19 + 5 * 15
    assert sum(counts) == counts[0] + counts[4] + counts[20]


def test_grey_masks_are_taken_where_they_are_there(build, devkit):
    for stem in [*TRAIN, *VAL]:
        ids = np.where(ids_of(stem) == 20, 19, ids_of(stem))
        trees.write_mask(devkit / "SegmentationClassRaw" / f"{stem}.png", ids)
    assert 19 in trees.label(trees.examples(build(), "train")[0])


def test_train_aug_is_sbd_and_train_without_val(build, devkit, sbd, caplog):
    records = build(sbd_dir=str(sbd))
    examples = trees.examples(records, "train_aug")
    stems = sorted([*TRAIN, *SBD_ALONE])
    assert trees.names(records, "train_aug") == stems
    for features, stem in zip(examples, stems, strict=True):
        # The mask of VOC wins over that of SBD, as for 2007_000032.
        ids = ids_of(stem) if stem in TRAIN else sbd_ids_of(stem)
        trees.assert_record(features, devkit / "JPEGImages" / f"{stem}.jpg", ids)
    assert trees.names(records, "trainval_aug") == sorted([*stems, *VAL])
    assert "train_aug: 5 images; 10582 were published" in caplog.text


def test_val_keeps_its_own_masks_beside_those_of_sbd(build, sbd):
    examples = trees.examples(build(sbd_dir=str(sbd)), "trainval_aug")
    by_name = {features["image/filename"].decode(): features for features in examples}
    np.testing.assert_array_equal(trees.label(by_name[VAL[0]]), ids_of(VAL[0]))


def test_without_its_lists_sbd_is_what_its_masks_are(build, sbd):
    for path in sbd.glob("*.txt"):
        path.unlink()
    records = build(sbd_dir=str(sbd))
    assert trees.names(records, "train_aug") == sorted([*TRAIN, *SBD_ALONE])


def test_a_ready_folder_of_png_masks_does_as_well(build, devkit):
    folder = devkit / "SegmentationClassAug"
    for stem in [*TRAIN, *VAL, *SBD_ALONE]:
        trees.write_mask(folder / f"{stem}.png", sbd_ids_of(stem))
    records = build(sbd_dir=str(folder))
    examples = trees.examples(records, "train_aug")
    assert trees.names(records, "train_aug") == sorted([*TRAIN, *SBD_ALONE])
    np.testing.assert_array_equal(trees.label(examples[0]), ids_of(TRAIN[0]))
    np.testing.assert_array_equal(trees.label(examples[2]), ids_of(TRAIN[2]))
    np.testing.assert_array_equal(trees.label(examples[3]), sbd_ids_of(SBD_ALONE[0]))


def test_a_list_of_paths_is_taken_as_it_is(build, devkit, sbd):
    lists = devkit / "ImageSets" / "Segmentation"
    lines = [
        f"/JPEGImages/{stem}.jpg /SegmentationClassAug/{stem}.png"
        for stem in (SBD_ALONE[1], TRAIN[0])
    ]
    trees.write_list(lists / "train_aug.txt", lines)
    records = build(sbd_dir=str(sbd))
    assert trees.names(records, "train_aug") == [SBD_ALONE[1], TRAIN[0]]


def test_an_image_of_val_in_train_aug_stops_the_build(build, devkit, sbd, tmp_path):
    lists = devkit / "ImageSets" / "Segmentation"
    trees.write_list(lists / "train_aug.txt", [*TRAIN, VAL[0]])
    with pytest.raises(InputError, match="train_aug: 2007_000033 is an image of val"):
        build(sbd_dir=str(sbd))
    assert not (tmp_path / "records").exists()


def test_images_of_the_test_split_have_no_masks(build, devkit):
    lists = devkit / "ImageSets" / "Segmentation"
    trees.write_list(lists / "test.txt", [SBD_ALONE[0]])
    (features,) = trees.examples(build(), "test")
    assert features["image/segmentation/class/encoded"] == b""


LISTS = "ImageSets/Segmentation"


def empty(*folders):
    for folder in folders:
        for path in folder.iterdir():
            if path.is_file():
                path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda voc, sbd: (voc / f"JPEGImages/{TRAIN[1]}.jpg").unlink(),
            r"no such file: .*JPEGImages/2007_000039\.jpg",
        ),
        (
            lambda voc, sbd: (voc / f"SegmentationClass/{VAL[1]}.png").unlink(),
            r"no such file: .*SegmentationClass/2009_7\.png",
        ),
        (
            lambda voc, sbd: (sbd / f"cls/{SBD_ALONE[0]}.mat").unlink(),
            r"no such file: .*2008_000008\.png, nor .*cls/2008_000008.mat",
        ),
        (
            lambda voc, sbd: (sbd / f"cls/{SBD_ALONE[0]}.mat").write_text("MAT" * 30),
            r"cls/2008_000008\.mat: a damaged \.mat file",
        ),
        (
            lambda voc, sbd: trees.write_list(voc / LISTS / "val.txt", [VAL[0]] * 2),
            r"val\.txt: 2007_000033 is listed twice",
        ),
        (
            lambda voc, sbd: (voc / LISTS / "val.txt").unlink(),
            r"--sbd_dir=.*: without the list val\.txt",
        ),
        (lambda voc, sbd: empty(voc / LISTS), r"--list_folder=.*: no lists"),
        (
            lambda voc, sbd: empty(sbd, sbd / "cls"),
            r"--sbd_dir=.*: neither cls/\*\.mat nor \*\.png",
        ),
    ],
)
def test_what_is_missing_is_named(build, devkit, sbd, tmp_path, damage, message):
    damage(devkit, sbd)
    with pytest.raises(InputError, match=message):
        build(sbd_dir=str(sbd))
    assert not list((tmp_path / "records").glob("*.tfrecord"))
