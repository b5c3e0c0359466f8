"""Boundary IoU against erosions by hand, pixel by pixel and class by class."""

import math

import numpy as np
import pytest

from deeplab_tf.evaluation.boundary import BoundaryIou, distance, within


def eroded(mask, width):
    """Pixels whose square of 2 width + 1 is all in the mask; outside is not in it."""
    height, breadth = mask.shape
    result = np.zeros_like(mask)
    for y in range(height):
        for x in range(breadth):
            inside = (
                width <= y < height - width and width <= x < breadth - width
            ) and mask[y - width : y + width + 1, x - width : x + width + 1].all()
            result[y, x] = inside
    return result


def brute_force(label, classes, num_classes, ignored):
    """Pixels in the intersection and the union of each class's bands."""
    width = distance(label.shape)
    counts = []
    for i in range(num_classes):
        truth = (label == i) & (label != ignored)
        predicted = (classes == i) & (label != ignored)
        true_band = truth & ~eroded(truth, width)
        band = predicted & ~eroded(predicted, width)
        counts.append([(true_band & band).sum(), (true_band | band).sum()])
    return np.array(counts).T


@pytest.mark.parametrize("ignored", [255, 1])
@pytest.mark.parametrize("size", [(37, 52), (120, 90), (3, 40), (1, 1)])
def test_bands_are_those_of_each_class_eroded_alone(rng, size, ignored):
    blocks = rng.choice([0, 1, 2, 3, ignored], (9, 9))
    label = np.kron(blocks, np.ones((15, 11), int))[: size[0], : size[1]]
    classes = np.where(rng.random(size) < 0.02, 2, np.minimum(np.roll(label, 3), 3))
    boundary = BoundaryIou(4, ignored)
    boundary.add(label.astype(np.uint8), classes.astype(np.int32))
    intersection, union = brute_force(label, classes, 4, ignored)
    np.testing.assert_array_equal(boundary.intersection, intersection)
    np.testing.assert_array_equal(boundary.union, union)


def test_the_band_is_two_percent_of_the_diagonal_and_at_least_one_pixel():
    assert distance((300, 400)) == 10
    assert distance((3, 4)) == 1
    assert distance((513, 513)) == round(0.02 * math.sqrt(2) * 513) == 15


def test_all_256_ids_may_be_classes():
    label = np.zeros((9, 9), int)
    label[3:6, 3:6] = 255
    boundary = BoundaryIou(256, 0)
    boundary.add(label, label)
    assert boundary.union[255] == 8
    assert boundary.iou[255] == 1


def test_the_border_of_the_image_is_a_boundary():
    whole = np.zeros((5, 6), np.uint8)
    assert within(whole, 1).sum() == 30 - 3 * 4
    assert within(whole, 3).all()


def test_a_prediction_that_is_right_where_it_counts_has_one():
    """An object with void around it, as those of PASCAL VOC, and predicted into it."""
    label = np.zeros((60, 60), np.uint8)
    label[20:40, 20:40] = 255
    label[23:37, 23:37] = 1
    classes = np.zeros((60, 60), int)
    classes[21:38, 22:39] = 1
    boundary = BoundaryIou(3, 255)
    boundary.add(label, classes)
    np.testing.assert_array_equal(boundary.iou, [1, 1, np.nan])
    assert boundary.miou == 1


def test_bands_of_several_images_are_summed_and_divided_once():
    right, wrong = np.zeros((4, 4), np.uint8), np.zeros((10, 10), np.uint8)
    boundary = BoundaryIou(2, 255)
    boundary.add(right, right)
    boundary.add(wrong, wrong + 1)
    # Of 4x4 pixels 12 are within one of the border, of 10x10 36.
    np.testing.assert_allclose(boundary.iou, [12 / 48, 0])
    assert boundary.miou == pytest.approx(0.125)
