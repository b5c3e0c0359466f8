"""Compiled loops that build a lattice; each frees the interpreter for other threads."""

from typing import NamedTuple

import numba
import numpy as np
from numpy import ndarray

compiled = numba.njit(nogil=True, cache=True)

_DIGIT_BITS = 11  # Of the radix sort: the counters of a digit stay in the first cache.


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


@compiled
def find_corners(
    features: ndarray,
    scales: ndarray,
    low: ndarray,
    out: Corners,
    first: int,
    last: int,
) -> None:
    """Writes the corners of points first...last, as `permutohedral` finds them.

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
    """Writes `[2, M + 1]`: rows of the vertices one step on and back of M keys.

    Args:
        keys: Of rows 1...M, ascending.
        step: Between the keys of neighbors.
        found: The result; 0 where there is no such vertex.
    """
    found[:] = 0
    j = 0
    for i in range(keys.size):
        wanted = keys[i] + step
        while j < keys.size and keys[j] < wanted:
            j += 1
        if j < keys.size and keys[j] == wanted:
            found[0, i + 1] = j + 1
            found[1, j + 1] = i + 1
