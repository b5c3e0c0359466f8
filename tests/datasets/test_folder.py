"""datasets/build_folder_data.py: your own photographs, and what is wrong with them."""

import io
import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from deeplab_tf import cli
from deeplab_tf.data import tfrecord
from deeplab_tf.dataset_builders import coco
from deeplab_tf.errors import FlagError, InputError
from tests.datasets.trees import (
    described,
    examples,
    label,
    names,
    photo,
    write_list,
    write_mask,
    write_photo,
)

LISTS = ("train_list", "val_list")


@pytest.fixture
def own(tmp_path, rng):
    """Ten photographs, one in a folder below, and their masks."""
    for i in range(10):
        name = f"deep/photo_{i}" if i == 0 else f"photo_{i}"
        write_photo(tmp_path / "photos" / f"{name}.JPG", photo(rng, 8, 6 + i))
        write_mask(tmp_path / "masks" / f"{name}.png", np.resize([0, 1], (8, 6 + i)))
    return tmp_path


def settings(own, **changes):
    return {
        "image_dir": str(own / "photos"),
        "label_dir": str(own / "masks"),
        "output_dir": str(own / "records"),
        "class_names": ("background", "cat"),
    } | changes


def folder_config(builder, own, **changes):
    return builder("folder").FolderConfig(**settings(own, **changes))


def build(builder, own, **changes):
    builder("folder").build(folder_config(builder, own, **changes))
    return own / "records"


def masks(records, split="train"):
    return [label(features) for features in examples(records, split)]


def all_masks(own, change):
    for path in (own / "masks").rglob("*.png"):
        write_mask(path, change(np.asarray(Image.open(path))))


# Splits


def test_own_photographs_are_built_and_described(builder, own):
    records = build(builder, own, name="cats")
    train, val = names(records, "train"), names(records, "val")
    assert (len(train), len(val)) == (8, 2)
    # The one in a folder below keeps that in its name.
    assert {*train, *val} == {"deep_photo_0", *(f"photo_{i}" for i in range(1, 10))}
    facts = described(records)
    assert facts["name"] == "cats"
    assert facts["classes"] == ["background", "cat"]
    assert facts["palette"] == [[0, 0, 0], [128, 0, 0]]
    assert facts["ignore_label"] == 255
    assert facts["split_sizes"] == {"train": 8, "val": 2}


