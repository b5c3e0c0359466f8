"""Exports of Roboflow, "Semantic segmentation masks"."""

import numpy as np
import pytest

from deeplab_tf.errors import FlagError, InputError
from tests.dataset_builders.annotation_tools.exports import (
    box,
    masks,
    photo,
    read,
    save,
    write,
)

CLASSES = "Pixel Value, Class\n0, background\n1, ball\n2, tree\n"


def add(folder, name, ids, classes=CLASSES):
    photo(folder / f"{name}_jpg.rf.0a1b.jpg")
    save(folder / f"{name}_jpg.rf.0a1b_mask.png", ids)
    write(folder / "_classes.csv", classes)


@pytest.fixture
def export(tmp_path):
    for split in ("train", "valid", "test"):
        for i in range(2):
            add(tmp_path / split, f"{split}{i}", box(i + 1, 2))
    return tmp_path


def test_pairs_names_and_splits_are_read_as_they_are(export):
    found = read(export)
    assert found.classes == ("background", "ball", "tree")
    assert {*found.splits} == {"train", "val", "test"}
    for split, theirs in (("train", "train"), ("val", "valid"), ("test", "test")):
        for i, mask in enumerate(masks(found, split).values()):
            np.testing.assert_array_equal(mask, box(i + 1, 2))
        assert [
            name.split("_")[1 if "/" in name else 0] for name in masks(found, split)
        ]
        (first, _) = masks(found, split)
        assert first.endswith(f"{theirs}0_jpg.rf.0a1b")


def test_one_folder_alone_is_divided_later(export):
    found = read(export / "train")
    assert [*found.splits] == [""]
    assert [*masks(found)] == ["train0_jpg.rf.0a1b", "train1_jpg.rf.0a1b"]


def test_values_of_masks_need_not_count_from_0(tmp_path):
    classes = "Pixel Value, Class\n0, background\n128, ball\n255, tree\n"
    add(tmp_path, "a", np.array([0, 128, 255], np.uint8)[box(1, 2)], classes)
    np.testing.assert_array_equal(masks(read(tmp_path))["a_jpg.rf.0a1b"], box(1, 2))


def test_the_users_order_of_names_moves_the_ids(export):
    names = ("background", "tree", "ball")
    (mask, _) = masks(read(export, class_names=names), "val").values()
    np.testing.assert_array_equal(mask, box(2, 1))
    with pytest.raises(
        FlagError, match="are background,ball,tree; only their order is"
    ):
        read(export, class_names=("background", "cat", "ball"))


def test_a_value_that_the_table_has_not_is_named(export):
    add(export / "valid", "valid0", box(1, 7))
    with pytest.raises(
        InputError, match=r"valid0.*_mask\.png: values 7, 9\.38% of its pixels, are not"
    ):
        masks(read(export), "val")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Pixel Value, Class\n0, background\n1, cat\n", "the classes of splits differ"),
        ("background\nball\n", "not a table of Roboflow, with the heading Pixel Value"),
        ("", "not a table of Roboflow"),
        ("Pixel Value, Class\n-1, background\n", "not a table of Roboflow"),
    ],
)
def test_tables_that_cannot_be_meant_are_named(export, text, said):
    write(export / "valid" / "_classes.csv", text)
    with pytest.raises(InputError, match=rf"valid/_classes\.csv.*{said}"):
        read(export)


def test_a_mask_without_its_photograph_is_named_and_counted(export):
    for path in (export / "test").glob("*.jpg"):
        path.unlink()
    said = (
        r"test/test0_jpg\.rf\.0a1b_mask\.png: no photograph test0_jpg\.rf\.0a1b below "
        r".*; so of 2 of 6 annotations"
    )
    with pytest.raises(InputError, match=said):
        read(export)
