"""Numbers of the permutohedral lattice: what its engines share, in NumPy alone.

Worker processes of the compiled engine load this, and no TensorFlow.
"""

import numpy as np

from deeplab_tf.errors import InputError

# Of a vertex's key; what the coordinates leave tells the images of a batch apart.
COORDINATE_BITS = 55


def scales(dimensions: int) -> np.ndarray:
    """Factor of each feature before it is embedded, for a blur of one deviation: `[d]`.

    Lengths of the columns of matrix E in section 3, times the deviation of the
    blur; float32.
    """
    rank = np.arange(1, dimensions + 1)
    deviation = np.float32(np.sqrt(2 / 3) * (dimensions + 1))
    return (deviation / np.sqrt(rank * (rank + 1.0))).astype(np.float32)


def strides(dimensions: int) -> np.ndarray:
    """What a step along each axis adds to the key of a vertex, int64 `[d]`."""
    return 2 ** (COORDINATE_BITS // dimensions * np.arange(dimensions, dtype=np.int64))


def reach(extent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest coordinates of points in a box, float64 `[d]` each.

    Args:
        extent: Greatest value of each feature, `[d]`; the least is 0.
    """
    dimensions = len(extent)
    scaled = extent * scales(dimensions).astype(np.float64)
    sums = np.cumsum(scaled[::-1])[::-1]
    ranked = np.arange(1, dimensions + 1) * scaled
    low = -np.append(0.0, ranked[:-1]) / (dimensions + 1)
    return low, (sums + ranked[-1]) / (dimensions + 1)


def fits(extent: np.ndarray) -> bool:
    """Whether the keys of all vertices around points in a box are different.

    Args:
        extent: Of `reach`.
    """
    low, high = reach(extent)
    # A corner lies within one step of its point, and a neighbor within two.
    return bool((high - low).max() + 4 < 2 ** (COORDINATE_BITS // len(extent)))


def refuse_small_sigmas(
    image: np.ndarray, sigma_alpha: float, sigma_beta: float, sigma_gamma: float
) -> None:
    """Raises an InputError where an image has too many deviations to be told apart."""
    height, width = image.shape[:2]
    positions, colors = np.array([width, height], float), np.full(3, 255.0)
    bilateral = np.append(positions / sigma_alpha, colors / sigma_beta)
    if not fits(bilateral):
        given = f"sigma_alpha={sigma_alpha}, sigma_beta={sigma_beta}"
    elif not fits(positions / sigma_gamma):
        given = f"sigma_gamma={sigma_gamma}"
    else:
        return
    raise InputError(f"{given}: too small for an image of {height} x {width} pixels")