def test_the_split_follows_from_the_seed(builder, own):
    held = [names(build(builder, own, seed=seed), "val") for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_lists_choose_the_splits(builder, own):
    write_list(own / "train.txt", ["photo_3", "photo_1"])
    write_list(own / "val.txt", ["deep/photo_0"])
    lists = {"train_list": str(own / "train.txt"), "val_list": str(own / "val.txt")}
    records = build(builder, own, **lists)
    assert names(records, "train") == ["photo_3", "photo_1"]
    assert names(records, "val") == ["deep_photo_0"]


def test_an_image_in_two_lists_is_refused(builder, own):
    write_list(own / "train.txt", ["photo_3", "photo_1"])
    write_list(own / "val.txt", ["photo_1"])
    lists = {"train_list": str(own / "train.txt"), "val_list": str(own / "val.txt")}
    said = r"photo_1\.JPG: in the splits train and val; in one alone is needed"
    with pytest.raises(InputError, match=said):
        build(builder, own, **lists)


def test_a_list_has_one_stem_a_line_blanks_and_all(builder, rng, tmp_path):
    for name in ("IMG 001", "IMG 002"):
        write_photo(tmp_path / "photos" / f"{name}.jpg", photo(rng, 8, 10))
        write_mask(tmp_path / "masks" / f"{name}.png", [[0, 1] * 5] * 8)
    (tmp_path / "train.txt").write_text("IMG 001\n\n")
    (tmp_path / "val.txt").write_text("IMG 002 \n")
    lists = {name: str(tmp_path / f"{name[:-5]}.txt") for name in LISTS}
    assert names(build(builder, tmp_path, **lists), "val") == ["IMG 002"]
    (tmp_path / "val.txt").write_bytes(b"\x89PNG\r\n\0")
    with pytest.raises(InputError, match=r"val\.txt: not a text file"):
        build(builder, tmp_path, **lists)


def test_nothing_is_kept_apart_if_so_asked(builder, own):
    records = build(builder, own, val_fraction=0.0)
    assert described(records)["split_sizes"] == {"train": 10}


def in_split_folders(own, rng):
    for split, count in (("train", 3), ("val", 2)):
        for i in range(count):
            write_photo(own / "images" / split / f"{i}.jpg", photo(rng, 8, 10))
            write_mask(own / "labels" / split / f"{i}.png", [[0, 1] * 5] * 8)
    return {"image_dir": str(own / "images"), "label_dir": str(own / "labels")}


def test_folders_are_splits_if_asked(builder, own, rng):
    places = in_split_folders(own, rng)
    write_photo(own / "images" / "test" / "9.jpg", photo(rng, 8, 10))
    records = build(builder, own, split_by_folder=True, **places)
    by_split = {split: names(records, split) for split in ("train", "val", "test")}
    assert by_split == {"train": ["0", "1", "2"], "val": ["0", "1"], "test": ["9"]}
    (test,) = examples(records, "test")
    assert test["image/segmentation/class/encoded"] == b""


def test_a_folder_valid_is_the_split_val(builder, own, rng, caplog):
    places = in_split_folders(own, rng)
    for folder in ("images", "labels"):
        (own / folder / "val").rename(own / folder / "valid")
    with pytest.raises(
        FlagError, match=r"has folders train and valid; give --split_by"
    ):
        build(builder, own, **places)
    records = build(builder, own, split_by_folder=True, **places)
    assert names(records, "val") == ["0", "1"]
    assert "valid becomes the split val" in caplog.text
    for folder in ("images", "labels"):
        shutil.copytree(own / folder / "valid", own / folder / "val")
    with pytest.raises(InputError, match="folders val and valid: both are the split v"):
        build(builder, own, split_by_folder=True, **places)


def test_what_to_do_with_the_records_is_told(builder, own, caplog):
    records = build(builder, own)
    assert f"Next: deeplab-data check {records}" in caplog.messages


def test_images_beside_the_folders_of_splits_are_told(builder, own, rng, caplog):
    places = in_split_folders(own, rng)
    write_photo(own / "images" / "loose.jpg", photo(rng, 8, 10))
    build(builder, own, split_by_folder=True, **places)
    assert "1 images lie in no folder, and so in no split, first " in caplog.text


def test_folders_of_splits_are_not_mixed_unasked(builder, own, rng):
    places = in_split_folders(own, rng)
    with pytest.raises(FlagError, match=r"has folders train and val; give --split_by"):
        build(builder, own, **places)
    records = build(builder, own, split_by_folder=False, **places)
    assert len(names(records, "train") + names(records, "val")) == 5


def test_a_folder_whose_name_is_no_splits_is_refused(builder, own, rng):
    places = in_split_folders(own, rng)
    for folder in ("images", "labels"):
        (own / folder / "train").rename(own / folder / "train-fine")
    said = "train-fine as a split, by its folder or list: letters, digits and _"
    with pytest.raises(InputError, match=said):
        build(builder, own, split_by_folder=True, **places)


# Pairs


def like_cityscapes(own, rng):
    for split, city, count in (("train", "ulm", 3), ("val", "bonn", 2)):
        for i in range(count):
            stem = f"{split}/{city}/{city}_{i}"
            write_photo(own / "left" / f"{stem}_left.png", photo(rng, 8, 10))
            ids = np.full((8, 10), i % 2)
            write_mask(own / "fine" / f"{stem}_ids.png", ids)
            write_mask(own / "fine" / f"{stem}_color.png", ids + 7)
    return {
        "image_dir": str(own / "left"),
        "label_dir": str(own / "fine"),
        "image_glob": "*/*/*_left.png",
        "label_glob": "*/*/*_ids.png",
    }


def test_patterns_pair_what_their_stars_stand_for(builder, own, rng):
    given = like_cityscapes(own, rng)
    records = build(builder, own, split_by_folder=True, **given)
    assert names(records, "train") == ["ulm_0", "ulm_1", "ulm_2"]
    assert [np.unique(mask).tolist() for mask in masks(records)] == [[0], [1], [0]]
    assert names(records, "val") == ["bonn_0", "bonn_1"]


def test_patterns_go_with_lists_and_with_chance(builder, own, rng):
    given = like_cityscapes(own, rng)
    write_list(own / "train.txt", ["bonn_1", "ulm_2"])
    write_list(own / "val.txt", ["ulm_0"])
    lists = {"train_list": str(own / "train.txt"), "val_list": str(own / "val.txt")}
    assert names(build(builder, own, **given, **lists), "train") == ["bonn_1", "ulm_2"]
    with pytest.raises(FlagError, match=r"has folders train and val; give --split_by"):
        build(builder, own, **given)
    records = build(builder, own, split_by_folder=False, **given)
    assert [len(names(records, split)) for split in ("train", "val")] == [4, 1]
    write_list(own / "val.txt", ["ulm_9"])
    with pytest.raises(InputError, match=r"val\.txt: no image is called ulm_9; one is"):
        build(builder, own, **given, **lists)


def test_folders_at_will_are_splits_by_the_first(builder, own, rng):
    given = like_cityscapes(own, rng)
    given |= {"image_glob": "**/*_left.png", "label_glob": "**/*_ids.png"}
    with pytest.raises(FlagError, match=r"has folders train and val; give --split_by"):
        build(builder, own, **given)
    records = build(builder, own, split_by_folder=True, **given)
    assert [len(names(records, split)) for split in ("train", "val")] == [3, 2]


def test_a_pattern_without_its_mask_names_both(builder, own, rng):
    given = like_cityscapes(own, rng)
    (own / "fine/train/ulm/ulm_1_ids.png").unlink()
    said = r"ulm_1_left\.png: no mask .*ulm_1_ids\.png; so of 1 of 5 images"
    with pytest.raises(InputError, match=said):
        build(builder, own, **given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_glob": "*/*_ids.png"}, r"as many \* in the one as in the other"),
        ({"image_glob": "a.png", "label_glob": "b.png"}, "and one at least"),
        ({"image_glob": "/x/*.png"}, "without / at the beginning"),
        ({"image_glob": "*/*/*.bmp"}, r"--image_glob=\*/\*/\*\.bmp: no files in"),
    ],
)
def test_patterns_that_cannot_be_meant_say_why(builder, own, rng, changes, message):
    with pytest.raises(InputError, match=message):
        build(builder, own, **like_cityscapes(own, rng) | changes)


