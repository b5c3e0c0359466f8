"""Large images in tiles that overlap, with the result of the whole.

Reference: Ronneberger et al. 2015, section 2 and figure 2,
https://arxiv.org/abs/1505.04597.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Core = Callable[[np.ndarray], Any]
_MARGIN, _STRIDE, _REST = 92, 16, 4  # Of U-Net.


def by_tiles(core: Core, images: np.ndarray, *, step: int = 384) -> np.ndarray:
    """Logits of images of which the network sees a tile at a time.

    Tiles begin where the network's pools do, so that their logits are those of the
    whole mirrored image.

    Args:
        core: U-Net without padding: `[N, n, m, 3]` -> `[N, n - 184, m - 184, C]`.
        images: `[N, H, W, 3]`, as the core takes them.
        step: Pixels from one tile to the next, a multiple of 16; a tile is 188 longer,
            its result 4.

    Returns:
        `[N, H, W, C]`.
    """
    if step < 1 or step % _STRIDE:
        raise ValueError(f"step={step}: a multiple of {_STRIDE} is needed")
    lengths = images.shape[1:3]
    sides = [max(0, -(-(length - _REST) // _STRIDE)) * _STRIDE for length in lengths]
    height, width = (min(step, side) + _REST for side in sides)
    around = _mirrored(images, sides)
    found = {
        (top, left): np.asarray(
            core(
                around[
                    :,
                    top : top + height + 2 * _MARGIN,
                    left : left + width + 2 * _MARGIN,
                ]
            )
        )
        for top in _origins(sides[0], step)
        for left in _origins(sides[1], step)
    }
    shape = (*(side + _REST for side in sides), found[0, 0].shape[-1])
    whole = np.empty((images.shape[0], *shape), found[0, 0].dtype)
    for (top, left), logits in found.items():
        whole[:, top : top + height, left : left + width] = logits
    return whole[:, : lengths[0], : lengths[1]]


def _mirrored(images: np.ndarray, sides: list[int]) -> np.ndarray:
    pads = [
        (_MARGIN, _MARGIN + side + _REST - length)
        for side, length in zip(sides, images.shape[1:3], strict=True)
    ]
    return np.pad(images, ((0, 0), *pads, (0, 0)), mode="reflect")


def _origins(side: int, step: int) -> list[int]:
    """Where tiles begin; the last one ends where the side does."""
    return [*range(0, side - step, step), max(0, side - step)]
