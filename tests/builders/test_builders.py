"""The scripts under datasets/, on small trees in the published layouts."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.data import images, tfrecord
from deeplab_tf.errors import FlagError, InputError
from tests.recorded import ROOT


def photo(rng, height, width):
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def write_photo(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_mask(path, ids, palette=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.png(np.array(ids, np.uint8), palette))


def read_split(folder, split):
    """(name, image bytes, mask) of each record, in order."""
    found = []
    for shard in tfrecord.find_shards(str(folder), split):
        for serialized in tfrecord.read(shard):
            sample = tfrecord.parse(serialized)
            label = np.asarray(Image.open(io.BytesIO(sample["label"].numpy())))
            found.append(
                (sample["name"].numpy().decode(), sample["image"].numpy(), label)
            )
    return found


def described(folder):
    return json.loads((folder / "dataset.json").read_text())


@pytest.fixture
def own(tmp_path, rng):
    """Ten photographs, one in a folder below, and their masks."""
    for i in range(10):
        name = f"deep/photo_{i}" if i == 0 else f"photo_{i}"
        write_photo(tmp_path / "photos" / f"{name}.JPG", photo(rng, 8, 6 + i))
        write_mask(tmp_path / "masks" / f"{name}.png", [[0, 1] * 8] * 8)
        mask = tmp_path / "masks" / f"{name}.png"
        write_mask(mask, np.resize([0, 1], (8, 6 + i)))
    return tmp_path


def folder_config(builder, own, **settings):
    return builder("folder").FolderConfig(
        **{
            "image_dir": str(own / "photos"),
            "label_dir": str(own / "masks"),
            "output_dir": str(own / "records"),
            "class_names": ("background", "cat"),
        }
        | settings
    )


def test_own_photographs_are_built_and_described(builder, own):
    builder("folder").build(folder_config(builder, own, name="cats"))
    train, val = (read_split(own / "records", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (8, 2)
    names = {name for name, _, _ in train + val}
    # The one in a folder below keeps that in its name.
    assert names == {"deep_photo_0", *(f"photo_{i}" for i in range(1, 10))}
    facts = described(own / "records")
    assert facts["name"] == "cats"
    assert facts["classes"] == ["background", "cat"]
    assert facts["palette"] == [[0, 0, 0], [128, 0, 0]]
    assert facts["ignore_label"] == 255
    assert facts["split_sizes"] == {"train": 8, "val": 2}


def test_the_split_follows_from_the_seed(builder, own):
    held = []
    for seed in (0, 0, 1):
        builder("folder").build(folder_config(builder, own, seed=seed))
        held.append({name for name, _, _ in read_split(own / "records", "val")})
    assert held[0] == held[1] != held[2]


def test_lists_choose_the_splits(builder, own):
    (own / "train.txt").write_text("photo_3\nphoto_1\n")
    (own / "val.txt").write_text("deep/photo_0\n")
    lists = {"train_list": str(own / "train.txt"), "val_list": str(own / "val.txt")}
    builder("folder").build(folder_config(builder, own, **lists))
    names = [name for name, _, _ in read_split(own / "records", "train")]
    assert names == ["photo_3", "photo_1"]
    assert read_split(own / "records", "val")[0][0] == "deep_photo_0"


def test_ids_can_be_mapped(builder, own):
    for mask in (own / "masks").rglob("*.png"):
        ids = np.asarray(Image.open(mask))
        write_mask(mask, np.where(ids == 1, 255, 0))
    with pytest.raises(InputError, match="--label_map=255:1"):
        builder("folder").build(folder_config(builder, own))
    assert not (own / "records").exists()
    builder("folder").build(folder_config(builder, own, label_map=("255:1",)))
    label = read_split(own / "records", "train")[0][2]
    assert set(np.unique(label).tolist()) == {0, 1}


def test_ids_from_1_can_be_moved_down(builder, own):
    for mask in (own / "masks").rglob("*.png"):
        write_mask(mask, np.asarray(Image.open(mask)) + 1)
    with pytest.raises(InputError, match="--reduce_zero_label"):
        builder("folder").build(folder_config(builder, own))
    builder("folder").build(folder_config(builder, own, reduce_zero_label=True))
    label = read_split(own / "records", "train")[0][2]
    assert set(np.unique(label).tolist()) == {0, 1}


def test_classes_may_be_counted_instead_of_named(builder, own):
    config = folder_config(builder, own, class_names=(), num_classes=2)
    builder("folder").build(config)
    assert described(own / "records")["classes"] == ["class_0", "class_1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_names": ()}, "--class_names is missing"),
        ({"image_dir": None}, "--image_dir is missing"),
        ({"num_classes": 3}, "--num_classes=3, but --class_names has 2 names"),
        ({"val_fraction": 1.0}, "--val_fraction=1.0: a share"),
        ({"train_list": "a.txt"}, "--train_list and --val_list go together"),
    ],
)
def test_settings_that_cannot_be_meant_say_why(builder, own, settings, message):
    with pytest.raises(FlagError, match=message):
        folder_config(builder, own, **settings)


def damage(own, what, rng):
    mask, image = own / "masks" / "photo_4.png", own / "photos" / "photo_4.JPG"
    if what == "missing mask":
        mask.unlink()
    elif what == "colours":
        write_photo(mask, photo(rng, 8, 10))
    elif what == "other size":
        write_mask(mask, [[0, 1]])
    elif what == "truncated image":
        image.write_bytes(image.read_bytes()[:400])
    elif what == "truncated mask":
        write_mask(mask, rng.integers(0, 2, (8, 10)))
        mask.write_bytes(mask.read_bytes()[:45])
    elif what == "no image":
        image.write_text("text")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing mask", r"photo_4\.JPG: no mask .*photo_4\.png; so of 1 of 10"),
        ("colours", r"photo_4\.png: a mask of colours \(RGB\)"),
        ("other size", r"photo_4\.png: the mask is 2x1, its image 10x8"),
        ("truncated image", r"photo_4\.JPG: a damaged image"),
        ("truncated mask", r"photo_4\.png: a damaged image"),
        ("no image", r"photo_4\.JPG: not an image"),
    ],
)
def test_one_bad_file_is_named_and_nothing_is_left_behind(
    builder, own, rng, what, message
):
    damage(own, what, rng)
    with pytest.raises(InputError, match=message):
        builder("folder").build(folder_config(builder, own))
    assert not (own / "records").exists()


def test_records_of_an_earlier_build_stay_where_a_new_one_fails(builder, own, rng):
    builder("folder").build(folder_config(builder, own))
    before = {path.name: path.read_bytes() for path in (own / "records").iterdir()}
    damage(own, "colours", rng)
    with pytest.raises(InputError):
        builder("folder").build(folder_config(builder, own))
    after = {path.name: path.read_bytes() for path in (own / "records").iterdir()}
    assert after == before


def test_a_new_build_replaces_the_shards_of_an_old_one(builder, own):
    builder("folder").build(folder_config(builder, own, shards=4))
    builder("folder").build(folder_config(builder, own, shards=2))
    assert len(tfrecord.find_shards(str(own / "records"), "train")) == 2
    assert len(read_split(own / "records", "train")) == 8


def test_the_embedded_set_is_the_same_every_time(builder):
    draw = builder("shapes").draw_scene
    first, again = (draw(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_the_embedded_set_is_hard_enough(builder):
    """All classes and borders occur, sizes vary, and no class is most of it."""
    draw = builder("shapes").draw_scene
    scenes = [draw(np.random.default_rng([0, i])) for i in range(30)]
    assert len({image.shape for image, _ in scenes}) > 20
    pixels = np.bincount(np.concatenate([mask.ravel() for _, mask in scenes]))
    assert (pixels[:6] > 0).all()
    assert pixels[255] > 0
    # Whoever guesses the largest class alone has its share as IoU, a sixth of it as
    # mean; at 0.9 the others would be crumbs.
    assert pixels[:6].max() / pixels[:6].sum() < 0.85
    assert all(image.std() > 8 for image, _ in scenes)


def test_datasets_is_no_package():
    """With an __init__.py it would shadow Hugging Face's, also within TFDS."""
    assert not list((ROOT / "datasets").rglob("__init__.py"))
    assert "datasets" not in sys.modules or not hasattr(
        sys.modules["datasets"], "build_voc2012_data"
    )


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
        builder("folder").build(folder_config(builder, own, **changes))
    assert not (own / "records").exists()