def test_masks_without_a_photograph_are_warned_of(builder, own, caplog):
    photos, masks_ = own / "photos", own / "masks"
    (photos / "photo_3.JPG").unlink()
    (photos / "photo_4.JPG").rename(photos / "photo_4.heic")
    build(builder, own)
    assert (
        f"2 of 10 masks have no photograph, first {masks_}/photo_4.png; "
        f"{photos}/photo_4.heic is none of .jpg, .jpeg, .png, "
    ) in caplog.text
    caplog.clear()
    (photos / "photo_4.heic").unlink()
    build(builder, own)
    said = f"2 of 10 masks have no photograph, first {masks_}/photo_3.png"
    assert said in [record.message for record in caplog.records]


def test_photographs_of_one_name_in_two_folders_stay_two(builder, rng, tmp_path):
    for folder in "ab":
        write_photo(tmp_path / "photos" / folder / "001.jpg", photo(rng, 8, 10))
        write_mask(tmp_path / "masks" / folder / "001.png", [[0, 1] * 5] * 8)
    records = build(builder, tmp_path)
    assert sorted(names(records, "train") + names(records, "val")) == ["a_001", "b_001"]
    write_photo(tmp_path / "photos" / "a_001.png", photo(rng, 8, 10))
    write_mask(tmp_path / "masks" / "a_001.png", [[0, 1] * 5] * 8)
    write_list(tmp_path / "train.txt", ["a/001", "a_001"])
    write_list(tmp_path / "val.txt", ["b/001"])
    lists = {name: str(tmp_path / f"{name[:-5]}.txt") for name in LISTS}
    with pytest.raises(InputError, match="two images of one name"):
        build(builder, tmp_path, **lists)


# Classes and ids


def test_ids_can_be_mapped(builder, own):
    all_masks(own, lambda ids: np.where(ids == 1, 255, 0))
    with pytest.raises(InputError, match="--label_map=255:1"):
        build(builder, own)
    assert not (own / "records").exists()
    records = build(builder, own, label_map=("255:1",))
    assert {*np.unique(masks(records)[0]).tolist()} == {0, 1}


