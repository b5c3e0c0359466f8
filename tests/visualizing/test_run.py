"""Pictures of predictions, on records and on files."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.config import (
    CompatibilityConfig,
    DataConfig,
    ResizeConfig,
    TileConfig,
    VisConfig,
)
from deeplab_tf.config.fields import Overrides
from deeplab_tf.data import image_files
from deeplab_tf.data.specs import cityscapes
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.prediction import load
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.visualizing.file_names import FileNames
from deeplab_tf.visualizing.run import _write_raw, visualize
from tests.data.test_tfrecord import make_record


def config(run, folder, **changes):
    settings = {
        "checkpoint_dir": str(run),
        "vis_logdir": str(folder),
        "also_save_raw_predictions": True,
    }
    return VisConfig(**(settings | changes))


GRAY, PALETTE = 0, 3  # Color types of PNG.


def color_type(path):
    return path.read_bytes()[25]


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))


def test_records_are_drawn_under_the_names_of_their_images(
    run, shapes, tmp_path, caplog
):
    visualize(config(run, tmp_path, data=DataConfig(dataset_dir=str(shapes))))
    line = f"Next: deeplab-export --checkpoint_path={run} --export_path=exported"
    assert line in caplog.messages
    kinds = ("image", "overlay", "prediction")
    assert files(tmp_path / "segmentation_results") == sorted(
        f"val_{i:04d}_{kind}.png" for i in range(7) for kind in kinds
    )
    assert len(files(tmp_path / "raw_segmentation_results")) == 7
    for i in range(7):
        stem = tmp_path / "segmentation_results" / f"val_{i:04d}"
        original = image_files.read_image(
            shapes / "images" / "val" / f"val_{i:04d}.png"
        )
        drawn = image_files.read_image(Path(f"{stem}_image.png"))
        np.testing.assert_array_equal(drawn, original)
        raw = tmp_path / "raw_segmentation_results" / f"val_{i:04d}.png"
        colored = Path(f"{stem}_prediction.png")
        assert (color_type(raw), color_type(colored)) == (GRAY, PALETTE)
        ids = image_files.read_mask(raw)
        np.testing.assert_array_equal(ids, image_files.read_mask(colored))
        assert ids.shape == original.shape[:2]


def test_records_beside_photographs_are_told_to_be_left(run, shapes, tmp_path, caplog):
    Image.new("RGB", (9, 9)).save(tmp_path / "photo.png")
    data, image = DataConfig(dataset_dir=str(shapes)), str(tmp_path / "photo.png")
    visualize(config(run, tmp_path / "vis", image=image, data=data))
    assert f"--dataset_dir={shapes}: with --image, its classes alone" in caplog.text


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (65, 65), (130, 70)])
def test_an_image_of_any_size_is_drawn_at_that_size(run, tmp_path, rng, size):
    path = tmp_path / "photo.jpg"
    array = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(array).save(path)
    visualize(config(run, tmp_path / "vis", image=str(path)))
    raw = image_files.read_mask(
        tmp_path / "vis" / "raw_segmentation_results" / "photo.png"
    )
    assert raw.shape == size


def test_files_and_records_give_the_same_classes(run, shapes, tmp_path):
    """`image` needs no data set: classes and colors come from the run."""
    visualize(config(run, tmp_path / "a", data=DataConfig(dataset_dir=str(shapes))))
    folder = shapes / "images" / "val"
    visualize(config(run, tmp_path / "b", image=str(folder)))
    names = files(tmp_path / "a" / "raw_segmentation_results")
    assert names == files(tmp_path / "b" / "raw_segmentation_results")
    for name in names:
        first, second = (
            image_files.read_mask(tmp_path / x / "raw_segmentation_results" / name)
            for x in "ab"
        )
        np.testing.assert_array_equal(first, second)


def test_the_former_flag_of_tiles_works_with_a_warning(run, shapes, tmp_path, caplog):
    image = str(shapes / "images" / "val" / "val_0000.png")
    former = config(run, tmp_path, image=image, tile_size=(33, 33))
    assert "--tile_size=33,33 is deprecated: it is called --tile=33,33" in caplog.text
    tiles = TileConfig(tile=(33, 33))
    assert former == config(run, tmp_path, image=image, tiles=tiles)
    with pytest.raises(FlagError, match="--tile is given, too; leave one out"):
        config(run, tmp_path, image=image, tile_size=(33, 33), tiles=tiles)


def test_folders_below_are_kept(run, tmp_path, rng):
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    array = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / "photos" / "deep" / "a.png")
    visualize(config(run, tmp_path / "vis", image=str(tmp_path / "photos")))
    assert files(tmp_path / "vis" / "raw_segmentation_results") == ["deep/a.png"]


def test_a_range_of_sizes_changes_what_the_network_sees_not_the_picture(run, shapes):
    image = image_files.read_image(shapes / "images" / "val" / "val_0000.png")
    plain, resized = (
        load.load(str(run), resize=resize).predict(image).probabilities
        for resize in (
            Overrides(ResizeConfig()),
            Overrides(ResizeConfig(), {"min_resize_value": 33}),
        )
    )
    assert plain.shape == resized.shape == (*image.shape[:2], 6)
    assert np.abs(plain - resized).max() > 0.01


def test_cityscapes_is_written_with_the_ids_of_its_server(tmp_path):
    image, classes = np.zeros((1, 2, 3), np.uint8), np.array([[0, 18]])
    prediction = Prediction(name="aachen", image=image, classes=classes)
    _write_raw(tmp_path, prediction, cityscapes.SPEC)
    written = image_files.read_mask(tmp_path / "aachen.png")
    assert written.tolist() == [[7, 33]]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"image": "none.jpg"}, InputError, "--image=none.jpg: no such file or folder"),
        ({"image": "tests/chaos"}, InputError, r"tests/chaos: no images \("),
    ],
)
def test_a_mistake_leaves_nothing_behind(run, tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        visualize(config(run, tmp_path / "vis", **changes))
    assert not (tmp_path / "vis").exists()


def test_a_colormap_with_too_few_colors_is_an_error(run, shapes):
    from deeplab_tf.visualizing.run import _palette

    spec = dataclasses.replace(
        cityscapes.SPEC,
        classes=tuple(map(str, range(25))),
        palette=((0, 0, 0),) * 25,
    )
    with pytest.raises(FlagError, match="--colormap_type=cityscapes has 19 colors"):
        _palette("cityscapes", spec)
    assert _palette("pascal", spec)[15] == (192, 128, 128)
    assert _palette(None, spec) == spec.palette


def test_a_damaged_image_is_found_before_the_first_picture(run, tmp_path, rng):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        array = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(array).save(folder / name)
    (folder / "b.jpg").write_bytes((folder / "b.jpg").read_bytes()[:300])
    with pytest.raises(InputError, match=r"b\.jpg: a damaged image"):
        visualize(config(run, tmp_path / "vis", image=str(folder)))
    assert not (tmp_path / "vis").exists()


def test_two_images_of_one_name_are_an_error(run, tmp_path, rng):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "a.png"):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / name)
    with pytest.raises(InputError, match=r"a\.png and .*a\.jpg: two images of one"):
        visualize(config(run, tmp_path / "vis", image=str(folder)))


def test_the_official_bugs_come_back_when_asked(run, shapes, tmp_path):
    compatibility = CompatibilityConfig(official_bugs=True)
    settings = config(
        run,
        tmp_path,
        data=DataConfig(dataset_dir=str(shapes)),
        compatibility=compatibility,
    )
    visualize(settings)
    raw = files(tmp_path / "raw_segmentation_results")
    assert raw[0] == "b'val_0000'.png"
    wide = ResizeConfig(min_resize_value=65, keep_aspect_ratio=False)
    assert compatibility.resize(wide).keep_aspect_ratio
    assert not CompatibilityConfig().resize(wide).keep_aspect_ratio


def test_all_damaged_images_of_a_folder_are_named(run, tmp_path):
    """Before the first picture is drawn, and not one at a time."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (8, 6)).save(photos / name)
    (photos / "a.png").write_bytes(b"")
    (photos / "c.png").write_bytes((photos / "c.png").read_bytes()[:-4])
    said = r"2 files cannot be read: .*a\.png: an empty file; .*c\.png: a damaged image"
    with pytest.raises(InputError, match=said):
        visualize(config(run, tmp_path / "pictures", image=str(photos)))
    assert not (tmp_path / "pictures").exists()


