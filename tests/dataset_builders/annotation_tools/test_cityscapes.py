"""Trees of Cityscapes: polygons, masks of ids, and CVAT's masks in colors."""

import numpy as np
import pytest

from deeplab_tf.errors import InputError
from tests.dataset_builders.annotation_tools.exports import (
    HEIGHT,
    WIDTH,
    X,
    Y,
    box,
    masks,
    photo,
    read,
    save,
    write,
)

IN_BOX = (X > 5) & (X < 25) & (Y > 5) & (Y < 20)
BOX = [[5, 5], [25, 5], [25, 20], [5, 20]]
ALL = [[0, 0], [WIDTH, 0], [WIDTH, HEIGHT], [0, HEIGHT]]


def polygons(folder, name, *objects, split="train"):
    photo(folder / f"leftImg8bit/{split}/ulm/{name}_leftImg8bit.png")
    facts = {
        "imgHeight": HEIGHT,
        "imgWidth": WIDTH,
        "objects": [{"label": label, "polygon": points} for label, points in objects],
    }
    write(folder / f"gtFine/{split}/ulm/{name}_gtFine_polygons.json", facts)


def only(found, split="train"):
    (mask,) = masks(found, split).values()
    return mask


def test_published_labels_are_the_classes_of_the_evaluation(tmp_path, caplog):
    polygons(
        tmp_path,
        "ulm_0",
        ("sky", [[0, 0], [WIDTH, 0], [WIDTH, 30], [0, 30]]),
        ("cargroup", BOX),
        ("parking", [[5, 5], [10, 5], [10, 20], [5, 20]]),
    )
    found = read(tmp_path)
    assert len(found.classes) == 19
    assert (found.classes[10], found.classes[13]) == ("sky", "car")
    expected = np.where(IN_BOX, 13, np.where(Y < 30, 10, 255))
    expected[IN_BOX & (X < 10)] = 255
    np.testing.assert_array_equal(only(found), expected)
    assert "1 files whose polygons overlap; the later lies on top" in caplog.text


def test_other_labels_are_classes_of_their_own(tmp_path):
    polygons(tmp_path, "ulm_0", ("cow", BOX), ("barn", [[30, 30], [40, 30], [40, 38]]))
    polygons(tmp_path, "ulm_1", ("cow", ALL), split="val")
    found = read(tmp_path)
    assert found.classes == ("background", "barn", "cow")
    in_barn = (X > 30) & (X < 40) & (Y > 30) & (Y - 30 < (X - 30) * 0.8)
    np.testing.assert_array_equal(
        only(found), np.where(IN_BOX, 2, np.where(in_barn, 1, 0))
    )
    assert (only(found, "val") == 2).all()
    found = read(tmp_path, class_names=("ground", "cow", "barn"))
    assert only(found)[10, 10] == 1


def test_ids_of_the_published_masks_become_those_of_the_evaluation(tmp_path):
    polygons(tmp_path, "ulm_0", ("car", ALL))
    ids = np.where(IN_BOX, 26, np.where(Y < 3, 23, 4))
    save(tmp_path / "gtFine/train/ulm/ulm_0_gtFine_labelIds.png", ids)
    expected = np.where(IN_BOX, 13, np.where(Y < 3, 10, 255))
    np.testing.assert_array_equal(only(read(tmp_path)), expected)


def test_cvats_masks_are_read_by_its_table_of_colors(tmp_path):
    colors = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
    for split in ("train", "val"):
        photo(tmp_path / f"imgsFine/leftImg8bit/{split}/{split}0_leftImg8bit.png")
        stem = tmp_path / f"gtFine/{split}/{split}0_gtFine"
        save(stem.with_name(f"{stem.name}_color.png"), colors[box(1, 2)])
        save(stem.with_name(f"{stem.name}_labelIds.png"), box(1, 2) + 5)
    table = "0 0 0 background\n250 50 83 cow\n51 221 255 barn\n"
    write(tmp_path / "label_colors.txt", table)
    found = read(tmp_path)
    assert found.classes == ("background", "cow", "barn")
    np.testing.assert_array_equal(only(found, "val"), box(1, 2))
    assert [*masks(found, "train")] == ["train_train0"]


def test_what_is_wrong_is_named(tmp_path):
    polygons(tmp_path, "ulm_0", ("cow", BOX))
    file = tmp_path / "gtFine/train/ulm/ulm_1_gtFine_polygons.json"
    write(file, {"imgHeight": 4, "objects": []})
    with pytest.raises(InputError, match=r"ulm_1_gtFine_polygons\.json: not polyg"):
        read(tmp_path)
    write(file, {"imgHeight": 4, "imgWidth": 4, "objects": []})
    with pytest.raises(InputError, match=r"no photograph ulm_1 below .*; so of 1 of"):
        read(tmp_path)
    file.unlink()
    save(tmp_path / "gtFine/train/ulm/ulm_0_gtFine_color.png", box())
    (tmp_path / "gtFine/train/ulm/ulm_0_gtFine_polygons.json").unlink()
    with pytest.raises(InputError, match=r"of colors, no label_colors\.txt says"):
        read(tmp_path)