def test_ids_of_16_bits_can_be_mapped(builder, own):
    all_masks(own, lambda ids: np.where(ids == 1, 24_000, 1000).astype(np.uint16))
    said = r"ids 1000, 24000 are neither classes \(0 to 1\)"
    with pytest.raises(InputError, match=said):
        build(builder, own)
    records = build(builder, own, label_map=("1000:0", "24000:1"))
    np.testing.assert_array_equal(masks(records, "val")[0][0, :4], [0, 1, 0, 1])


def test_ids_from_1_can_be_moved_down(builder, own):
    all_masks(own, lambda ids: ids + 1)
    with pytest.raises(InputError, match="--reduce_zero_label"):
        build(builder, own)
    records = build(builder, own, reduce_zero_label=True)
    assert {*np.unique(masks(records)[0]).tolist()} == {0, 1}


def test_masks_that_count_from_1_need_not_show_all_classes(builder, own):
    all_masks(own, lambda ids: np.where(ids > 0, 4, 2))
    with pytest.raises(InputError, match="They seem to count from 1"):
        build(builder, own, class_names=("a", "b", "c", "d"))


def test_classes_may_be_counted_instead_of_named(builder, own):
    records = build(builder, own, class_names=(), num_classes=2)
    assert described(records)["classes"] == ["class_0", "class_1"]


def test_names_of_classes_may_be_in_a_file(builder, own):
    write_list(own / "classes.txt", ["back ground", "cat"])
    records = build(builder, own, class_names=(str(own / "classes.txt"),))
    assert described(records)["classes"] == ["back ground", "cat"]
    with pytest.raises(InputError, match=r"nowhere\.txt: no such file"):
        build(builder, own, class_names=("nowhere.txt",))
    said = r"--num_classes=3, but .*classes\.txt has 2 names"
    with pytest.raises(FlagError, match=said):
        build(builder, own, class_names=(str(own / "classes.txt"),), num_classes=3)


def in_colors(own):
    """All masks red where they were 1, and their first row white."""
    for path in (own / "masks").rglob("*.png"):
        ids = np.asarray(Image.open(path))
        colors = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)[ids]
        colors[0] = 255
        Image.fromarray(colors).save(path)
    table = own / "colors.txt"
    table.write_text("0 0 0 ground\n255 0 0 cat\n255 255 255 ignore\n")
    return {"color_table": str(table), "class_names": ()}


def test_masks_in_colors_are_read_by_a_table(builder, own):
    before = np.asarray(Image.open(own / "masks" / "photo_9.png"))
    write_list(own / "train.txt", ["photo_9"])
    write_list(own / "val.txt", ["photo_1"])
    lists = {name: str(own / f"{name[:-5]}.txt") for name in LISTS}
    records = build(builder, own, **in_colors(own), **lists)
    np.testing.assert_array_equal(masks(records)[0][1:], before[1:])
    assert (masks(records)[0][0] == 255).all()
    facts = described(records)
    assert facts["classes"] == ["ground", "cat"]
    assert facts["palette"] == [[0, 0, 0], [255, 0, 0]]


def test_the_order_of_a_tables_classes_is_free(builder, own):
    given = in_colors(own) | {"class_names": ("cat", "ground")}
    facts = described(build(builder, own, **given))
    assert facts["classes"] == ["cat", "ground"]
    assert facts["palette"] == [[255, 0, 0], [0, 0, 0]]
    with pytest.raises(FlagError, match="are ground,cat; only their order is free"):
        build(builder, own, **given | {"class_names": ("dog", "ground")})


def test_a_table_knows_how_many_classes_there_are(builder, own):
    given = in_colors(own)
    said = r"--num_classes=9, but there are 2 classes, ground, cat; the ignore label"
    with pytest.raises(FlagError, match=said):
        build(builder, own, **given, num_classes=9)
    with pytest.raises(FlagError, match="--color_table and --reduce_zero_label: names"):
        build(builder, own, **given, reduce_zero_label=True)
    assert described(build(builder, own, **given, num_classes=2))["ignore_label"] == 255


