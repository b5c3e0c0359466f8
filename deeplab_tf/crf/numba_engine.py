"""The fully connected CRF in compiled loops: the fastest engine; needs numba.

The loops let go of the interpreter, so plain threads share them out; numba's own would
end the process where two Python threads start them at once. No TensorFlow is loaded.
"""

import dataclasses
import itertools
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Literal

import numpy as np

from deeplab_tf.crf import lattice_math
from deeplab_tf.crf.lattice_math import refuse_small_sigmas

try:
    import numba

    from deeplab_tf.crf import numba_loops
    from deeplab_tf.crf.numba_loops import Corners, NumbaLattice
except ImportError as error:
    raise ImportError(
        "the CRF's numba engine needs numba: pip install 'deeplab-tf[fast]'"
    ) from error

_PARTS = 4  # For each thread, so that none waits long for one that was held up.
_LANES = 8  # Numbers in a vector register; classes are padded to whole ones.


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumbaCrf:
    """The fully connected CRF of an image; weights and iterations are free to vary.

    Attributes:
        bilateral: Lattice in five dimensions.
        spatial: Lattice in two.
        order: Of the pixels in both: those alike in color and place stand together,
            which halves the time that an iteration takes.
    """

    bilateral: NumbaLattice
    spatial: NumbaLattice
    order: np.ndarray

    def mean_field(
        self, logits: np.ndarray, *, w1: float, w2: float, iterations: int
    ) -> np.ndarray:
        """Mean-field inference: as `TensorFlowCrf.mean_field`."""
        classes = logits.shape[-1]
        width = -(-classes // _LANES) * _LANES
        unaries = np.full((self.order.size, width), -1e30, np.float32)
        unaries[:, :classes] = logits.reshape(-1, classes)[self.order]
        lattices = self.bilateral, self.spatial
        tables = tuple(_allocate_tables(lattice, width) for lattice in lattices)
        values = np.empty_like(unaries)
        weights = np.array([w1, w2], np.float32)
        with _thread_pool() as pool:
            _run_in_threads(
                pool, numba_loops.initialize_marginals, self.order.size, unaries, values
            )
            for _ in range(iterations):
                blurred = tuple(
                    _splat_and_blur(pool, lattice, values, pair)
                    for lattice, pair in zip(lattices, tables, strict=True)
                )
                state = unaries, blurred, lattices, weights, values
                _run_in_threads(
                    pool, numba_loops.update_marginals, self.order.size, *state
                )
        marginals = np.empty((self.order.size, classes), np.float32)
        marginals[self.order] = values[:, :classes]
        return marginals.reshape(logits.shape)


def dense_crf(
    image: np.ndarray,
    *,
    sigma_alpha: float,
    sigma_beta: float,
    sigma_gamma: float,
    normalization: Literal["after", "symmetric"],
) -> NumbaCrf:
    """The fully connected CRF of an image, as `tensorflow_engine.dense_crf`.

    The first call compiles for half a minute; numba keeps the result on disk.

    Raises:
        InputError: A deviation is too small for the lattice.
    """
    refuse_small_sigmas(image, sigma_alpha, sigma_beta, sigma_gamma)
    sigmas = sigma_alpha, sigma_beta, sigma_gamma
    alpha, beta, gamma = (np.float64(np.float32(sigma)) for sigma in sigmas)
    rows, columns = np.indices(image.shape[:2]).reshape(2, -1)
    positions = np.stack([columns, rows], axis=-1)
    colors = image.reshape(-1, 3)
    features = np.concatenate([positions / alpha, colors / beta], -1, dtype=np.float32)
    with _thread_pool() as pool:
        corners = _find_corners(pool, features)
        order = numba_loops.argsort_keys(corners.keys[:, 0], corners.bound)
        features = (positions[order] / gamma).astype(np.float32)
        both = _reorder(corners, order), _find_corners(pool, features)
        bilateral, spatial = (
            _normalize(pool, lattice, normalization)
            for lattice in pool.map(_build_lattice, both)
        )
    return NumbaCrf(bilateral=bilateral, spatial=spatial, order=order)


def _find_corners(pool: Executor, features: np.ndarray) -> Corners:
    count, dimensions = features.shape
    low, high = lattice_math.reach(features.max(axis=0))
    # Room for corners and their neighbors, and for rounding.
    low, high = np.floor(low).astype(np.int64) - 2, np.floor(high).astype(np.int64) + 4
    bounds = np.cumprod(high - low)
    corners = Corners(
        keys=np.empty((count, dimensions + 1), np.int64),
        weights=np.empty((count, dimensions + 1), np.float32),
        strides=np.append(1, bounds[:-1]),
        bound=int(bounds[-1]),
    )
    state = features, lattice_math.scales(dimensions), low, corners
    _run_in_threads(pool, numba_loops.find_corners, count, *state)
    return corners


def _reorder(corners: Corners, order: np.ndarray) -> Corners:
    return corners._replace(keys=corners.keys[order], weights=corners.weights[order])


def _build_lattice(corners: Corners) -> NumbaLattice:
    keys, dimensions = corners.keys.reshape(-1), len(corners.strides)
    entries = numba_loops.argsort_keys(keys, corners.bound)
    rows, begins, unique = numba_loops.number_vertices(keys, entries)
    steps = np.append(corners.strides, corners.strides.sum())
    neighbors = np.empty((len(steps), 2, len(unique) + 1), np.int32)
    for step, out in zip(steps, neighbors, strict=True):
        numba_loops.find_neighbors(unique, step, out)
    inner = max(dimensions - 2, 1)
    changes = np.diff(unique // corners.strides[inner], prepend=-1)
    return NumbaLattice(
        rows=rows.reshape(corners.keys.shape),
        slice_weights=corners.weights,
        begins=begins,
        points=entries // (dimensions + 1),
        splat_weights=corners.weights.reshape(-1)[entries],
        neighbors=neighbors,
        groups=np.append(np.flatnonzero(changes), len(unique)) + 1,
        inner=inner,
    )


def _normalize(
    pool: Executor, lattice: NumbaLattice, normalization: str
) -> NumbaLattice:
    """The normalization as part of the weights."""
    ones = np.ones((len(lattice.rows), 1), np.float32)
    norm = np.empty_like(ones)
    table = _splat_and_blur(pool, lattice, ones, _allocate_tables(lattice, 1))
    _run_in_threads(pool, numba_loops.slice_values, len(norm), table, lattice, norm)
    if normalization == "after":
        return lattice._replace(slice_weights=lattice.slice_weights / norm)
    root = np.sqrt(norm)
    return lattice._replace(
        slice_weights=lattice.slice_weights / root,
        splat_weights=lattice.splat_weights / root[lattice.points, 0],
    )


def _allocate_tables(
    lattice: NumbaLattice, width: int
) -> tuple[np.ndarray, np.ndarray]:
    shape = len(lattice.begins) - 1, width
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)


def _splat_and_blur(
    pool: Executor,
    lattice: NumbaLattice,
    values: np.ndarray,
    tables: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """The one of two tables in which the values `[P, C]` end, splatted and blurred."""
    _run_in_threads(
        pool,
        numba_loops.splat_and_blur,
        len(lattice.groups) - 1,
        values,
        lattice,
        tables,
    )
    table, out = tables if lattice.inner % 2 == 0 else tables[::-1]
    for neighbors in lattice.neighbors[lattice.inner :]:
        _run_in_threads(pool, numba_loops.blur, len(table), table, neighbors, out)
        table, out = out, table
    return table


def _thread_pool() -> ThreadPoolExecutor:
    """As many as numba would start: all cores, or NUMBA_NUM_THREADS."""
    return ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS)


def _run_in_threads(
    pool: Executor, loop: Callable[..., None], count: int, *state: Any
) -> None:
    """Runs `loop(*state, first, last)` over parts of 0...count, each in some thread."""
    bounds = np.linspace(0, count, _PARTS * numba.config.NUMBA_NUM_THREADS + 1)
    parts = [int(bound) for bound in bounds]
    futures = [
        pool.submit(loop, *state, first, last)
        for first, last in itertools.pairwise(parts)
        if first < last
    ]
    for future in futures:
        future.result()