def test_folders_that_are_links_are_drawn_and_hidden_files_are_not(
    run, tmp_path, caplog
):
    for path in ("photos/a.png", "photos/._a.png", "store/b.png", "photos/.x/c.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / path)
    (tmp_path / "photos/more").symlink_to("../store")
    given = {"image": str(tmp_path / "photos"), "also_save_raw_predictions": False}
    for _ in range(2):  # What the first one draws is nothing for the second.
        visualize(config(run, tmp_path / "photos/out", **given))
    drawn = tmp_path / "photos/out/segmentation_results"
    assert [name for name in files(drawn) if name.endswith("_overlay.png")] == [
        "a_overlay.png",
        "more/b_overlay.png",
    ]
    assert "passed over 2 images that are hidden or of the system" in caplog.text


STRANGE = [
    b"ok",
    b"n\n/../../../ESCAPED/evil",
    b"..",
    b"\\..\\..\\evil",
    b"a:b\0\x1b[31m",
    b"caf\xe9",
    b"foo",
    b"foo.png",
    b"folder/foo.jpg",
    b"foo_2",
]


def test_records_are_drawn_once_each_within_their_folder_whatever_their_names(
    run, rng, tmp_path, caplog
):
    records = tmp_path / "records"
    records.mkdir()
    shapes_spec.SPEC.save(records)
    with tf.io.TFRecordWriter(str(records / "val-00000-of-00001.tfrecord")) as writer:
        for name in STRANGE:
            example = tf.train.Example.FromString(make_record(rng, "x").serialize())
            feature = example.features.feature["image/filename"]
            feature.bytes_list.value[0] = name
            writer.write(example.SerializeToString())
    folder = tmp_path / "a" / "b" / "pictures"
    data = DataConfig(dataset_dir=str(records))
    visualize(config(run, folder, data=data, vis_batch_size=len(STRANGE)))
    stems = [
        *("ok", "evil", "_.", "_.._.._evil"),
        *("a_b_x00_x1b[31m", "caf_xe9", "foo", "foo_2", "foo_3", "foo_2_2"),
    ]
    raw = folder / "raw_segmentation_results"
    assert files(raw) == sorted(f"{stem}.png" for stem in stems)
    assert len(files(folder / "segmentation_results")) == 3 * len(STRANGE)
    assert len(list(tmp_path.rglob("*.png"))) == len(files(folder))
    assert (
        "Pictures of 7 records have another name, as theirs is unsafe for a file, or "
        'that of an earlier record: ".." as _., '
    ) in caplog.text
    assert "\x1b" not in caplog.text


def test_a_name_that_is_safe_is_kept():
    names = FileNames()
    for name in ("2007_000032", "a b.c", "Grün", "日本", "x" * 200):
        assert names.choose(name) == name
    assert names.choose("x" * 300) == f"{'x' * 200}_2"
    assert [names.choose(name) for name in ("", "con", "LPT1.a", ".hidden")] == [
        *("_", "_con", "_LPT1.a", "_hidden"),
    ]
