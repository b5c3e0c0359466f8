"""The loops of `crf_numba`, compiled; each frees the interpreter for other threads.

Tables have a row for each vertex of a lattice, and a column for each class; row 0 is the
vertex that does not exist and stays zero. Integers are int64, other numbers float32,
unless said otherwise.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy import ndarray
from numpy.polynomial import Chebyshev, Polynomial

compiled = numba.njit(nogil=True, cache=True)
# Sums may be reordered: only so do they become vector instructions.
relaxed = numba.njit(nogil=True, cache=True, fastmath=True)

_DIGIT_BITS = 11  # Of the radix sort: the counters of a digit stay in the first cache.

_POWER_OF_TWO = (
    Chebyshev.interpolate(np.exp2, 5, domain=[0, 1])
    .convert(kind=Polynomial)
    .coef.astype(np.float32)
)


class Lattice(NamedTuple):
    """Where P points lie among M vertices.

    Attributes:
        rows: Of the corners of each point, int32 `[P, d + 1]`,
        reading: and how much of each a point reads.
        begins: Where in the next two the points around a vertex begin, `[M + 2]`.
        points: Int32 `[P * (d + 1)]`,
        spreading: and how much of each is spread.
        neighbors: As in `permutohedral.Lattice`.
        groups: First rows of groups of vertices that some directions do not leave, and
            the end of the last.
        inner: How many directions do not: so many of the first.
    """

    rows: ndarray
    reading: ndarray
    begins: ndarray
    points: ndarray
    spreading: ndarray
    neighbors: ndarray
    groups: ndarray
    inner: int


@compiled
def corners(features: ndarray, scales: ndarray, low: ndarray, strides: ndarray, keys: ndarray, weights: ndarray, start: int, stop: int) -> None:
    """Writes keys and weights, `[P, d + 1]`, of what `permutohedral._corners` finds.

    In the same order and precision, so that the same vertices come to be.
    """
    dimensions = features.shape[1]
    embedded = np.empty(dimensions + 1, np.float32)
    fractions = np.empty(dimensions + 1)
    axes = np.empty(dimensions, np.int64)
    for point in range(start, stop):
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


@compiled
def ascending(keys: ndarray, bound: int) -> ndarray:
    """Order in which keys of 0...bound ascend, equal ones as they come: int32."""
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


@compiled
def numbered(keys: ndarray, order: ndarray) -> tuple[ndarray, ndarray, ndarray]:
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


@compiled
def neighbors(keys: ndarray, step: int, found: ndarray) -> None:
    """Writes rows of the vertices one step on and back of ascending keys, `[2, M + 1]`."""
    found[:] = 0
    j = 0
    for i in range(keys.size):
        wanted = keys[i] + step
        while j < keys.size and keys[j] < wanted:
            j += 1
        if j < keys.size and keys[j] == wanted:
            found[0, i + 1] = j + 1
            found[1, j + 1] = i + 1


@relaxed
def spread(
    values: ndarray, lattice: Lattice, table: ndarray, first: int, last: int
) -> None:
    """Writes rows first...last: sums of the values at the points around a vertex."""
    for row in range(first, last):
        for c in range(table.shape[1]):
            table[row, c] = 0
        for i in range(lattice.begins[row], lattice.begins[row + 1]):
            point, weight = lattice.points[i], lattice.spreading[i]
            for c in range(table.shape[1]):
                table[row, c] += weight * values[point, c]


@relaxed
def blur(
    table: ndarray, neighbors: ndarray, out: ndarray, first: int, last: int
) -> None:
    """Writes rows first...last of a table blurred along one direction."""
    for row in range(first, last):
        following, preceding = neighbors[0, row], neighbors[1, row]
        for c in range(table.shape[1]):
            sides = table[following, c] + table[preceding, c]
            out[row, c] = np.float32(2) * table[row, c] + sides


@relaxed
def begin(
    values: ndarray,
    lattice: Lattice,
    tables: tuple[ndarray, ndarray],
    first: int,
    last: int,
) -> None:
    """Spreads and blurs groups first...last as far as they are on their own.

    All in the cache: the tables as a whole are too large for it.
    """
    for group in range(first, last):
        top, end = lattice.groups[group], lattice.groups[group + 1]
        spread(values, lattice, tables[0], top, end)
        table, out = tables
        for direction in range(lattice.inner):
            blur(table, lattice.neighbors[direction], out, top, end)
            table, out = out, table


@relaxed
def read(
    table: ndarray, lattice: Lattice, point: int, weight: float, sums: ndarray
) -> None:
    """Adds to `[C]` what a point reads of a table."""
    for j in range(0, lattice.rows.shape[1], 3):  # There are three or six corners.
        a, b, c = (
            lattice.rows[point, j],
            lattice.rows[point, j + 1],
            lattice.rows[point, j + 2],
        )
        of_a = weight * lattice.reading[point, j]
        of_b = weight * lattice.reading[point, j + 1]
        of_c = weight * lattice.reading[point, j + 2]
        for k in range(sums.size):
            sums[k] += of_a * table[a, k] + of_b * table[b, k] + of_c * table[c, k]


@relaxed
def answer(
    table: ndarray, lattice: Lattice, out: ndarray, first: int, last: int
) -> None:
    """Writes `[P, C]`, what points first...last read of a table."""
    for point in range(first, last):
        out[point] = 0
        read(table, lattice, point, np.float32(1), out[point])


@relaxed
def start(logits: ndarray, out: ndarray, first: int, last: int) -> None:
    """Writes the probabilities of points first...last."""
    for point in range(first, last):
        softmax(logits[point], out[point])


@relaxed
def update(
    logits: ndarray,
    tables: tuple[ndarray, ndarray],
    lattices: tuple[Lattice, Lattice],
    weights: ndarray,
    out: ndarray,
    first: int,
    last: int,
) -> None:
    """Writes the probabilities of points first...last, all they read considered."""
    sums = np.empty(logits.shape[1], np.float32)
    for point in range(first, last):
        sums[:] = logits[point]
        read(tables[0], lattices[0], point, weights[0], sums)
        read(tables[1], lattices[1], point, weights[1], sums)
        softmax(sums, out[point])


@relaxed
def softmax(logits: ndarray, out: ndarray) -> None:
    """Writes the probabilities of `[C]`."""
    top = logits[0]
    for c in range(logits.size):
        top = max(top, logits[c])
    total = np.float32(0)
    for c in range(logits.size):
        out[c] = exponential(logits[c] - top)
        total += out[c]
    share = np.float32(1) / total
    for c in range(logits.size):
        out[c] *= share


@relaxed
def exponential(x: float) -> float:
    """To 3e-7 of the value; as vector instructions, which NumPy's is not here.

    A whole power of two by its bits, and the rest, of 2^0...2^1, by a polynomial.
    """
    x = max(x * np.float32(1.4426950408889634), np.float32(-126))
    floor = np.floor(x)
    rest = x - floor
    y = _POWER_OF_TWO[5]
    for degree in (4, 3, 2, 1, 0):
        y = y * rest + _POWER_OF_TWO[degree]
    bits = np.int32(np.int32(floor) + np.int32(127)) << np.int32(23)
    return y * np.int32(bits).view(np.float32)
