"""Mean field of the fully connected CRF: lattices, and who computes which part.

The loops let go of the interpreter, so plain threads share them out; numba's own would
end the process where two Python threads start them at once.
"""

import dataclasses
import itertools
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

from deeplab_tf.crf import lattice_loops, numba_loops, permutohedral
from deeplab_tf.crf.lattice_loops import Corners
from deeplab_tf.crf.numba_loops import Lattice

_PARTS = 4  # For each thread, so that none waits long for one that was held up.
_LANES = 8  # Numbers in a vector register; classes are padded to whole ones.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernels:
    """Both kernels of an image; weights and iterations are free to vary.

    Attributes:
        bilateral: Lattice in five dimensions.
        spatial: Lattice in two.
        order: Of the pixels in both: those alike in color and place stand together,
            which halves the time that an iteration takes.
    """

    bilateral: Lattice
    spatial: Lattice
    order: np.ndarray

    def infer(
        self, logits: np.ndarray, *, w1: float, w2: float, iterations: int
    ) -> np.ndarray:
        """As `crf_tensorflow.Kernels.infer`."""
        classes = logits.shape[-1]
        width = -(-classes // _LANES) * _LANES
        unaries = np.full((self.order.size, width), -1e30, np.float32)
        unaries[:, :classes] = logits.reshape(-1, classes)[self.order]
        lattices = self.bilateral, self.spatial
        tables = tuple(_tables(lattice, width) for lattice in lattices)
        values = np.empty_like(unaries)
        weights = np.array([w1, w2], np.float32)
        with _threads() as pool:
            _share(pool, numba_loops.start, self.order.size, unaries, values)
            for _ in range(iterations):
                blurred = tuple(
                    _blurred(pool, lattice, values, pair)
                    for lattice, pair in zip(lattices, tables, strict=True)
                )
                state = unaries, blurred, lattices, weights, values
                _share(pool, numba_loops.update, self.order.size, *state)
        found = np.empty((self.order.size, classes), np.float32)
        found[self.order] = values[:, :classes]
        return found.reshape(logits.shape)


def kernels(
    image: np.ndarray, *, sigmas: tuple[float, float, float], symmetric: bool
) -> Kernels:
    """The kernels of an image.

    Args:
        image: RGB, uint8 `[H, W, 3]`.
        sigmas: Alpha, beta and gamma of `tensorflow_engine.kernels`.
        symmetric: Normalize before and after filtering.
    """
    alpha, beta, gamma = (np.float64(np.float32(sigma)) for sigma in sigmas)
    rows, columns = np.indices(image.shape[:2]).reshape(2, -1)
    positions = np.stack([columns, rows], axis=-1)
    colors = image.reshape(-1, 3)
    features = np.concatenate([positions / alpha, colors / beta], -1, dtype=np.float32)
    with _threads() as pool:
        corners = _corners(pool, features)
        order = lattice_loops.ascending(corners.keys[:, 0], corners.bound)
        features = (positions[order] / gamma).astype(np.float32)
        both = _ordered(corners, order), _corners(pool, features)
        bilateral, spatial = (
            _normalized(pool, lattice, symmetric)
            for lattice in pool.map(_lattice, both)
        )
    return Kernels(bilateral=bilateral, spatial=spatial, order=order)


def _corners(pool: Executor, features: np.ndarray) -> Corners:
    count, dimensions = features.shape
    low, high = permutohedral.reach(features.max(axis=0))
    # Room for corners and their neighbors, and for rounding.
    low, high = np.floor(low).astype(np.int64) - 2, np.floor(high).astype(np.int64) + 4
    bounds = np.cumprod(high - low)
    corners = Corners(
        keys=np.empty((count, dimensions + 1), np.int64),
        weights=np.empty((count, dimensions + 1), np.float32),
        strides=np.append(1, bounds[:-1]),
        bound=int(bounds[-1]),
    )
    state = features, permutohedral.scales(dimensions), low, corners
    _share(pool, lattice_loops.find_corners, count, *state)
    return corners


def _ordered(corners: Corners, order: np.ndarray) -> Corners:
    return corners._replace(keys=corners.keys[order], weights=corners.weights[order])


def _lattice(corners: Corners) -> Lattice:
    keys, dimensions = corners.keys.reshape(-1), len(corners.strides)
    entries = lattice_loops.ascending(keys, corners.bound)
    rows, begins, unique = lattice_loops.numbered(keys, entries)
    steps = np.append(corners.strides, corners.strides.sum())
    neighbors = np.empty((len(steps), 2, len(unique) + 1), np.int32)
    for step, found in zip(steps, neighbors, strict=True):
        lattice_loops.neighbors(unique, step, found)
    inner = max(dimensions - 2, 1)
    changes = np.diff(unique // corners.strides[inner], prepend=-1)
    return Lattice(
        rows=rows.reshape(corners.keys.shape),
        reading=corners.weights,
        begins=begins,
        points=entries // (dimensions + 1),
        spreading=corners.weights.reshape(-1)[entries],
        neighbors=neighbors,
        groups=np.append(np.flatnonzero(changes), len(unique)) + 1,
        inner=inner,
    )


def _normalized(pool: Executor, lattice: Lattice, symmetric: bool) -> Lattice:
    """The normalization as part of the weights."""
    ones = np.ones((len(lattice.rows), 1), np.float32)
    norm = np.empty_like(ones)
    table = _blurred(pool, lattice, ones, _tables(lattice, 1))
    _share(pool, numba_loops.answer, len(norm), table, lattice, norm)
    if not symmetric:
        return lattice._replace(reading=lattice.reading / norm)
    root = np.sqrt(norm)
    return lattice._replace(
        reading=lattice.reading / root,
        spreading=lattice.spreading / root[lattice.points, 0],
    )


def _tables(lattice: Lattice, width: int) -> tuple[np.ndarray, np.ndarray]:
    shape = len(lattice.begins) - 1, width
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)


def _blurred(
    pool: Executor,
    lattice: Lattice,
    values: np.ndarray,
    tables: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """The one of two tables in which the values `[P, C]` end, spread and blurred."""
    _share(pool, numba_loops.begin, len(lattice.groups) - 1, values, lattice, tables)
    table, out = tables if lattice.inner % 2 == 0 else tables[::-1]
    for neighbors in lattice.neighbors[lattice.inner :]:
        _share(pool, numba_loops.blur, len(table), table, neighbors, out)
        table, out = out, table
    return table


def _threads() -> ThreadPoolExecutor:
    """As many as numba would start: all cores, or NUMBA_NUM_THREADS."""
    return ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS)


def _share(pool: Executor, loop: Callable[..., None], count: int, *state: Any) -> None:
    """Runs `loop(*state, first, last)` over parts of 0...count, each in some thread."""
    bounds = np.linspace(0, count, _PARTS * numba.config.NUMBA_NUM_THREADS + 1)
    parts = [int(bound) for bound in bounds]
    running = [
        pool.submit(loop, *state, first, last)
        for first, last in itertools.pairwise(parts)
        if first < last
    ]
    for part in running:
        part.result()
