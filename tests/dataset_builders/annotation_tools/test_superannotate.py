"""Exports of SuperAnnotate: fused masks on a transparent ground."""

import numpy as np
import pytest

from deeplab_tf.errors import InputError
from tests.dataset_builders.annotation_tools.exports import (
    box,
    masks,
    photo,
    read,
    save,
    write,
)

CLASSES = [
    {"id": 7, "name": "ball", "color": "#ff0078"},
    {"id": 9, "name": "tree", "color": "#00FF10"},
]
COLORS = np.array([[0, 0, 0, 0], [255, 0, 120, 255], [0, 255, 16, 255]], np.uint8)


@pytest.fixture
def export(tmp_path):
    for i in range(2):
        photo(tmp_path / f"p{i}.jpg")
        save(tmp_path / f"p{i}.jpg___fuse.png", COLORS[box(1 + i, 2)])
    write(tmp_path / "classes/classes.json", CLASSES)
    return tmp_path


def test_colors_are_classes_and_transparent_is_the_background(export, caplog):
    found = read(export)
    assert found.classes == ("background", "ball", "tree")
    assert found.palette == ((0, 0, 0), (255, 0, 120), (0, 255, 16))
    for i, mask in enumerate(masks(found).values()):
        np.testing.assert_array_equal(mask, box(1 + i, 2))
    assert [*masks(found)] == ["p0", "p1"]
    assert "transparent is background (--transparent)" in caplog.text


def test_transparent_is_ignored_if_asked(export):
    expected = np.where(box(1, 2) == 0, 255, box(1, 2))
    mask = masks(read(export, transparent="ignore"))["p0"]
    np.testing.assert_array_equal(mask, expected)
    mask = masks(read(export, transparent="ignore", ignore_label=9))["p0"]
    np.testing.assert_array_equal(mask, np.where(expected == 255, 9, expected))


@pytest.mark.parametrize("color", [(9, 9, 9, 0), (255, 0, 120, 0)])
def test_what_color_transparent_pixels_have_says_nothing(export, color):
    pixels = COLORS.copy()
    pixels[0] = color
    save(export / "p0.jpg___fuse.png", pixels[box(1, 2)])
    np.testing.assert_array_equal(masks(read(export))["p0"], box(1, 2))


def test_black_is_the_background_in_masks_without_transparency(export):
    save(export / "p0.jpg___fuse.png", COLORS[box(1, 2)][..., :3])
    np.testing.assert_array_equal(masks(read(export))["p0"], box(1, 2))


def test_black_may_be_a_class(export):
    write(
        export / "classes/classes.json", [*CLASSES, {"name": "tar", "color": "#000000"}]
    )
    pixels = COLORS[box(1, 2)]
    pixels[0, 0] = (0, 0, 0, 255)
    save(export / "p0.jpg___fuse.png", pixels)
    expected = box(1, 2)
    expected[0, 0] = 3
    np.testing.assert_array_equal(masks(read(export))["p0"], expected)


def test_a_class_may_be_the_background_itself(export):
    ground = {"name": "background", "color": "#0000ff"}
    write(export / "classes/classes.json", [*CLASSES, ground])
    pixels = COLORS[box(1, 2)]
    pixels[:3] = (0, 0, 255, 255)
    save(export / "p0.jpg___fuse.png", pixels)
    found = read(export)
    assert found.classes == ("background", "ball", "tree")
    np.testing.assert_array_equal(masks(found)["p0"], box(1, 2))


@pytest.mark.parametrize(
    ("color", "said"),
    [
        ((255, 0, 120, 128), "half transparent|are transparent"),
        ((254, 0, 120, 255), r"color 254 0 120, .* nearest is 255 0 120, ball"),
    ],
)
def test_pixels_of_no_certain_class_are_refused(export, color, said):
    pixels = COLORS.copy()
    pixels[1] = color
    save(export / "p0.jpg___fuse.png", pixels[box(1, 2)])
    with pytest.raises(InputError, match=rf"p0\.jpg___fuse\.png: .*({said})"):
        masks(read(export))


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("[{", r"classes\.json: not SuperAnnotate's list of classes \(Expecting"),
        ({"ball": "#ff0078"}, "an object, where a list is needed"),
        ([{"name": "ball"}], "lacks 'color'"),
        ([{"name": "ball", "color": "red"}], "color 'red', where one as #ff0078"),
        ([*CLASSES, {"name": "x", "color": "#ff0078"}], "ball and x have one color"),
    ],
)
def test_a_list_of_classes_that_is_none_is_named(export, classes, said):
    write(export / "classes/classes.json", classes)
    with pytest.raises(InputError, match=said):
        read(export)


def test_a_missing_list_of_classes_is_asked_for(export):
    (export / "classes/classes.json").unlink()
    with pytest.raises(InputError, match=r"no classes/classes\.json, which says what"):
        read(export)
