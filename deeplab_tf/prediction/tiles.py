"""Tiles, of settings or of arguments; loads no TensorFlow."""

from collections.abc import Sequence
from typing import Literal

from deeplab_tf.config import TileConfig
from deeplab_tf.errors import InputError
from deeplab_tf.runtime import Tiles

TileSize = int | Sequence[int] | None  # A side, or height and width.
Blend = Literal["probabilities", "logits"]


def make_tiles(config: TileConfig) -> Tiles | None:
    """The tiles of a command's settings; None without any."""
    if config.tile is None:
        return None
    return Tiles(config.tile, config.tile_overlap, config.tile_blend)


def tiles_of(tile: TileSize, overlap: TileSize, blend: Blend) -> Tiles | None:
    """The tiles of arguments, checked as flags are; None without a size.

    Raises:
        InputError: One is not usable, or has no effect.
    """
    if tile is None:
        if overlap is not None:
            raise InputError(f"tile_overlap={overlap}: has no effect without tile")
        return None
    config = TileConfig(
        tile=_pair("tile", tile),
        tile_overlap=None if overlap is None else _pair("tile_overlap", overlap),
        tile_blend=blend,
    )
    return make_tiles(config)


def _pair(name: str, size: int | Sequence[int]) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) for side in pair):
        raise InputError(
            f"{name}={size}: a whole number is needed, or height and width"
        )
    return pair
