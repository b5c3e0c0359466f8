"""Gaussian filtering in many dimensions, on the permutohedral lattice.

Reference: Adams, Baek and Davis 2010, "Fast high-dimensional filtering using the
permutohedral lattice". Values are splatted: spread over the corners of the simplex that
each point lies in; blurred along the axes of the lattice; and sliced: read back at the
points.

In the right coordinates (`_find_corners`) the vertices are all points of d integers,
and the simplices those of Kuhn's triangulation: from the floor of a point, one step
along each axis, the axis of the largest fraction first. The d + 1 directions of the
blur are the d axes and their common diagonal.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deeplab_tf.crf.lattice_math import COORDINATE_BITS, scales, strides


class Lattice(NamedTuple):
    """Where points lie among the vertices; row 0 is the vertex that does not exist.

    Attributes:
        points: Barycentric weights of each point, sparse `[N * P, M + 1]`.
        neighbors: Rows of the next and the previous vertex along each direction, int32
            `[d + 1, 2, M + 1]`.
    """

    points: tf.SparseTensor
    neighbors: tf.Tensor


def build_lattice(features: tf.Tensor) -> Lattice:
    """The lattice around points in d dimensions; d is static, all else may vary.

    Args:
        features: `[N, P, d]`, in standard deviations of the Gaussian. The N sets of
            points do not see each other.
    """
    dimensions = features.shape[-1]
    corners, weights = _find_corners(features)
    keys, places = tf.unique(tf.reshape(corners, [-1]))
    order = tf.argsort(keys)
    rows = tf.gather(tf.math.invert_permutation(order), places) + 1
    neighbors = _find_neighbors(tf.gather(keys, order), dimensions)
    count = tf.size(places, tf.int64)
    points = tf.range(count) // (dimensions + 1)
    return Lattice(
        tf.SparseTensor(
            tf.stack([points, tf.cast(rows, tf.int64)], axis=-1),
            tf.reshape(weights, [-1]),
            tf.stack([count // (dimensions + 1), tf.size(keys, tf.int64) + 1]),
        ),
        neighbors,
    )


def gaussian_filter(lattice: Lattice, values: tf.Tensor) -> tf.Tensor:
    """Splat, blur and slice: values `[N, P, C]`, float32, filtered by the Gaussian.

    Up to a constant factor. Differentiable by the values.
    """
    flat = tf.reshape(values, [-1, tf.shape(values)[-1]])
    table = tf.sparse.sparse_dense_matmul(lattice.points, flat, adjoint_a=True)
    for following, preceding in map(tf.unstack, tf.unstack(lattice.neighbors)):
        # One kernel for `[1 2 1]`: the blur takes most of the time, all of it memory.
        neighbors = [tf.gather(table, following), tf.gather(table, preceding)]
        table = tf.add_n([table, table, *neighbors])
    flat = tf.sparse.sparse_dense_matmul(lattice.points, table)
    return tf.ensure_shape(tf.reshape(flat, tf.shape(values)), values.shape)


def spatial_features(images: tf.Tensor, sigma: float | tf.Tensor) -> tf.Tensor:
    """Column and row of the pixels of `[N, H, W, 3]`, over sigma: `[N, H * W, 2]`."""
    size = tf.shape(images)
    grid = tf.stack(tf.meshgrid(tf.range(size[2]), tf.range(size[1])), axis=-1)
    grid = tf.reshape(_quotient(grid, sigma), [1, -1, 2])
    return tf.tile(grid, [size[0], 1, 1])


def bilateral_features(
    images: tf.Tensor, sigma_position: float | tf.Tensor, sigma_color: float | tf.Tensor
) -> tf.Tensor:
    """Column, row and colors of pixels, each over its sigma: `[N, H * W, 5]`."""
    positions = spatial_features(images, sigma_position)
    colors = tf.reshape(images, [tf.shape(images)[0], -1, 3])
    return tf.concat([positions, _quotient(colors, sigma_color)], axis=-1)


def _quotient(values: tf.Tensor, sigma: float | tf.Tensor) -> tf.Tensor:
    """Rounded to float32 once, also where a graph multiplies by the reciprocal."""
    quotient = tf.cast(values, tf.float64) / tf.cast(sigma, tf.float64)
    return tf.cast(quotient, tf.float32)


def _find_corners(features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Keys and weights of the corners of each point's simplex, `[N * P, d + 1]`."""
    shape = tf.shape(features)
    dimensions = features.shape[-1]
    points = _embed(tf.reshape(features, [-1, dimensions]))
    # The coordinates are equal modulo d + 1 at all vertices, and sum to zero: their
    # differences to the last one, in steps, are any d integers.
    points = tf.cast(points, tf.float64)
    points = (points[:, :-1] - points[:, -1:]) / (dimensions + 1)
    floor = tf.floor(points)
    fractions, axes = tf.math.top_k(points - floor, k=dimensions)
    image = tf.repeat(tf.range(shape[0], dtype=tf.int64), shape[1])[:, tf.newaxis]
    steps = tf.constant(strides(dimensions))
    first = tf.reduce_sum(tf.cast(floor, tf.int64) * steps, -1, keepdims=True)
    first += image * 2**COORDINATE_BITS
    corners = first + tf.cumsum(tf.gather(steps, axes), axis=-1)
    upper = tf.pad(fractions, [[0, 0], [1, 0]], constant_values=1)
    weights = upper - tf.pad(fractions, [[0, 0], [0, 1]])
    return tf.concat([first, corners], -1), tf.cast(weights, tf.float32)


def _embed(features: tf.Tensor) -> tf.Tensor:
    """`[P, d]` in the plane of R^(d+1) whose coordinates sum to zero (section 3).

    In float32 and in this order, as all released lattices: the last bit decides which
    corners of weight zero exist, and so what the blur passes through them.
    """
    dimensions = features.shape[-1]
    scaled = features * scales(dimensions)
    ranked = scaled * np.arange(1, dimensions + 1, dtype=np.float32)
    sums = tf.cumsum(scaled, axis=-1, reverse=True)
    return tf.pad(sums, [[0, 0], [0, 1]]) - tf.pad(ranked, [[0, 0], [1, 0]])


def _find_neighbors(keys: tf.Tensor, dimensions: int) -> tf.Tensor:
    """Of ascending keys `[M]`: `Lattice.neighbors`."""
    steps = strides(dimensions)
    rows = tf.range(1, tf.size(keys) + 1)
    neighbors = []
    for step in (*steps, steps.sum()):
        wanted = keys + step
        places = tf.minimum(tf.searchsorted(keys, wanted), tf.size(keys) - 1)
        exists = tf.equal(tf.gather(keys, places), wanted)
        following = tf.pad(tf.where(exists, places + 1, 0), [[1, 0]])
        preceding = tf.math.unsorted_segment_sum(
            tf.where(exists, rows, 0), following[1:], tf.size(keys) + 1
        )
        neighbors.append(tf.stack([following, preceding]))
    return tf.stack(neighbors)
