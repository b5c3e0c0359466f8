"""Class maps as pictures."""

import numpy as np

from deeplab_tf.data.image_files import IGNORED
from deeplab_tf.visualizing import drawing

PALETTE = ((0, 0, 0), (200, 0, 0), (0, 0, 250))
NAMES = ("background", "cat", "dog")


def test_ids_have_the_colors_of_the_palette():
    found = drawing.colorize(np.array([[0, 2, 255]], np.uint8), PALETTE)
    assert found[0].tolist() == [[0, 0, 0], [0, 0, 250], list(IGNORED)]


def test_black_classes_leave_the_image_as_it_is_and_others_tint_it():
    image = np.full((1, 2, 3), 100, np.uint8)
    found = drawing.overlay(image, np.array([[0, 1]], np.uint8), PALETTE)
    assert found[0].tolist() == [[100, 100, 100], [160, 40, 40]]


def test_an_overlay_shows_prediction_truth_and_what_occurs():
    image = np.zeros((40, 200, 3), np.uint8)
    classes = np.zeros((40, 200), np.uint8)
    classes[:, 100:] = 1
    alone = drawing.overlay_with_legend(image, classes, None, NAMES, PALETTE)
    truth = np.full((40, 200), 2, np.uint8)
    beside = drawing.overlay_with_legend(image, classes, truth, NAMES, PALETTE)
    assert beside.width > 2 * 200 > alone.width > 200
    colors = {color for _, color in beside.getcolors(100000)}
    assert (0, 0, 250) in colors  # The swatch of what only the truth has.
    assert (0, 0, 250) not in {color for _, color in alone.getcolors(100000)}


def test_a_legend_that_is_too_long_takes_more_lines():
    count = 30
    names = tuple(f"a rather long name {i}" for i in range(count))
    palette = tuple((i, i, i) for i in range(count))
    classes = np.arange(count, dtype=np.uint8)[np.newaxis].repeat(9, axis=0)
    image = np.zeros((9, count, 3), np.uint8)
    many = drawing.overlay_with_legend(image, classes, None, names, palette)
    few = drawing.overlay_with_legend(image, classes % 2, None, names, palette)
    assert many.width == few.width
    assert many.height > few.height + 10 * 20
