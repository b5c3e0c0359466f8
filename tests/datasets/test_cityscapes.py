"""Cityscapes, on a small tree in its layout."""

import re
import shutil

import numpy as np
import pytest

from deeplab_tf.errors import FlagError, InputError
from tests.datasets import trees

# Id in the labelIds files -> training id, by hand from the published table.
TRAINING_IDS = {
    **{7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10},
    **{24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18},
}
IGNORED = [0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30]
# 0, 33, 1, 32, ...: an id between its neighbors would look like interpolation.
ORDER = [255, *(i // 2 if i % 2 == 0 else 33 - i // 2 for i in range(34))]
LABEL_IDS = trees.bands(35, 9, ORDER)
EXPECTED = trees.bands(35, 9, [TRAINING_IDS.get(i, 255) for i in ORDER])
CITIES = {
    "train": ["aachen_000000_000019", "aachen_000001_000019", "ulm_000000_000019"],
    "val": ["munster_000000_000019", "frankfurt_000000_000294"],
    "test": ["berlin_000000_000019"],
    "train_extra": ["bayreuth_000000_000160", "troisdorf_000000_000073"],
}


def write(root, folder, annotations, kind, ids, rng):
    for stem in CITIES[folder]:
        city = stem.split("_")[0]
        image = root / "leftImg8bit" / folder / city / f"{stem}_leftImg8bit.png"
        trees.write_photo(image, trees.photo(rng, *ids.shape))
        label = root / annotations / folder / city / f"{stem}_{annotations}_{kind}.png"
        trees.write_mask(label, ids)


@pytest.fixture
def root(tmp_path, rng):
    root = tmp_path / "cityscapes"
    for folder in ("train", "val", "test"):
        ids = np.zeros_like(LABEL_IDS) if folder == "test" else LABEL_IDS
        write(root, folder, "gtFine", "labelIds", ids, rng)
    write(root, "train_extra", "gtCoarse", "labelIds", LABEL_IDS[:24], rng)
    return root


@pytest.fixture
def build(builder, root, tmp_path):
    module = builder("cityscapes")

    def run(**settings):
        folders = {"cityscapes_root": str(root), "output_dir": str(tmp_path / "out")}
        module.build(module.CityscapesConfig(**(folders | settings)))
        return tmp_path / "out"

    return run


def test_the_table_leaves_no_id_out():
    assert sorted([*TRAINING_IDS, *IGNORED]) == list(range(34))


def test_training_ids_are_made_of_the_label_ids(build, root):
    records = build()
    assert trees.described(records)["split_sizes"] == {"train_fine": 3, "val_fine": 2}
    for split, folder in (("train_fine", "train"), ("val_fine", "val")):
        stems = sorted(CITIES[folder])
        assert trees.names(records, split) == stems
        for features, stem in zip(trees.examples(records, split), stems, strict=True):
            np.testing.assert_array_equal(trees.label(features), EXPECTED)
            city = root / "leftImg8bit" / folder / stem.split("_")[0]
            image = city / f"{stem}_leftImg8bit.png"
            assert features["image/encoded"] == image.read_bytes()
            assert features["image/format"] == b"png"
            assert (features["image/height"], features["image/width"]) == (35, 9)
    assert trees.described(records)["pixel_counts"]["val_fine"] == [18] * 19


def test_a_license_plate_of_16_bits_is_ignored(build, root, rng):
    ids = LABEL_IDS.astype(np.uint16)
    ids[ids == 255] = 65535  # -1, as 16 bits have it.
    write(root, "val", "gtFine", "labelIds", ids, rng)
    examples = trees.examples(build(), "val_fine")
    np.testing.assert_array_equal(trees.label(examples[0]), EXPECTED)


def test_ids_beyond_the_last_one_are_refused(build, root, rng):
    ids = LABEL_IDS.copy()
    ids[0] = 34
    write(root, "val", "gtFine", "labelIds", ids, rng)
    with pytest.raises(InputError, match="ids 34 are neither classes"):
        build()


def test_training_ids_are_read_where_they_were_made_before(build, root, rng):
    for folder in ("train", "val"):
        write(root, folder, "gtFine", "labelTrainIds", EXPECTED, rng)
    examples = trees.examples(build(label_ids="read"), "train_fine")
    np.testing.assert_array_equal(trees.label(examples[0]), EXPECTED)


def test_label_ids_are_not_read_as_training_ids(build, root, rng):
    write(root, "train", "gtFine", "labelTrainIds", EXPECTED, rng)
    write(root, "val", "gtFine", "labelTrainIds", LABEL_IDS, rng)
    message = r"_labelTrainIds\.png: id 19 is none of the 19 training ids.*=make"
    with pytest.raises(InputError, match=message):
        build(label_ids="read")


def test_fine_and_coarse_annotations_make_the_coarse_splits(build):
    records = build(splits=("train_coarse", "trainval_coarse", "trainval_fine"))
    fine, extra = CITIES["train"], CITIES["train_extra"]
    assert trees.names(records, "train_coarse") == [*fine, *extra]
    val = sorted(CITIES["val"])
    assert trees.names(records, "trainval_coarse") == [*fine, *val, *extra]
    assert trees.names(records, "trainval_fine") == [*fine, *val]
    examples = trees.examples(records, "train_coarse")
    np.testing.assert_array_equal(trees.label(examples[0]), EXPECTED)
    np.testing.assert_array_equal(trees.label(examples[-1]), EXPECTED[:24])


def test_dummies_of_the_test_images_are_left_out(build):
    (features,) = trees.examples(build(splits=("val_fine", "test_fine")), "test_fine")
    assert features["image/filename"] == b"berlin_000000_000019"
    assert features["image/segmentation/class/encoded"] == b""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cityscapes_root": "nowhere"}, r"=nowhere: no images leftImg8bit/train/\*"),
        (
            {"label_ids": "read"},
            r"_labelTrainIds\.png: no such file; cityscapesScripts",
        ),
        ({}, r"ulm_000000_000019_gtFine_labelIds\.png: no such file; unpack"),
    ],
)
def test_what_is_missing_is_named(build, root, settings, message):
    (root / "gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(InputError, match=message):
        build(**settings)


def test_an_unknown_split_names_the_known_ones(build):
    with pytest.raises(FlagError, match="--splits=val: only train_fine, val_fine"):
        build(splits=("val",))


def test_what_needs_an_account_is_told(build, root, tmp_path):
    build(download=True)  # Nothing is absent.
    message = (
        "log in at https://www.cityscapes-dataset.com/login, fetch "
        r"gtFine_trainvaltest.zip and leftImg8bit_trainvaltest.zip and unpack them in"
    )
    with pytest.raises(InputError, match=message):
        build(download=True, cityscapes_root=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("absent", "split", "archive"),
    [
        ("gtFine/train", "train_fine", "gtFine_trainvaltest.zip"),
        ("leftImg8bit/val", "val_fine", "leftImg8bit_trainvaltest.zip"),
        ("gtCoarse/train_extra", "train_coarse", "gtCoarse.zip"),
    ],
)
def test_only_what_is_absent_is_to_be_fetched(build, root, absent, split, archive):
    shutil.rmtree(root / absent)
    with pytest.raises(InputError, match=rf"fetch {re.escape(archive)} and unpack"):
        build(download=True, splits=(split,))


def test_masks_that_are_not_read_are_not_to_be_fetched(build, root):
    shutil.rmtree(root / "gtFine" / "test")
    assert trees.names(build(download=True, splits=("test_fine",)), "test_fine")