@pytest.mark.parametrize("ignored", [0, 1, 2])
def test_no_class_is_moved_to_the_ignored_id(builder, own, ignored):
    all_masks(own, lambda ids: ids + 1)
    said = f"--reduce_zero_label --ignore_label={ignored}: ids 1 to 2 of the masks bec"
    with pytest.raises(FlagError, match=said):
        build(builder, own, reduce_zero_label=True, ignore_label=ignored)
    records = build(builder, own, reduce_zero_label=True, ignore_label=3)
    assert {*np.unique(masks(records)[0]).tolist()} == {0, 1}


def test_a_class_that_is_ignored_is_told(builder, own, caplog):
    build(builder, own, ignore_label=0)
    assert 'class 0, "background", is ignored: --ignore_label=0' in caplog.text


def annotations(own, file, stems):
    square = [2, 2, 6, 2, 6, 6, 2, 6]
    facts = {
        "categories": [{"id": 4, "name": "cat"}],
        "images": [
            {"id": i, "file_name": f"{stem}.JPG", "height": 8, "width": 6 + i}
            for i, stem in stems
        ],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 4, "segmentation": [square]}
            for i, _ in stems
        ],
    }
    (own / file).write_text(json.dumps(facts))
    coco.read_annotations.cache_clear()
    return str(own / file)


def test_objects_as_coco_has_them_are_drawn(builder, own):
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    stems = [(0, "deep/photo_0"), *((i, f"photo_{i}") for i in range(1, 10))]
    file = annotations(own, "instances.json", stems)
    given = {"label_dir": None, "class_names": (), "coco_annotations": (file,)}
    records = build(builder, own, **given)
    assert described(records)["classes"] == ["background", "cat"]
    assert described(records)["split_sizes"] == {"train": 8, "val": 2}
    for mask in masks(records):
        expected = np.zeros(mask.shape, int)
        expected[2:6, 2:6] = 1
        np.testing.assert_array_equal(mask, expected)


def test_two_files_of_objects_are_two_splits(builder, own):
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    (own / "photos" / "train2017").mkdir()
    (own / "photos" / "photo_1.JPG").rename(own / "photos/train2017/photo_1.JPG")
    files = (
        annotations(own, "train.json", [(1, "photo_1"), (2, "photo_2")]),
        annotations(own, "val.json", [(3, "photo_3")]),
    )
    given = {"label_dir": None, "class_names": (), "coco_annotations": files}
    records = build(builder, own, **given)
    assert names(records, "train") == ["photo_1", "photo_2"]
    assert names(records, "val") == ["photo_3"]
    with pytest.raises(FlagError, match="--coco_annotations and --split_by_folder: tw"):
        build(builder, own, split_by_folder=True, **given)
    lists = {"train_list": "a.txt", "val_list": "b.txt"}
    with pytest.raises(FlagError, match="--coco_annotations and --train_list: two fi"):
        build(builder, own, **lists, **given)


def test_a_photograph_in_two_files_of_objects_is_refused(builder, own):
    files = (
        annotations(own, "train.json", [(1, "photo_1"), (2, "photo_2")]),
        annotations(own, "val.json", [(3, "photo_3"), (2, "photo_2")]),
    )
    given = {"label_dir": None, "class_names": (), "coco_annotations": files}
    with pytest.raises(InputError, match=r"photo_2\.JPG: in the splits train and val"):
        build(builder, own, **given)


