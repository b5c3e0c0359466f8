"""datasets/build_folder_data.py: files that are damaged, large, hidden or namesakes."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.dataset_builders import ImagesConfig
from deeplab_tf.errors import InputError
from tests.data.test_open_image import as_png
from tests.datasets.test_folder import annotations, build, own
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

__all__ = ["own"]  # A fixture.


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def lists(own, **stems):
    flags = {}
    for split, some in stems.items():
        write_list(own / f"{split}.txt", some)
        flags[f"{split}_list"] = str(own / f"{split}.txt")
    return flags


# Damage


def test_all_damaged_files_are_named_at_once(builder, own):
    for i in range(1, 4):
        cut(own / "photos" / f"photo_{i}.JPG")
    cut(own / "masks/photo_7.png")
    (own / "photos/photo_9.JPG").write_bytes(b"")
    with pytest.raises(InputError) as error:
        build(builder, own)
    said = str(error.value)
    assert said.startswith("5 files cannot be read: ")
    for name in ("photos/photo_1.JPG", "photos/photo_3.JPG", "masks/photo_7.png"):
        assert f"{own}/{name}: a damaged image (" in said
    assert f"{own}/photos/photo_9.JPG: an empty file" in said
    assert said.endswith(
        "; copy or save them again, or leave them out by --skip_damaged"
    )
    assert not (own / "records").exists()


def test_of_many_damaged_files_ten_are_named(builder, own, rng):
    for i in range(10, 13):
        write_photo(own / "photos" / f"photo_{i}.JPG", photo(rng, 8, 10))
        write_mask(own / "masks" / f"photo_{i}.png", [[0, 1] * 5] * 8)
    for path in (own / "photos").rglob("*.JPG"):
        cut(path)
    with pytest.raises(InputError) as error:
        build(builder, own)
    assert str(error.value).count(": a damaged image (") == 10
    assert "; and 3 more; copy or save them again" in str(error.value)


def test_damaged_files_are_left_out_and_listed_if_so_asked(builder, own, caplog):
    cut(own / "photos/photo_1.JPG")
    cut(own / "masks/photo_2.png")
    splits = lists(
        own, train=[f"photo_{i}" for i in range(1, 6)], val=["photo_8", "photo_9"]
    )
    skip = ImagesConfig(skip_damaged=True)
    records = build(builder, own, images=skip, shards=5, **splits)
    shards = tfrecord.find_shards(str(records), "train")
    assert len(shards) == 3  # No empty ones.
    assert [*described(records)["shards"]][:3] == [Path(x).name for x in shards]
    assert names(records, "train") == ["photo_3", "photo_4", "photo_5"]
    assert described(records)["split_sizes"] == {"train": 3, "val": 2}
    listed = (records / "damaged-train.txt").read_text().splitlines()
    assert [line.partition(": ")[0] for line in listed] == [
        f"{own}/photos/photo_1.JPG",
        f"{own}/masks/photo_2.png",
    ]
    assert not (records / "damaged-val.txt").exists()
    assert "left out of 7 images: 2 files cannot be read: " in caplog.text
    build(builder, own, images=skip, **lists(own, train=["photo_3"], val=["photo_9"]))
    assert not list(records.glob("*damaged*"))


def test_a_split_of_damaged_files_alone_is_no_split(builder, own):
    cut(own / "photos/photo_1.JPG")
    splits = lists(own, train=["photo_3"], val=["photo_1"])
    with pytest.raises(InputError, match="split val: no image of it can be read; "):
        build(builder, own, images=ImagesConfig(skip_damaged=True), **splits)
    assert not (own / "records").exists()


def test_objects_of_a_damaged_photograph_are_left_out(builder, own):
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    cut(own / "photos/photo_2.JPG")
    file = annotations(own, "a.json", [(i, f"photo_{i}") for i in range(1, 5)])
    given = {"label_dir": None, "class_names": (), "coco_annotations": (file,)}
    with pytest.raises(InputError, match=r"photo_2\.JPG: a damaged image .*--skip_dam"):
        build(builder, own, **given)
    given["images"] = ImagesConfig(skip_damaged=True)
    records = build(builder, own, val_fraction=0.0, **given)
    assert sorted(names(records, "train")) == ["photo_1", "photo_3", "photo_4"]


# Size


def test_large_photographs_are_shrunk_and_masks_by_their_pixels(builder, tmp_path, rng):
    """By 4: a pixel of the mask is the one in the middle, that of the image a mean."""
    pixels = rng.integers(0, 256, (16, 32, 3)).astype(np.uint8)
    pixels[:, 16:] = (250, 20, 90)
    ids = rng.integers(0, 2, (16, 32)).astype(np.uint8)
    for stem, format_ in (("a", "png"), ("b", "jpg")):
        path = tmp_path / "photos" / f"{stem}.{format_}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path, quality=95, subsampling=0)
        write_mask(tmp_path / "masks" / f"{stem}.png", ids)
    write_photo(tmp_path / "photos/small.png", pixels[:4, :7])
    write_mask(tmp_path / "masks/small.png", ids[:4, :7])
    small = ImagesConfig(max_side=8)
    records = build(builder, tmp_path, images=small, val_fraction=0.0)
    by_name = {
        one["image/filename"].decode(): one for one in examples(records, "train")
    }
    for stem, format_ in (("a", b"png"), ("b", b"jpeg")):
        one = by_name[stem]
        assert (one["image/height"], one["image/width"]) == (4, 8)
        assert one["image/format"] == format_
        np.testing.assert_array_equal(label(one), ids[2::4, 2::4])
        image = np.asarray(Image.open(io.BytesIO(one["image/encoded"]))).astype(int)
        assert image.shape == (4, 8, 3)
        assert np.abs(image[:, 5:] - (250, 20, 90)).max() <= 12
        assert image[:, :3].std() < pixels[:, :12].std() / 2  # Noise, averaged.
    assert (
        by_name["small"]["image/encoded"]
        == (tmp_path / "photos/small.png").read_bytes()
    )


def test_what_shrinking_does_is_told(builder, own, rng, caplog):
    ids = np.zeros((8, 40), np.uint8)
    ids[3, 7] = 1
    write_photo(own / "photos/photo_1.JPG", photo(rng, 8, 40))
    write_mask(own / "masks/photo_1.png", ids)
    build(builder, own, images=ImagesConfig(max_side=15))
    assert "1 of 10 images are shrunk" in caplog.text
    assert f"masks shrunk so that they lose ids: 1, {own}/masks/photo_1.png 1" in (
        caplog.text
    )


def test_a_mask_of_another_size_is_refused_before_it_is_shrunk(builder, own, rng):
    write_mask(own / "masks/photo_4.png", np.zeros((16, 20)))
    with pytest.raises(InputError, match="the mask is 20x16, its image 10x8"):
        build(builder, own, images=ImagesConfig(max_side=5))


def test_a_photograph_of_too_many_pixels_says_which_flag_allows_it(builder, own):
    said = r"photo_9\.JPG: 15x8 pixels: more than 119; cut .* by --max_pixels=120 "
    with pytest.raises(InputError, match=said):
        build(builder, own, images=ImagesConfig(max_pixels=119))


# What is left out


def test_transparency_is_counted_aloud(builder, own, caplog):
    for i in (3, 4):
        pixels = np.full((8, 6 + i, 4), 255, np.uint8)
        pixels[:2, :, 3] = 0
        (own / "photos" / f"photo_{i}.JPG").write_bytes(as_png(pixels))
    build(builder, own)
    said = "transparent pixels, taken as if they were opaque: 2, "
    (line,) = [x for x in caplog.messages if x.startswith(said)]
    assert {*line.removeprefix(said).split(", ")} == {
        f"{own}/photos/photo_{i}.JPG" for i in (3, 4)
    }


def test_hidden_files_are_no_photographs(builder, own, caplog):
    for folder, suffix in (("photos", ".JPG"), ("masks", ".png")):
        data = (own / folder / f"photo_1{suffix}").read_bytes()
        (own / folder / ".ipynb_checkpoints").mkdir()
        for name in ("._photo_1", ".ipynb_checkpoints/photo_1-checkpoint"):
            (own / folder / f"{name}{suffix}").write_bytes(data)
    records = build(builder, own)
    assert described(records)["split_sizes"] == {"train": 8, "val": 2}
    said = f"{own}/photos: passed over 2 images that are hidden or of the system, as "
    assert said in caplog.text


def test_folders_that_are_links_are_built_in(builder, own):
    for folder in ("photos", "masks"):
        (own / folder / "deep").rename(own / f"other_{folder}")
        (own / folder / "deep").symlink_to(own / f"other_{folder}")
    records = build(builder, own)
    assert "deep_photo_0" in names(records, "train") + names(records, "val")


def test_photographs_that_nothing_lists_are_told(builder, own, caplog):
    build(builder, own, **lists(own, train=["photo_1", "photo_2"], val=["photo_3"]))
    said = f"{own}/photos: 7 of 10 images are in none of the "
    assert f"{said}lists, first {own}/photos/deep/photo_0.JPG" in caplog.text
    file = annotations(own, "a.json", [(i, f"photo_{i}") for i in range(1, 4)])
    given = {"label_dir": None, "class_names": (), "coco_annotations": (file,)}
    build(builder, own, **given)
    assert f"{said}annotations, first {own}/photos/deep/photo_0.JPG" in caplog.text


# Names


def test_names_that_are_one_in_records_are_refused(builder, own, rng):
    """Who reads records leaves out a suffix, as the official builders have it."""
    write_photo(own / "photos/photo_1.jpg.png", photo(rng, 8, 7))
    write_mask(own / "masks/photo_1.jpg.png", np.zeros((8, 7)))
    said = r"photo_1\.\w+ and .*photo_1.*: two images of one name, photo_1 in records"
    with pytest.raises(InputError, match=said):
        build(builder, own, val_fraction=0.0)


@pytest.mark.parametrize("folder", ["photos", "masks"])
def test_a_listed_name_of_two_files_is_not_chosen_silently(builder, own, folder, rng):
    write_photo(own / folder / "photo_1.bmp", photo(rng, 8, 7))
    splits = lists(own, train=["photo_1"], val=["photo_2"])
    said = (
        rf"{folder}/photo_1\.\w+ and .*bmp: .*train\.txt lists photo_1, which is both"
    )
    with pytest.raises(InputError, match=said):
        build(builder, own, **splits)


def test_a_name_that_is_listed_twice_is_told_as_such(builder, own):
    splits = lists(own, train=["photo_1", "photo_3", "photo_1"], val=["photo_2"])
    said = r"train\.txt: photo_1 is listed twice"
    with pytest.raises(InputError, match=said):
        build(builder, own, **splits)
    globs = {"image_glob": "*.JPG", "label_glob": "*.png"}
    with pytest.raises(InputError, match=said):
        build(builder, own, **splits, **globs)


def test_a_list_of_names_with_suffixes_is_told_as_such(builder, own):
    splits = lists(own, train=["photo_1.JPG"], val=["photo_2"])
    said = r"train\.txt: photo_1\.JPG has a suffix; a name without is needed, photo_1"
    with pytest.raises(InputError, match=said):
        build(builder, own, **splits)


@pytest.mark.parametrize(
    ("mask", "globs"),
    [
        ("{}.png", ("**/*.JPG", "**/*.png")),
        ("{}_mask.png", ("**/*.JPG", "**/*_mask.png")),
        ("{}-labels.tif", ("**/*.JPG", "**/*-labels.tif")),
    ],
)
def test_photographs_and_masks_in_one_folder_can_be_told_apart(
    builder, own, mask, globs
):
    """As the line says that stops them: its patterns build what is there."""
    for path in (own / "masks").rglob("*.png"):
        ids = Image.fromarray(image_files.read_mask(path))
        ids.save(
            own
            / "photos"
            / path.parent.name.replace("masks", "")
            / mask.format(path.stem)
        )
    one = {"label_dir": str(own / "photos")}
    with pytest.raises(InputError) as error:
        build(builder, own, **one)
    assert str(error.value) == (
        f"{own}/photos: images and masks in one folder; tell them apart, as by "
        f"--image_glob='{globs[0]}' --label_glob='{globs[1]}' (build_folder_data.py)"
    )
    records = build(builder, own, image_glob=globs[0], label_glob=globs[1], **one)
    assert described(records)["split_sizes"] == {"train": 8, "val": 2}


def test_a_folder_of_masks_may_lie_in_that_of_photographs(builder, own):
    (own / "masks").rename(own / "photos/masks")
    records = build(builder, own, label_dir=str(own / "photos/masks"))
    assert described(records)["split_sizes"] == {"train": 8, "val": 2}


def test_a_mask_without_photograph_is_told_where_patterns_pair(builder, own, caplog):
    (own / "photos/photo_3.JPG").unlink()
    build(builder, own, image_glob="photo_*.JPG", label_glob="photo_*.png")
    said = f"1 of 9 masks have no photograph, first {own}/masks/photo_3.png"
    assert said in caplog.messages
