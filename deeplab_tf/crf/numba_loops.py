"""Compiled loops of mean field; each frees the interpreter for other threads.

A table has a row for each vertex of a lattice and a column for each class; row 0 is the
vertex that does not exist and stays zero. All are float32.
"""

from typing import NamedTuple

import numba
import numpy as np
from numpy import ndarray
from numpy.polynomial import Chebyshev, Polynomial

# Sums may be reordered: only so do they become vector instructions.
relaxed = numba.njit(nogil=True, cache=True, fastmath=True)

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
def answer(
    table: ndarray, lattice: Lattice, out: ndarray, first: int, last: int
) -> None:
    """Writes `[P, C]`: what points first...last read of a table."""
    for point in range(first, last):
        out[point] = 0
        for corner in range(lattice.rows.shape[1]):
            row, weight = term(lattice, np.float32(1), point, corner)
            for c in range(out.shape[1]):
                out[point, c] += weight * table[row, c]


@relaxed
def term(lattice: Lattice, weight: float, point: int, corner: int) -> tuple[int, float]:
    """The row of a corner, and how much of it its point reads."""
    return lattice.rows[point, corner], weight * lattice.reading[point, corner]


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
    """Writes the probabilities of points first...last, from all that they read.

    The nine corners in one sum: in a loop, it would take twice the time.
    """
    five, two = lattices
    colors, places = tables
    sums = np.empty(logits.shape[1], np.float32)
    for point in range(first, last):
        a, of_a = term(five, weights[0], point, 0)
        b, of_b = term(five, weights[0], point, 1)
        c, of_c = term(five, weights[0], point, 2)
        d, of_d = term(five, weights[0], point, 3)
        e, of_e = term(five, weights[0], point, 4)
        f, of_f = term(five, weights[0], point, 5)
        g, of_g = term(two, weights[1], point, 0)
        h, of_h = term(two, weights[1], point, 1)
        i, of_i = term(two, weights[1], point, 2)
        for k in range(sums.size):
            sums[k] = (
                logits[point, k]
                + (of_a * colors[a, k] + of_b * colors[b, k] + of_c * colors[c, k])
                + (of_d * colors[d, k] + of_e * colors[e, k] + of_f * colors[f, k])
                + (of_g * places[g, k] + of_h * places[h, k] + of_i * places[i, k])
            )
        softmax(sums, out[point])


@relaxed
def softmax(logits: ndarray, out: ndarray) -> None:
    """Writes the probabilities of `[C]`."""
    top = logits[0]
    for k in range(logits.size):
        top = max(top, logits[k])
    total = np.float32(0)
    for k in range(logits.size):
        share = exponential(logits[k] - top)
        total += share
        out[k] = share
    for k in range(logits.size):
        out[k] *= np.float32(1) / total


@relaxed
def exponential(x: float) -> float:
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