def test_folders_of_objects_photographs_are_splits_if_asked(builder, own):
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    for i, split in ((1, "train"), (2, "train"), (3, "val")):
        (own / "photos" / split).mkdir(exist_ok=True)
        photo = own / "photos" / f"photo_{i}.JPG"
        photo.rename(own / "photos" / split / photo.name)
    stems = [(1, "train/photo_1"), (2, "train/photo_2"), (3, "val/photo_3")]
    file = annotations(own, "instances.json", stems)
    given = {"label_dir": None, "class_names": (), "coco_annotations": (file,)}
    with pytest.raises(FlagError, match=r"has folders train and val; give --split_by"):
        build(builder, own, **given)
    records = build(builder, own, split_by_folder=True, **given)
    assert names(records, "train") == ["train_photo_1", "train_photo_2"]
    assert names(records, "val") == ["val_photo_3"]
    annotations(own, "instances.json", [*stems, (4, "photo_4")])
    with pytest.raises(InputError, match=r"names photo_4\.JPG, without a folder; give"):
        build(builder, own, split_by_folder=True, **given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ()}, "--class_names is missing"),
        ({"image_dir": None}, "--image_dir is missing"),
        ({"num_classes": 3}, "--num_classes=3, but --class_names has 2 names"),
        ({"val_fraction": 1.0}, "--val_fraction=1.0: a share"),
        ({"val_fraction": -0.1}, "--val_fraction=-0.1: a share"),
        ({"label_map": ("1:0", "1:2")}, "--label_map=1:0,1:2: old id 1 twice; give"),
        (
            {"split_by_folder": True, "val_fraction": 0.3},
            "--val_fraction=0.3 has no effect: --split_by_folder says what to test on",
        ),
        (
            {"train_list": "a", "val_list": "b", "val_fraction": 0.0},
            "--val_fraction=0.0 has no effect: --train_list says what to test on; lea",
        ),
        (
            {"train_list": "a", "val_list": "b", "seed": 3},
            "--seed=3 has no effect: --train_list says what to test on; leave one",
        ),
        (
            {"coco_annotations": ("a", "b"), "label_dir": None, "seed": 3},
            "--seed=3 has no effect: --coco_annotations says what to test on",
        ),
        ({"train_list": "a.txt"}, "--train_list and --val_list go together"),
        ({"image_glob": "*.png"}, "--image_glob and --label_glob go together"),
        ({"coco_annotations": ("a",)}, "--coco_annotations and --label_dir: one of"),
        (
            {"coco_annotations": ("a", "b", "c"), "label_dir": None},
            "--coco_annotations: one file, or two, to train and to test on",
        ),
        (
            {"train_list": "a", "val_list": "b", "split_by_folder": True},
            "--train_list and --split_by_folder: one of them",
        ),
    ],
)
def test_settings_that_cannot_be_meant_say_why(builder, own, changes, message):
    with pytest.raises(FlagError, match=message):
        folder_config(builder, own, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shards": -1}, "--shards=-1: more than 0 is needed"),
        ({"label_map": ("70000:1",)}, "--label_map=70000:1: ids are 0 to 255"),
        ({"label_map": ("5:256",)}, "--label_map=5:256: ids are 0 to 255"),
        ({"label_map": ("-1:0",)}, "--label_map=-1:0: ids are 0 to 255"),
    ],
)
def test_numbers_that_cannot_be_are_refused(builder, own, changes, message):
    with pytest.raises(FlagError, match=message):
        build(builder, own, **changes)
    assert not (own / "records").exists()


# What can be wrong with files: exact lines


