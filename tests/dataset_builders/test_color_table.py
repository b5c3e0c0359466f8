"""Masks in colors, and the tables that tell what the colors mean."""

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.dataset_builders.color_table import read_color_table
from deeplab_tf.errors import InputError

TABLE = "128 64 128 road\n0 0 142 car\n0 0 0 ignore\n"


@pytest.fixture
def table(tmp_path):
    def write(text=TABLE, **options):
        path = tmp_path / "colors.txt"
        path.write_text(text)
        return read_color_table(path, **options)

    return write


def save(path, pixels, mode="RGB"):
    image = Image.fromarray(np.array(pixels, np.uint8))
    (image.quantize() if mode == "P" else image.convert(mode)).save(path)
    return path


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        "road 128 64 128\ncar 0 0 142\nignore 0 0 0\n",
        "#804080 road\n#00008e car\n#000000 ignore\n",
        "name,r,g,b\nroad,128,64,128\ncar,0,0,142\nignore,0,0,0\n",
        "# label:color_rgb:parts:actions\nroad:128,64,128::\ncar:0,0,142::\n"
        "ignore:0,0,0::\n",
        "\ufeff128\t64\t128\troad\n\n0\t0\t142\tcar\n0\t0\t0\tignore\n",
    ],
)
def test_tables_of_every_form_mean_the_same(table, text):
    read = table(text)
    assert read.classes == ("road", "car")
    assert read.palette == ((128, 64, 128), (0, 0, 142))
    assert read.names == ("road", "car", "ignore")


def test_names_may_have_blanks_and_numbers(table):
    read = table("0 0 0 lane 2 left\nlane 1 9 9 9\n")
    assert read.classes == ("lane 2 left", "lane 1")
    assert read.colors == ((0, 0, 0), (9, 9, 9))


@pytest.mark.parametrize(
    "text",
    [
        "128 64 128 255 road\n0 0 142 255 car\n",
        "128,64,128,255,road\n0,0,142,255,car\n0 0 0 ignore\n",
        "128 64 128 180 road\n0 0 142 90 car\n",
        "128 64 128 1.0 road\n0 0 142 1.0 car\n",
        "road 128 64 128 255\ncar 0 0 142 255\n",
    ],
)
def test_a_fourth_number_is_no_part_of_a_name(table, text):
    with pytest.raises(InputError, match=r"colors\.txt: colors of four numbers, by"):
        table(text)


@pytest.mark.parametrize("color", ["#804080ff", "#848", "#8040"])
def test_a_color_of_other_digits_is_no_comment(table, color):
    said = rf"colors\.txt line 2: '{color} road' is not a color and a name"
    with pytest.raises(InputError, match=said):
        table(f"#00008e car\n{color} road\n")
    assert table(f"#00008e car\n# {color} road\n").classes == ("car",)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colors_become_ids(table, tmp_path, mode):
    pixels = [[(0, 0, 142), (128, 64, 128)], [(0, 0, 0), (0, 0, 142)]]
    path = save(tmp_path / "a.png", pixels, mode)
    np.testing.assert_array_equal(table()(path), [[1, 0], [255, 1]])
    np.testing.assert_array_equal(table(ignore_label=9)(path), [[1, 0], [9, 1]])


def test_a_name_of_several_colors_is_one_class(table, tmp_path):
    read = table("1 1 1 car\n2 2 2 tree\n3 3 3 car\n")
    assert (read.classes, read.palette) == (("car", "tree"), ((1, 1, 1), (2, 2, 2)))
    path = save(tmp_path / "a.png", [[(3, 3, 3), (2, 2, 2), (1, 1, 1)]])
    np.testing.assert_array_equal(read(path), [[0, 1, 0]])


def test_an_unknown_color_is_named_with_its_share_and_the_nearest(table, tmp_path):
    pixels = np.full((10, 10, 3), (128, 64, 128), np.uint8)
    pixels[0, :3] = (0, 0, 140)
    path = save(tmp_path / "a.png", pixels)
    with pytest.raises(InputError) as error:
        table()(path)
    assert str(error.value) == (
        f"{path}: color 0 0 140, 3.00% of its pixels, is not in "
        f"{tmp_path}/colors.txt; nearest is 0 0 142, car. Add it to the table, as "
        "ignore if it counts nowhere"
    )


def test_smoothed_colors_are_said_to_be_smoothed(table, tmp_path):
    pixels = np.full((40, 40, 3), (128, 64, 128), np.uint8)
    pixels[10:30, 10:30] = (0, 0, 142)
    small = Image.fromarray(pixels).resize((23, 23), Image.Resampling.BICUBIC)
    path = tmp_path / "a.png"
    small.save(path)
    said = r"so of \d+ colors, .*So many come from smoothing, resizing or JPEG"
    with pytest.raises(InputError, match=said):
        table()(path)


def test_a_photograph_in_a_masks_place_is_told(table, tmp_path, rng):
    path = save(tmp_path / "a.png", rng.integers(0, 256, (40, 50, 3)))
    with pytest.raises(InputError, match=r"a\.png: a photograph, where a mask should"):
        table()(path)


def test_a_transparent_mask_is_refused(table, tmp_path):
    pixels = np.zeros((10, 10, 4), np.uint8)
    pixels[:9, :, 3] = 255
    path = save(tmp_path / "a.png", pixels, "RGBA")
    said = r"a\.png: 10\.00% of its pixels are transparent"
    with pytest.raises(InputError, match=said):
        table()(path)


def test_a_jpeg_mask_is_refused(table, tmp_path):
    path = save(tmp_path / "a.jpg", np.zeros((8, 8, 3)))
    with pytest.raises(InputError, match=r"a\.jpg: a JPEG mask; compression changes"):
        table()(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 0 sky\nroad\n", r"line 2: 'road' is not a color and a name, as 128 64"),
        ("0 0 300 sky\n", r"line 1: '0 0 300 sky' is not a color"),
        ("1 2 3 a\n1 2 3 b\n", "color 1 2 3 is there twice"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(table, text, message):
    with pytest.raises(InputError, match=message):
        table(text)


def test_a_table_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"--color_table=.*no such file"):
        read_color_table(tmp_path / "colors.txt")
    (tmp_path / "colors.txt").write_bytes(b"\x89PNG\0")
    with pytest.raises(InputError, match=r"colors\.txt: not a text file"):
        read_color_table(tmp_path / "colors.txt")
