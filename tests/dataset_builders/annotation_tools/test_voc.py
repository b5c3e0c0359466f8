"""Trees as PASCAL VOC's: with ids, or in the colors of CVAT's labelmap.txt."""

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

COLORS = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
LABELMAP = (
    "# label:color_rgb:parts:actions\nbackground:0,0,0::\nball:250,50,83::\n"
    "tree:51,221,255::\n"
)


def tree(folder, mask, photos=True):
    """Four photographs of a tree, and what `mask` makes of their ids."""
    for i in range(4):
        if photos:
            photo(folder / f"JPEGImages/p{i}.jpg")
        save(folder / f"SegmentationClass/p{i}.png", mask(box(1 + i % 2, 2)))
        save(folder / f"SegmentationObject/p{i}.png", mask(box(1, 2)))
    return folder


def in_colors(folder, **options):
    tree(folder, lambda ids: COLORS[ids], **options)
    write(folder / "labelmap.txt", LABELMAP)
    return folder


def lists(folder, **stems):
    for split, some in stems.items():
        write(folder / f"ImageSets/Segmentation/{split}.txt", "\n".join(some) + "\n")


def assert_drawn(found, split=""):
    for name, mask in masks(found, split).items():
        np.testing.assert_array_equal(mask, box(1 + int(name[-1]) % 2, 2))


def test_masks_in_colors_are_read_by_the_labelmap(tmp_path):
    lists(in_colors(tmp_path), default=["p0", "p1", "p2", "p3"])
    found = read(tmp_path)
    assert found.classes == ("background", "ball", "tree")
    assert found.palette == ((0, 0, 0), (250, 50, 83), (51, 221, 255))
    assert [*masks(found)] == ["p0", "p1", "p2", "p3"]
    assert_drawn(found)


def test_photographs_may_be_elsewhere(tmp_path):
    in_colors(tmp_path / "export", photos=False)
    for i in range(4):
        photo(tmp_path / f"mine/p{i}.jpg")
    with pytest.raises(InputError, match="so of 4 of 4 annotations; --image_dir says"):
        read(tmp_path / "export")
    assert_drawn(read(tmp_path / "export", photos=tmp_path / "mine"))


def test_lists_are_splits_and_a_list_to_test_on_needs_no_masks(tmp_path):
    in_colors(tmp_path)
    photo(tmp_path / "JPEGImages/p9.jpg")
    lists(tmp_path, Train=["p0", "p1"], Validation=["p3"], test=["p9"], trainval=["p0"])
    found = read(tmp_path)
    assert {split: [*masks(found, split)] for split in found.splits} == {
        "train": ["p0", "p1"],
        "val": ["p3"],
        "test": ["p9"],
    }
    assert masks(found, "test")["p9"] is None


def test_masks_in_no_list_are_counted_aloud(tmp_path, caplog):
    in_colors(tmp_path)
    lists(tmp_path, train=["p0", "p1"], val=["p3"])
    read(tmp_path)
    said = f"1 of 4 masks are in no list and are left out: {tmp_path}/SegmentationCl"
    assert said in caplog.text


@pytest.mark.parametrize(
    ("stem", "said"), [("p4", "no photograph of p4"), ("p5", "no mask of p5")]
)
def test_what_a_list_names_and_is_not_there_is_named(tmp_path, stem, said):
    photo(in_colors(tmp_path) / "JPEGImages/p5.jpg")
    lists(tmp_path, train=["p0", stem], val=["p1"])
    with pytest.raises(InputError, match=rf"train\.txt: {said}, which it lists"):
        read(tmp_path)


def test_a_color_that_the_labelmap_has_not_is_named(tmp_path):
    in_colors(tmp_path)
    save(tmp_path / "SegmentationClass/p2.png", (COLORS + 1)[box(0, 2)])
    with pytest.raises(InputError, match=r"p2\.png: color 1 1 1, .*labelmap\.txt"):
        masks(read(tmp_path))


def test_ids_are_named_by_a_file_or_by_the_user(tmp_path):
    tree(tmp_path, lambda ids: ids)
    with pytest.raises(InputError, match=r"neither class_names\.txt nor labelmap"):
        read(tmp_path)
    found = read(tmp_path, class_names=("ground", "ball", "tree"))
    assert found.classes == ("ground", "ball", "tree")
    assert_drawn(found)
    write(tmp_path / "class_names.txt", "_background_\nball\ntree\n")
    found = read(tmp_path)
    assert found.classes == ("_background_", "ball", "tree")
    assert_drawn(found)


def test_labelmes_converter_has_arrays_and_pictures_beside_the_masks(tmp_path):
    tree(tmp_path, lambda ids: ids)
    (tmp_path / "SegmentationClass").rename(tmp_path / "SegmentationClassPNG")
    write(tmp_path / "SegmentationClass/p0.npy", "an array")
    photo(tmp_path / "SegmentationClassVisualization/p0.jpg")
    write(tmp_path / "class_names.txt", "_background_\nball\ntree\n")
    assert_drawn(read(tmp_path))


def test_the_order_of_the_labelmaps_classes_is_free(tmp_path):
    in_colors(tmp_path)
    found = read(tmp_path, class_names=("tree", "ball", "background"))
    np.testing.assert_array_equal(masks(found)["p0"], np.array([2, 1, 0])[box(1, 2)])
    with pytest.raises(FlagError, match="only their order is free"):
        read(tmp_path, class_names=("background", "ball"))