def blob(size=60, class_=15):
    """A mask of a disc on background, with nothing but its two ids."""
    rows, columns = np.mgrid[:size, :size] - size // 2
    return np.where(rows**2 + columns**2 < (size // 3) ** 2, class_, 0)


def smoothed(ids):
    image = Image.fromarray(ids.astype(np.uint8))
    return np.asarray(image.resize((48, 48), Image.Resampling.BILINEAR))


def compressed(ids):
    stream = io.BytesIO()
    Image.fromarray(ids.astype(np.uint8)).save(stream, "JPEG", quality=90)
    return np.asarray(Image.open(stream)).clip(0, 20)


@pytest.fixture
def blobs(tmp_path, rng):
    """Writes photographs of 48 x 48 and masks made of a disc of class 15."""

    def write(change):
        for i in range(4):
            ids = change(blob(60 if change is smoothed else 48))
            write_photo(tmp_path / "photos" / f"{i}.jpg", photo(rng, 48, 48))
            write_mask(tmp_path / "masks" / f"{i}.png", ids)
        return tmp_path

    return write


@pytest.mark.parametrize("change", [smoothed, compressed])
def test_ids_that_lie_along_borders_alone_are_no_classes(builder, blobs, change):
    own = blobs(change)
    many = {"class_names": (), "num_classes": 21}
    said = (
        r"[0-3]\.png: ids 1, 2, .* lie along borders between other ids, as smoothing, "
        "resizing or JPEG compression put them there; so in 4 of 4 masks. Save masks as"
    )
    with pytest.raises(InputError, match=said):
        build(builder, own, **many)
    assert not (own / "records").exists()


def test_a_single_smoothed_mask_of_many_is_warned_of(builder, own, rng, caplog):
    for i in range(12):
        ids = blob(48) if i else smoothed(blob(60))
        write_photo(own / "discs" / f"{i:02d}.jpg", photo(rng, 48, 48))
        write_mask(own / "ids" / f"{i:02d}.png", ids)
    places = {"image_dir": str(own / "discs"), "label_dir": str(own / "ids")}
    build(builder, own, class_names=(), num_classes=16, **places)
    assert "1 of 12 masks look interpolated, first " in caplog.text
    assert "00.png" in caplog.text


def test_what_is_only_suspicious_is_warned_of(builder, own, caplog):
    write_mask(own / "masks" / "photo_3.png", np.full((8, 9), 255))
    write_mask(own / "masks" / "photo_4.png", np.full((8, 10), 1))
    build(builder, own, class_names=("background", "cat", "dog"))
    for said in (
        "1 of 10 masks hold only the ignore label 255, first ",
        "1 of 10 masks hold only one class, first ",
        'classes in no mask: 2 "dog"',
    ):
        assert said in caplog.text


STILL = np.zeros((8, 10, 4), np.uint8)


def turned(path, how):
    exif = Image.Exif()
    exif[0x0112] = how
    Image.open(path).save(path, exif=exif)


def replaced(path, suffix, pixels):
    path.unlink()
    Image.fromarray(pixels).save(path.with_suffix(suffix))


# What happens to a photograph of 10 x 8 pixels and its mask.
DAMAGES = {
    "missing mask": lambda image, mask: mask.unlink(),
    "colors": lambda image, mask: Image.fromarray(STILL[..., :3]).save(mask),
    "alpha": lambda image, mask: Image.fromarray(STILL).save(mask),
    "photograph": lambda image, mask: mask.write_bytes(image.read_bytes()),
    "JPEG": lambda image, mask: replaced(mask, ".jpg", STILL[..., 0]),
    "other size": lambda image, mask: write_mask(mask, [[0, 1]]),
    "EXIF": lambda image, mask: turned(image, 6),
    "EXIF of a mask": lambda image, mask: turned(mask, 3),
    "truncated image": lambda image, mask: image.write_bytes(image.read_bytes()[:400]),
    "truncated mask": lambda image, mask: mask.write_bytes(mask.read_bytes()[:45]),
    "no image": lambda image, mask: image.write_text("text"),
    "nothing": lambda image, mask: image.write_bytes(b""),
    "fractions": lambda image, mask: replaced(
        image, ".tiff", np.full((8, 10), 0.5, np.float32)
    ),
    "wide ids": lambda image, mask: replaced(
        mask, ".tiff", np.full((8, 10), 70_000, np.int32)
    ),
}


def damage(own, what):
    DAMAGES[what](own / "photos" / "photo_4.JPG", own / "masks" / "photo_4.png")


ONE_ID = "one class id a pixel is needed: save it as a gray or palette PNG whose "
ONE_ID += "values are 0, 1, 2, ..., or tell what the colors mean by --color_table "
ONE_ID += "(build_folder_data.py)"
AGAIN = "; copy or save it again, or leave it out by --skip_damaged"
SIZES = "save the mask at the image's size, resized without interpolation"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "missing mask",
            "photos/photo_4.JPG: no mask {}/masks/photo_4.png; so of 1 of 10 images",
        ),
        ("colors", "masks/photo_4.png: a mask of colors (RGB); " + ONE_ID),
        ("alpha", "masks/photo_4.png: a mask of colors (RGBA); " + ONE_ID),
        (
            "photograph",
            "masks/photo_4.png: a photograph, where a mask should be; are images and "
            "masks swapped?",
        ),
        (
            "JPEG",
            "masks/photo_4.jpg: a JPEG mask; compression changes class ids: save masks "
            "as PNG",
        ),
        (
            "other size",
            "masks/photo_4.png: the mask is 2x1, its image 10x8 (width x height); "
            + SIZES,
        ),
        (
            "EXIF",
            "masks/photo_4.png: the mask is 10x8, its image 8x10 (width x height); one "
            "of them is turned by 90 degrees, as the EXIF data of a photograph may do: "
            "draw the mask on the image as it is shown",
        ),
        (
            "EXIF of a mask",
            "masks/photo_4.png: a mask that its EXIF data turn; save it upright, "
            "without them",
        ),
        (
            "truncated image",
            "photos/photo_4.JPG: a damaged image (Truncated File Read)" + AGAIN,
        ),
        (
            "truncated mask",
            "masks/photo_4.png: a damaged image (it ends within the chunk IDAT)"
            + AGAIN,
        ),
        ("no image", "photos/photo_4.JPG: not an image" + AGAIN),
        ("nothing", "photos/photo_4.JPG: an empty file" + AGAIN),
        (
            "fractions",
            "photos/photo_4.tiff: an image of fractions; save it with 8 or 16 bits a "
            "channel",
        ),
        (
            "wide ids",
            "masks/photo_4.tiff: a mask of ids from 70000 to 70000; 0 to 65535 are "
            "possible, and --label_map brings them below 256 (build_folder_data.py)",
        ),
    ],
)
def test_one_bad_file_is_named_and_nothing_is_left_behind(
    builder, own, monkeypatch, capsys, what, message
):
    damage(own, what)
    module = builder("folder")
    flags = settings(own, class_names="background,cat")
    args = [f"--{name}={value}" for name, value in flags.items()]
    monkeypatch.setattr(sys, "argv", ["build_folder_data.py", *args])
    with pytest.raises(SystemExit) as exit_:
        cli.run(module.FolderConfig, module.build)
    assert exit_.value.code == 1
    (said,) = [x for x in capsys.readouterr().err.splitlines() if "ERROR" in x]
    assert said == f"ERROR: {own}/{message.format(own)}"
    assert not (own / "records").exists()


