"""Class maps as pictures."""

import dataclasses

import numpy as np
import pytest

from deeplab_tf.data.image_files import IGNORED
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.visualizing import drawing

SPEC = DatasetSpec(
    name="pets",
    classes=("background", "cat", "dog"),
    palette=((0, 0, 0), (200, 0, 0), (0, 0, 250)),
)


def photo(height, width, gray=100):
    return np.full((height, width, 3), gray, np.uint8)


def halves(height, width, left=0, right=1):
    classes = np.full((height, width), left, np.uint8)
    classes[:, width // 2 :] = right
    return classes


def colors_of(sheet):
    return {color for _, color in sheet.getcolors(1 << 24)}


def test_ids_have_the_colors_of_the_palette():
    found = drawing.colorize(np.array([[0, 2, 255]], np.uint8), SPEC.palette)
    assert found[0].tolist() == [[0, 0, 0], [0, 0, 250], list(IGNORED)]


def test_classes_tint_the_image_and_have_light_contours_but_black_ones():
    found = drawing.overlay(photo(1, 8), halves(1, 8), SPEC.palette)[0]
    assert found[:4].tolist() == [[100] * 3] * 4  # A background stays as it is.
    assert found[4].tolist() == [227, 127, 127]
    assert found[5:].tolist() == [[150, 50, 50]] * 3


def test_what_is_ignored_is_hatched():
    classes = np.full((40, 40), 255, np.uint8)
    found = drawing.overlay(photo(40, 40), classes, SPEC.palette)
    shown = {tuple(color) for color in found.reshape(-1, 3).tolist()}
    assert shown == {(162, 162, 146), (98, 98, 98)}
    dark = (found == 98).all(axis=-1).mean()
    assert 0.4 < dark < 0.6


def test_errors_are_the_pixels_that_count_and_are_wrong():
    classes, truth = halves(4, 8, 0, 2), halves(4, 8, 0, 1)
    ignored = np.zeros((4, 8), bool)
    ignored[3] = True
    found = drawing.errors(photo(4, 8), classes, truth, ignored)
    red = (found[..., 0] > 200) & (found[..., 1] < 100)
    assert red[:3, 4:].all()
    assert not red[3].any()
    assert not red[:, :4].any()


def test_what_is_ignored_has_its_place_in_the_legend_of_errors():
    spec = dataclasses.replace(SPEC, ignore_label=0)  # As of ADE20K.
    for label, shown in ((0, True), (1, False)):
        truth = np.full((40, 200), label, np.uint8)
        sheet = drawing.panels(
            photo(40, 200), truth, truth, spec, names=("original", "errors")
        )
        assert (IGNORED in colors_of(sheet)) == shown


def test_an_overlay_shows_prediction_truth_and_what_occurs():
    classes = halves(40, 200)
    alone = drawing.panels(photo(40, 200), classes, None, SPEC)
    truth = np.full((40, 200), 2, np.uint8)
    beside = drawing.panels(photo(40, 200), classes, truth, SPEC)
    assert beside.width > 2 * 200 > alone.width > 200
    assert (0, 0, 250) in colors_of(beside)  # The swatch of what only the truth has.
    assert (0, 0, 250) not in colors_of(alone)


def test_four_panels_stand_in_two_rows():
    names = tuple(drawing.TITLES)
    classes, truth = halves(60, 200), halves(60, 200, 0, 2)
    sheet = drawing.panels(photo(60, 200, 77), classes, truth, SPEC, names=names)
    assert 2 * 200 < sheet.width < 3 * 200
    assert sheet.height > 2 * 60
    assert (77, 77, 77) in colors_of(sheet)  # The original.
    assert drawing.WRONG in colors_of(sheet)  # Its swatch.


def test_panels_of_a_truth_that_is_missing_are_ignored_everywhere():
    classes = halves(40, 200)
    sheet = drawing.panels(
        photo(40, 200), classes, None, SPEC, names=("truth", "errors")
    )
    assert (162, 162, 146) in colors_of(sheet)
    pixels = np.asarray(sheet).astype(int)[:60]  # Above the legend.
    assert not ((pixels[..., 0] > 200) & (pixels[..., 1] < 100)).any()


@pytest.mark.parametrize("factor", [2, 4])
def test_letters_and_lines_grow_with_the_picture(factor):
    """A picture of twice the size is the same picture, as it is seen on a screen."""
    height, width = 600, 1000
    large = (height * factor, width * factor)
    small = drawing.panels(photo(height, width), halves(height, width), None, SPEC)
    sheet = drawing.panels(photo(*large), halves(*large), None, SPEC)
    ratio = np.array(sheet.size) / small.size
    np.testing.assert_allclose(ratio, factor, rtol=0.03)
    contour = np.array([227, 127, 127])
    lines = [
        (drawing.overlay(photo(*size), halves(*size), SPEC.palette)[0] == contour)
        .all(axis=-1)
        .sum()
        for size in ((height, width), large)
    ]
    assert lines == [1, factor]


def test_a_thumbnail_is_as_before_and_a_line_of_pixels_is_drawn():
    for height, width in ((1, 1), (1, 3000), (3000, 1)):
        sheet = drawing.panels(
            photo(height, width), halves(height, width, 1, 1), None, SPEC
        )
        assert sheet.width > width
        assert sheet.height > height


def test_a_legend_that_is_too_long_takes_more_lines():
    count = 30
    spec = DatasetSpec(
        name="many",
        classes=tuple(f"a rather long name {i}" for i in range(count)),
        palette=tuple((i, i, i) for i in range(count)),
    )
    classes = np.arange(count, dtype=np.uint8)[np.newaxis].repeat(9, axis=0)
    many = drawing.panels(photo(9, count), classes, None, spec)
    few = drawing.panels(photo(9, count), classes % 2, None, spec)
    assert many.width == few.width
    assert many.height > few.height + 10 * 20


def test_a_legend_has_all_classes():
    shown = colors_of(drawing.legend(SPEC.classes, SPEC.palette))
    assert {*SPEC.palette, IGNORED} <= shown
