"""The band around boundaries, by hand and by all pairs of pixels."""

import numpy as np
import pytest

from deeplab_tf.evaluation import trimap


def brute_force(label):
    """Distance of each pixel to the nearest of another label."""
    at = np.stack(np.mgrid[: label.shape[0], : label.shape[1]], -1).reshape(-1, 2)
    ids = label.reshape(-1)
    distances = np.sqrt(((at[:, None] - at[None]) ** 2).sum(-1).astype(float))
    distances[ids[:, None] == ids[None]] = np.inf
    return distances.min(1).reshape(label.shape)


@pytest.mark.parametrize("size", [(23, 31), (1, 9), (40, 2)])
def test_distances_are_those_of_all_pairs(rng, size):
    blocks = rng.choice([0, 1, 7, 255], (9, 9))
    label = np.kron(blocks, np.ones((7, 7), int))[: size[0], : size[1]]
    label[0, 0] = 3
    np.testing.assert_allclose(trimap.distance(label), brute_force(label), atol=1e-3)


def test_widths_count_from_the_first_pixel_beside_the_boundary():
    label = np.array([[0, 0, 0, 255, 255, 1, 1, 1, 1, 2]], np.uint8)
    distances = trimap.distance(label)
    assert distances.tolist() == [[3, 2, 1, 1, 1, 1, 2, 2, 1, 1]]
    (first, near), (second, next_) = trimap.rings(distances, [2, 1])
    assert (first, second) == (1, 2)
    np.testing.assert_array_equal(near, distances == 1)
    np.testing.assert_array_equal(next_, distances == 2)


def test_a_diagonal_neighbor_is_farther_than_one():
    label = np.array([[0, 0], [0, 1]])
    np.testing.assert_allclose(trimap.distance(label), [[2**0.5, 1], [1, 1]], 1e-6)


def test_an_image_of_one_label_has_no_boundary_and_its_border_is_none():
    distances = trimap.distance(np.full((4, 5), 3))
    assert np.isinf(distances).all()
    ((_, near),) = trimap.rings(distances, [1000])
    assert not near.any()
