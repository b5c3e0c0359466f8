"""The lattice: as the paper defines it, and what its filter does."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.crf import lattice_math, permutohedral


def simplices_by_hand(features):
    """Vertices `[P, d + 1, d + 1]` and weights, point by point as in the paper."""
    points, dimensions = features.shape
    canonical = [
        [k] * (dimensions + 1 - k) + [k - dimensions - 1] * k
        for k in range(dimensions + 1)
    ]
    rank = np.arange(1, dimensions + 1)
    rotation = np.triu(np.ones((dimensions + 1, dimensions)))
    rotation[rank, rank - 1] = -rank
    rotation /= np.sqrt(rank * (rank + 1))
    embedded = np.sqrt(2 / 3) * (dimensions + 1) * features @ rotation.T
    vertices = np.empty((points, dimensions + 1, dimensions + 1), int)
    weights = np.empty((points, dimensions + 1))
    for p, x in enumerate(embedded):
        origin = (dimensions + 1) * np.round(x / (dimensions + 1))
        excess = round(origin.sum() / (dimensions + 1))
        order = np.argsort(origin - x)  # Descending differences.
        if excess > 0:  # Coordinates that were rounded up the most come down.
            origin[order[dimensions + 1 - excess :]] -= dimensions + 1
        elif excess < 0:
            origin[order[:-excess]] += dimensions + 1
        order = np.argsort(origin - x)
        difference = (x - origin)[order]
        assert abs(origin.sum()) < 1e-9
        for k in range(dimensions + 1):
            vertices[p, k, order] = origin[order] + canonical[k]
        steps = -np.diff(difference) / (dimensions + 1)
        weights[p] = np.append(1 - steps.sum(), steps[::-1])
    return vertices, weights


def dense(lattice):
    """Weights of all points at all rows."""
    return tf.sparse.to_dense(tf.sparse.reorder(lattice.points)).numpy()


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_points_lie_in_the_simplices_of_the_paper(rng, dimensions):
    features = rng.uniform(-4, 4, (300, dimensions))
    vertices, weights = simplices_by_hand(features)
    lattice = permutohedral.build_lattice(tf.constant(features[np.newaxis], tf.float32))
    unique, rows = np.unique(
        vertices.reshape(-1, dimensions + 1), axis=0, return_inverse=True
    )
    wanted = np.zeros((300, len(unique)))
    np.add.at(wanted, (np.repeat(range(300), dimensions + 1), rows), weights.ravel())
    found = dense(lattice)
    assert found.shape[1] == len(unique) + 1
    # What any two points share of their vertices, whose order is another.
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=1e-4)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_neighbors_are_one_step_of_the_paper_away(rng, dimensions):
    features = rng.uniform(-1, 1, (200, dimensions))
    lattice = permutohedral.build_lattice(tf.constant(features[np.newaxis], tf.float32))
    vertices, weights = simplices_by_hand(features)
    rows_of = {}
    weighted = dense(lattice)
    for p, k in itertools.product(range(200), range(dimensions + 1)):
        if weights[p, k] > 1e-3 and (np.diff(np.sort(weights[p])) > 1e-3).all():
            row = np.argmin(np.abs(weighted[p] - weights[p, k]))
            rows_of[tuple(vertices[p, k])] = row
    assert len(rows_of) > 4 * dimensions
    pairs = 0
    for axis, (vertex, row) in itertools.product(
        range(dimensions + 1), rows_of.items()
    ):
        step = np.ones(dimensions + 1, int)
        step[axis] = -dimensions
        other = rows_of.get(tuple(np.array(vertex) + step))
        if other is not None:
            pairs += 1
            assert row in lattice.neighbors[axis, :, other].numpy()
            assert other in lattice.neighbors[axis, :, row].numpy()
    assert pairs > dimensions


def test_the_vertex_that_does_not_exist_has_no_neighbors_and_no_weight(rng):
    features = rng.normal(size=(1, 50, 2)).astype(np.float32)
    lattice = permutohedral.build_lattice(tf.constant(features))
    np.testing.assert_array_equal(lattice.neighbors[:, :, 0], 0)
    np.testing.assert_array_equal(dense(lattice)[:, 0], 0)


def test_a_lone_point_on_a_line_by_hand():
    """It lies on a vertex: 1 there, 0 at the next. `[1 2 1]` makes 2 1, then 5 4."""
    lattice = permutohedral.build_lattice(tf.zeros((1, 1, 1)))
    found = permutohedral.gaussian_filter(lattice, tf.constant([[[3.0]]]))
    assert float(found[0, 0, 0]) == 15


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_an_impulse_spreads_by_one_deviation(dimensions):
    axis = np.arange(-4.5, 4.6, 0.5)
    grid = np.stack(np.meshgrid(*[axis] * dimensions, indexing="ij"), -1)
    points = grid.reshape(1, -1, dimensions)
    middle = np.linalg.norm(points[0], axis=-1) < 1
    lattice = permutohedral.build_lattice(tf.constant(points, tf.float32))
    impulses = np.eye(points.shape[1], dtype=np.float32)[np.newaxis, :, middle]
    answers = permutohedral.gaussian_filter(lattice, tf.constant(impulses)).numpy()[0]
    covariances = []
    for answer, place in zip(answers.T, points[0, middle], strict=True):
        offsets = points[0] - place
        covariances.append(
            np.einsum("p,pi,pj->ij", answer / answer.sum(), offsets, offsets)
        )
    # On the mean over places: each has its own corner of a simplex.
    np.testing.assert_allclose(np.mean(covariances, 0), np.eye(dimensions), atol=0.06)


def test_normalized_it_is_a_gaussian_of_positions(rng):
    images = tf.zeros((1, 24, 24, 3))
    features = permutohedral.spatial_features(images, 3.0)
    values = rng.dirichlet(np.ones(5), 576).astype(np.float32)
    lattice = permutohedral.build_lattice(features)
    found = permutohedral.gaussian_filter(lattice, values[np.newaxis])
    found /= permutohedral.gaussian_filter(lattice, tf.ones((1, 576, 1)))
    row, column = np.mgrid[:24, :24].reshape(2, -1) / 3
    squares = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    kernel = np.exp(-squares / 2)
    wanted = kernel @ values / kernel.sum(1, keepdims=True)
    np.testing.assert_allclose(np.sum(found[0], axis=1), 1, atol=1e-5)
    assert np.abs(found[0] - wanted).sum() / wanted.sum() < 0.01


def test_gradients_are_those_of_a_matrix(rng):
    features = tf.constant(rng.normal(size=(1, 30, 2)), tf.float32)
    lattice = permutohedral.build_lattice(features)
    matrix = permutohedral.gaussian_filter(lattice, tf.eye(30)[tf.newaxis])[0].numpy()
    values = tf.constant(rng.normal(size=(1, 30, 3)), tf.float32)
    weighting = rng.normal(size=(30, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        found = permutohedral.gaussian_filter(lattice, values)
        cost = tf.reduce_sum(found * weighting)
    np.testing.assert_allclose(found[0], matrix @ values[0], rtol=1e-4, atol=1e-4)
    gradient = tape.gradient(cost, values)[0]
    np.testing.assert_allclose(gradient, matrix.T @ weighting, rtol=1e-4, atol=1e-4)


def test_sets_of_points_do_not_see_each_other(rng):
    features = tf.constant(rng.normal(size=(5, 40, 5)), tf.float32)
    values = tf.constant(rng.normal(size=(5, 40, 2)), tf.float32)
    together = permutohedral.gaussian_filter(
        permutohedral.build_lattice(features), values
    )
    for i in range(5):
        lattice = permutohedral.build_lattice(features[i : i + 1])
        alone = permutohedral.gaussian_filter(lattice, values[i : i + 1])
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(2, 23, 37), (1, 1, 9)])
def test_a_graph_of_unknown_size_finds_the_same(rng, size):
    images = rng.integers(0, 256, (*size, 3)).astype(np.uint8)

    def find(images):
        features = permutohedral.bilateral_features(images, 67.0, 3.0)
        lattice = permutohedral.build_lattice(features)
        values = features[..., 2:] / 85
        return permutohedral.gaussian_filter(lattice, values)

    spec = tf.TensorSpec((None, None, None, 3), tf.uint8)
    graph = tf.function(find, input_signature=[spec])
    np.testing.assert_allclose(graph(images), find(images), rtol=1e-5)


def test_features_are_columns_rows_and_colors_in_deviations(rng):
    images = rng.integers(0, 256, (2, 3, 4, 3)).astype(np.uint8)
    found = permutohedral.bilateral_features(images, 7.0, 3.0).numpy()
    assert found.shape == (2, 12, 5)
    columns, rows = np.tile(range(4), 3), np.repeat(range(3), 4)
    wanted = np.stack([columns / 7, rows / 7], axis=-1), images.reshape(2, 12, 3) / 3
    np.testing.assert_array_equal(found[1, :, :2], wanted[0].astype(np.float32))
    np.testing.assert_array_equal(found[..., 2:], wanted[1].astype(np.float32))


@pytest.mark.parametrize(
    ("side", "alpha", "beta", "fits"),
    [
        (4096, 30, 3, True),
        (4096, 5, 3, True),
        (4096, 160, 0.5, True),
        (500, 1, 1, True),
        (4096, 1, 3, False),
        (500, 67, 0.1, False),
    ],
)
def test_keys_of_large_images_are_unique_or_it_is_said(side, alpha, beta, fits):
    extent = np.array([side / alpha, side / alpha, *[255 / beta] * 3])
    assert lattice_math.fits(extent) == fits
    extremes = np.array(list(itertools.product([0, 1], repeat=5))) * extent
    vertices, _ = simplices_by_hand(extremes + 1e-3)
    coordinates = (vertices[..., :-1] - vertices[..., -1:]) // 6
    # Eleven bits for each, with the neighbors of the outermost.
    assert (np.ptp(coordinates, axis=(0, 1)).max() + 2 < 2**11) == fits
    low, high = lattice_math.reach(extent)
    assert (coordinates.min((0, 1)) >= np.floor(low) - 1).all()
    assert (coordinates.max((0, 1)) <= np.ceil(high) + 1).all()