def test_photographs_of_one_name_in_two_folders_stay_two(builder, rng, tmp_path):
    for folder in "ab":
        write_photo(tmp_path / "photos" / folder / "001.jpg", photo(rng, 8, 10))
        write_mask(tmp_path / "masks" / folder / "001.png", [[0, 1] * 5] * 8)
    builder("folder").build(folder_config(builder, tmp_path))
    names = [
        name
        for split in ("train", "val")
        for name, _, _ in read_split(tmp_path / "records", split)
    ]
    assert sorted(names) == ["a_001", "b_001"]
    write_photo(tmp_path / "photos" / "a_001.png", photo(rng, 8, 10))
    write_mask(tmp_path / "masks" / "a_001.png", [[0, 1] * 5] * 8)
    (tmp_path / "train.txt").write_text("a/001\na_001\n")
    (tmp_path / "val.txt").write_text("b/001\n")
    lists = {name: str(tmp_path / f"{name[:-5]}.txt") for name in LISTS}
    config = folder_config(builder, tmp_path, **lists)
    with pytest.raises(InputError, match="two images of one name"):
        builder("folder").build(config)


def test_a_list_has_one_stem_a_line_blanks_and_all(builder, rng, tmp_path):
    for name in ("IMG 001", "IMG 002"):
        write_photo(tmp_path / "photos" / f"{name}.jpg", photo(rng, 8, 10))
        write_mask(tmp_path / "masks" / f"{name}.png", [[0, 1] * 5] * 8)
    (tmp_path / "train.txt").write_text("IMG 001\n\n")
    (tmp_path / "val.txt").write_text("IMG 002 \n")
    lists = {name: str(tmp_path / f"{name[:-5]}.txt") for name in LISTS}
    builder("folder").build(folder_config(builder, tmp_path, **lists))
    assert read_split(tmp_path / "records", "val")[0][0] == "IMG 002"
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"val\.txt: not a text file"):
        builder("folder").build(folder_config(builder, tmp_path, **lists))


LISTS = ("train_list", "val_list")


def test_records_of_another_data_set_are_not_mixed_with(builder, own):
    builder("folder").build(folder_config(builder, own))
    with pytest.raises(InputError, match=r"it holds records of \w+, by its dataset"):
        builder("folder").build(folder_config(builder, own, name="other"))


def test_masks_that_count_from_1_need_not_show_all_classes(builder, own):
    for path in (own / "masks").rglob("*.png"):
        write_mask(path, np.where(images.read_mask(path) > 0, 4, 2))
    four = folder_config(builder, own, class_names=("a", "b", "c", "d"))
    with pytest.raises(InputError, match="They seem to count from 1"):
        builder("folder").build(four)


def test_an_image_too_large_for_memory_is_named(builder, own, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match=r"a damaged image .*exceeds limit"):
        builder("folder").build(folder_config(builder, own))
