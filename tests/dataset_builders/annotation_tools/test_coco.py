"""COCO exports of annotation tools: photographs in whatever folder, splits, RLE."""

import itertools

import numpy as np
import pytest

from deeplab_tf.errors import InputError
from tests.dataset_builders.annotation_tools.exports import (
    HEIGHT,
    SIZE,
    WIDTH,
    X,
    Y,
    masks,
    photo,
    read,
    write,
)

CATEGORIES = [{"id": 1, "name": "ball"}, {"id": 2, "name": "tree"}]
PAINTED = np.hypot(X - 20, Y - 17) < 11


def objects(file, files, segmentation, categories=CATEGORIES, category=1):
    """Annotations of photographs, an object each."""
    write(
        file,
        {
            "categories": categories,
            "images": [
                {"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH}
                for i, name in enumerate(files)
            ],
            "annotations": [
                {
                    "id": 9 + i,
                    "image_id": i,
                    "category_id": category,
                    "segmentation": segmentation,
                    "iscrowd": 0,
                }
                for i, _ in enumerate(files)
            ],
        },
    )


def runs(pixels):
    """Lengths of runs down the columns, the first one of zeros."""
    lengths = [(bit, len([*some])) for bit, some in itertools.groupby(pixels.T.ravel())]
    return ([] if not lengths[0][0] else [0]) + [length for _, length in lengths]


def pack(counts):
    """COCO's text of run lengths, by its published rule."""
    text = ""
    for i, count in enumerate(counts):
        number = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits = number & 31
            number >>= 5
            more = number != -1 if bits & 16 else number != 0
            text += chr(bits + (32 if more else 0) + 48)
    return text


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "named",
    [
        "images/p{}.jpg",
        "p{}.jpg",
        "images\\p{}.jpg",
        "../../label-studio/media/upload/1/p{}.jpg",
        "/data/upload/1/p{}.jpg",
    ],
)
def test_run_lengths_are_read_with_photographs_named_in_any_way(
    tmp_path, packed, named
):
    for i in range(2):
        photo(tmp_path / f"images/p{i}.jpg")
    counts = runs(PAINTED)
    rle = {"size": [*SIZE], "counts": pack(counts) if packed else counts}
    objects(tmp_path / "result.json", [named.format(i) for i in range(2)], rle)
    found = read(tmp_path)
    assert found.classes == ("background", "ball", "tree")
    (first, second) = masks(found).values()
    np.testing.assert_array_equal(first, PAINTED)
    np.testing.assert_array_equal(second, PAINTED)


def test_polygons_are_read_too(tmp_path):
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    photo(tmp_path / "p0.jpg")
    square = [[5, 5, 25, 5, 25, 20, 5, 20]]
    objects(tmp_path / "annotations/instances_default.json", ["p0.jpg"], square)
    expected = (X > 5) & (X < 25) & (Y > 5) & (Y < 20)
    np.testing.assert_array_equal(masks(read(tmp_path))["p0"], expected)


def of_roboflow(folder, categories=None):
    """A folder of each split, and a category called as the project."""
    categories = categories or [
        {"id": 0, "name": "balls", "supercategory": "none"},
        *({**one, "supercategory": "balls"} for one in CATEGORIES),
    ]
    rle = {"size": [*SIZE], "counts": runs(PAINTED)}
    for split in ("train", "valid", "test"):
        photo(folder / split / f"{split}.jpg")
        file = folder / split / "_annotations.coco.json"
        objects(file, [f"{split}.jpg"], rle, categories, category=2)
    return folder


def test_folders_are_splits_and_the_projects_own_category_is_no_class(tmp_path):
    found = read(of_roboflow(tmp_path))
    assert found.classes == ("background", "ball", "tree")
    assert {split: [*masks(found, split)] for split in found.splits} == {
        "test": ["test"],
        "train": ["train"],
        "val": ["valid"],
    }
    np.testing.assert_array_equal(masks(found, "val")["valid"], np.where(PAINTED, 2, 0))


def test_words_of_file_names_are_splits(tmp_path):
    rle = {"size": [*SIZE], "counts": runs(PAINTED)}
    for split in ("train2017", "val2017"):
        photo(tmp_path / split / "000000000001.jpg")
        file = tmp_path / "annotations" / f"instances_{split}.json"
        objects(file, [f"{split}/000000000001.jpg"], rle)
    assert {*read(tmp_path).splits} == {"train", "val"}


def test_a_category_that_is_the_background_is_no_second_one(tmp_path):
    photo(tmp_path / "p0.jpg")
    rle = {"size": [*SIZE], "counts": runs(PAINTED)}
    categories = [{"id": 3, "name": "background"}, *CATEGORIES]
    objects(tmp_path / "a.json", ["p0.jpg"], rle, categories, category=2)
    found = read(tmp_path)
    assert found.classes == ("background", "ball", "tree")
    np.testing.assert_array_equal(masks(found)["p0"], np.where(PAINTED, 2, 0))


def test_what_cannot_be_meant_is_named(tmp_path):
    of_roboflow(tmp_path)
    rle = {"size": [*SIZE], "counts": runs(PAINTED)}
    objects(tmp_path / "valid/again.json", ["valid.jpg"], rle)
    with pytest.raises(InputError, match=r"json and .*\.json: both are of val; give"):
        read(tmp_path)
    (tmp_path / "valid/again.json").unlink()
    objects(tmp_path / "valid/_annotations.coco.json", ["valid.jpg", "no.jpg"], rle)
    with pytest.raises(InputError, match="their categories differ"):
        read(tmp_path)
    of_roboflow(tmp_path, CATEGORIES)
    objects(tmp_path / "valid/_annotations.coco.json", ["valid.jpg", "no.jpg"], rle)
    said = r"coco\.json/1: no photograph no\.jpg below .*; so of 1 of 4 annotations"
    with pytest.raises(InputError, match=said):
        read(tmp_path)
