"""Compiled loops of the CRF: lattices, then mean field.

Each frees the interpreter for other threads. A table has a row for each vertex of a
lattice and a column for each class; row 0 is the vertex that does not exist and stays
zero. All are float32.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy import ndarray
from numpy.polynomial import Chebyshev, Polynomial

nogil_jit = numba.njit(nogil=True, cache=True)
# Sums may be reordered: only so do they become vector instructions.
fast_jit = numba.njit(nogil=True, cache=True, fastmath=True)

_DIGIT_BITS = 11  # Of the radix sort: the counters of a digit stay in the first cache.
_POWER_OF_TWO = (
    Chebyshev.interpolate(np.exp2, 5, domain=[0, 1])
    .convert(kind=Polynomial)
    .coef.astype(np.float32)
)


class Corners(NamedTuple):
    """Of the simplices around P points.

    Attributes:
        keys: Int64 `[P, d + 1]`, of 0...bound.
        weights: Barycentric, float32 `[P, d + 1]`.
        strides: What a step along each axis adds to a key, int64 `[d]`.
        bound: Of the keys.
    """

    keys: ndarray
    weights: ndarray
    strides: ndarray
    bound: int


@nogil_jit
def find_corners(
    features: ndarray,
    scales: ndarray,
    low: ndarray,
    out: Corners,
    first: int,
    last: int,
) -> None:
    """Writes the corners of points first...last, as `permutohedral` has them.

    In the same order and precision, so that the same vertices come to be.
    """
    keys, weights, strides = out.keys, out.weights, out.strides
    dimensions = features.shape[1]
    embedded = np.empty(dimensions + 1, np.float32)
    fractions = np.empty(dimensions + 1)
    axes = np.empty(dimensions, np.int64)
    for point in range(first, last):
        total = np.float32(0)
        for j in range(dimensions - 1, -1, -1):
            scaled = features[point, j] * scales[j]
            embedded[j + 1] = total - np.float32(j + 1) * scaled
            total += scaled
        embedded[0] = total
        key = 0
        for j in range(dimensions):
            x = (np.float64(embedded[j]) - embedded[dimensions]) / (dimensions + 1)
            floor = np.floor(x)
            key += (np.int64(floor) - low[j]) * strides[j]
            place = j
            while place > 0 and fractions[place - 1] < x - floor:
                fractions[place] = fractions[place - 1]
                axes[place] = axes[place - 1]
                place -= 1
            fractions[place] = x - floor
            axes[place] = j
        fractions[dimensions] = 0.0
        above = 1.0
        for j in range(dimensions + 1):
            keys[point, j] = key
            weights[point, j] = above - fractions[j]
            above = fractions[j]
            if j < dimensions:
                key += strides[axes[j]]


@nogil_jit
def argsort_keys(keys: ndarray, bound: int) -> ndarray:
    """Radix argsort, int32: the stable order in which keys of 0...bound ascend."""
    order = np.arange(keys.size).astype(np.int32)
    keys, spare, spare_order = keys.copy(), np.empty_like(keys), np.empty_like(order)
    places = np.empty(2**_DIGIT_BITS + 1, np.int64)
    mask = 2**_DIGIT_BITS - 1
    shift = 0
    while bound >> shift > 0:
        places[:] = 0
        for key in keys:
            places[((key >> shift) & mask) + 1] += 1
        places = np.cumsum(places)
        for i in range(keys.size):
            digit = (keys[i] >> shift) & mask
            spare[places[digit]] = keys[i]
            spare_order[places[digit]] = order[i]
            places[digit] += 1
        keys, spare = spare, keys
        order, spare_order = spare_order, order
        shift += _DIGIT_BITS
    return order


@nogil_jit
def number_vertices(keys: ndarray, order: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """Rows of the keys (int32), where each row begins in `order`, and its key."""
    rows = np.empty(keys.size, np.int32)
    begins = np.zeros(keys.size + 2, np.int64)
    unique = np.empty(keys.size + 1, np.int64)
    count = 0
    for i in range(keys.size):
        key = keys[order[i]]
        if count == 0 or key != unique[count]:
            count += 1
            unique[count] = key
            begins[count] = i
        rows[order[i]] = count
    begins[count + 1] = keys.size
    return rows, begins[: count + 2].copy(), unique[1 : count + 1].copy()


@nogil_jit
def find_neighbors(keys: ndarray, step: int, out: ndarray) -> None:
    """Writes `[2, M + 1]`: rows of the vertices one step on and back of M keys.

    Args:
        keys: Of rows 1...M, argsort_keys.
        step: Between the keys of neighbors.
        out: The result; 0 where there is no such vertex.
    """
    out[:] = 0
    j = 0
    for i in range(keys.size):
        wanted = keys[i] + step
        while j < keys.size and keys[j] < wanted:
            j += 1
        if j < keys.size and keys[j] == wanted:
            out[0, i + 1] = j + 1
            out[1, j + 1] = i + 1


class NumbaLattice(NamedTuple):
    """Where P points lie among M vertices.

    Attributes:
        rows: Of the corners of each point, int32 `[P, d + 1]`,
        slice_weights: and how much of each a point reads.
        begins: Where in the next two the points around a vertex begin, `[M + 2]`.
        points: Int32 `[P * (d + 1)]`,
        splat_weights: and how much of each is spread.
        neighbors: As in `permutohedral.Lattice`.
        groups: First rows of groups of vertices that some directions do not leave, and
            the end of the last.
        inner: How many directions do not: so many of the first.
    """

    rows: ndarray
    slice_weights: ndarray
    begins: ndarray
    points: ndarray
    splat_weights: ndarray
    neighbors: ndarray
    groups: ndarray
    inner: int


@fast_jit
def splat(
    values: ndarray, lattice: NumbaLattice, table: ndarray, first: int, last: int
) -> None:
    """Splat: writes rows first...last, sums of the values around each vertex."""
    for row in range(first, last):
        for c in range(table.shape[1]):
            table[row, c] = 0
        for i in range(lattice.begins[row], lattice.begins[row + 1]):
            point, weight = lattice.points[i], lattice.splat_weights[i]
            for c in range(table.shape[1]):
                table[row, c] += weight * values[point, c]


@fast_jit
def blur(
    table: ndarray, neighbors: ndarray, out: ndarray, first: int, last: int
) -> None:
    """Blur: writes rows first...last of a table blurred along one direction."""
    for row in range(first, last):
        following, preceding = neighbors[0, row], neighbors[1, row]
        for c in range(table.shape[1]):
            sides = table[following, c] + table[preceding, c]
            out[row, c] = np.float32(2) * table[row, c] + sides


@fast_jit
def splat_and_blur(
    values: ndarray,
    lattice: NumbaLattice,
    tables: tuple[ndarray, ndarray],
    first: int,
    last: int,
) -> None:
    """Splats and blurs groups first...last as far as they are on their own.

    All in the cache: the tables as a whole are too large for it.
    """
    for group in range(first, last):
        top, end = lattice.groups[group], lattice.groups[group + 1]
        splat(values, lattice, tables[0], top, end)
        table, out = tables
        for direction in range(lattice.inner):
            blur(table, lattice.neighbors[direction], out, top, end)
            table, out = out, table


@fast_jit
def slice_values(
    table: ndarray, lattice: NumbaLattice, out: ndarray, first: int, last: int
) -> None:
    """Slice: writes `[P, C]`, what points first...last read of a table."""
    for point in range(first, last):
        out[point] = 0
        for corner in range(lattice.rows.shape[1]):
            row, weight = corner_weight(lattice, np.float32(1), point, corner)
            for c in range(out.shape[1]):
                out[point, c] += weight * table[row, c]


@fast_jit
def corner_weight(
    lattice: NumbaLattice, weight: float, point: int, corner: int
) -> tuple[int, float]:
    """The row of a corner, and how much of it its point reads."""
    return lattice.rows[point, corner], weight * lattice.slice_weights[point, corner]


@fast_jit
def initialize_marginals(logits: ndarray, out: ndarray, first: int, last: int) -> None:
    """Writes the marginals of points first...last before the first update."""
    for point in range(first, last):
        softmax(logits[point], out[point])


@fast_jit
def update_marginals(
    logits: ndarray,
    tables: tuple[ndarray, ndarray],
    lattices: tuple[NumbaLattice, NumbaLattice],
    weights: ndarray,
    out: ndarray,
    first: int,
    last: int,
) -> None:
    """Slice, add the messages to the unaries, softmax: marginals of first...last.

    The nine corners in one sum: in a loop, it would take twice the time.
    """
    five, two = lattices
    colors, places = tables
    sums = np.empty(logits.shape[1], np.float32)
    for point in range(first, last):
        a, of_a = corner_weight(five, weights[0], point, 0)
        b, of_b = corner_weight(five, weights[0], point, 1)
        c, of_c = corner_weight(five, weights[0], point, 2)
        d, of_d = corner_weight(five, weights[0], point, 3)
        e, of_e = corner_weight(five, weights[0], point, 4)
        f, of_f = corner_weight(five, weights[0], point, 5)
        g, of_g = corner_weight(two, weights[1], point, 0)
        h, of_h = corner_weight(two, weights[1], point, 1)
        i, of_i = corner_weight(two, weights[1], point, 2)
        for k in range(sums.size):
            sums[k] = (
                logits[point, k]
                + (of_a * colors[a, k] + of_b * colors[b, k] + of_c * colors[c, k])
                + (of_d * colors[d, k] + of_e * colors[e, k] + of_f * colors[f, k])
                + (of_g * places[g, k] + of_h * places[h, k] + of_i * places[i, k])
            )
        softmax(sums, out[point])


@fast_jit
def softmax(logits: ndarray, out: ndarray) -> None:
    """Writes the probabilities of `[C]`."""
    top = logits[0]
    for k in range(logits.size):
        top = max(top, logits[k])
    total = np.float32(0)
    for k in range(logits.size):
        share = fast_exp(logits[k] - top)
        total += share
        out[k] = share
    for k in range(logits.size):
        out[k] *= np.float32(1) / total


@fast_jit
def fast_exp(x: float) -> float:
    """To 3e-7 of the value; as vector instructions, which NumPy's is not here.

    A whole power of two by its bits, and the rest, of 2^0...2^1, by a polynomial.
    """
    # Not as small as float32 goes: products with it would be denormal, which is slow.
    power = max(x * np.float32(1 / np.log(2)), np.float32(-100))
    floor = np.floor(power)
    y = _POWER_OF_TWO[5]
    for degree in (4, 3, 2, 1, 0):
        y = y * (power - floor) + _POWER_OF_TWO[degree]
    bits = np.int32((floor + np.float32(127)) * np.float32(2**23))
    return y * bits.view(np.float32)