def test_swapped_folders_are_told(builder, rng, tmp_path):
    for i in range(4):
        write_photo(tmp_path / "photos" / f"{i}.jpg", photo(rng, 48, 48))
        write_mask(tmp_path / "masks" / f"{i}.png", blob(48, 1))
    swapped = {
        "image_dir": str(tmp_path / "masks"),
        "label_dir": str(tmp_path / "photos"),
    }
    with pytest.raises(InputError, match="are images and masks swapped"):
        build(builder, tmp_path, **swapped)


def test_every_damage_has_its_line():
    marks = test_one_bad_file_is_named_and_nothing_is_left_behind.pytestmark
    assert {what for what, _ in marks[0].args[1]} == DAMAGES.keys()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_records_of_an_earlier_build_stay_where_a_new_one_fails(builder, own):
    before = contents(build(builder, own))
    damage(own, "colors")
    with pytest.raises(InputError):
        build(builder, own)
    assert contents(own / "records") == before


def test_a_new_build_replaces_the_shards_of_an_old_one(builder, own):
    build(builder, own, shards=4)
    records = build(builder, own, shards=2)
    assert len(tfrecord.find_shards(str(records), "train")) == 2
    assert len(names(records, "train")) == 8


def test_records_of_another_data_set_are_not_mixed_with(builder, own):
    build(builder, own)
    with pytest.raises(InputError, match=r"it holds records of \w+, by its dataset"):
        build(builder, own, name="other")


def test_names_that_are_not_utf8_are_built_byte_by_byte(builder, own):
    for folder, suffix in (("photos", b".JPG"), ("masks", b".png")):
        place = os.fsencode(own / folder)
        os.rename(place + b"/photo_1" + suffix, place + b"/caf\xe9" + suffix)
    records = build(builder, own)
    built = [
        features["image/filename"]
        for split in ("train", "val")
        for features in examples(records, split)
    ]
    assert sorted(built)[0] == b"caf\xe9"
    assert len(built) == 10
    assert not (records / ".building").exists()


@pytest.mark.parametrize(
    "content",
    ["\ufeffbackground\ncat\n".encode(), b"background\r\ncat\r\n"],
)
def test_a_file_of_names_may_come_from_any_editor(builder, own, content):
    (own / "names.txt").write_bytes(content)
    records = build(builder, own, class_names=(str(own / "names.txt"),))
    assert tuple(described(records)["classes"]) == ("background", "cat")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("cat",), "--class_names=cat: one class, and no file of that name"),
        (("gro\nund", "ball"), r'class 0, "gro\\nund", has a control character'),
        (("ground", ""), "class 1 has no name"),
        (("ground", "ground "), "class ground is named twice"),
    ],
)
def test_class_names_that_cannot_be_meant_build_nothing(builder, own, names, said):
    with pytest.raises(InputError, match=said):
        build(builder, own, class_names=names)
    assert not (own / "records").exists()
