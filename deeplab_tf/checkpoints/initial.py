"""What a network may start from: any checkpoint, or a file of Keras Applications.

Where the network has a smaller fc6 and fc7 than VGG's image classifier, theirs are
decimated: Chen et al. 2014, section 3.1, https://arxiv.org/abs/1412.7062. Of 7x7
pixels a 4x4 kernel has rows and columns 0, 2, 4, 6, and a 3x3 kernel 0, 3, 6. Of 4096
channels 1024 are every fourth, out of fc6 and into and out of fc7; which ones the
authors kept is not known. Each of several branches (`fc6_1`, ...) starts from the same.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from absl import logging

from deeplab_tf.checkpoints import keras_applications
from deeplab_tf.checkpoints.reader import Stored, open_checkpoint

Slices = tuple[slice, ...]
_DENSE = re.compile(r"(vgg_16/fc[67])(?:_\d+)?(/(?:weights|biases))")
_WHOLE = slice(None)


@dataclasses.dataclass(frozen=True)
class Decimated(Stored):
    """A checkpoint of which a network takes some weights in part.

    Attributes:
        source: The checkpoint; `keys` are names in it.
        parts: Which indices, of those weights.
    """

    source: Stored
    parts: Mapping[str, Slices]

    def values(self, names: Collection[str]) -> dict[str, np.ndarray]:
        found = self.source.values({self.keys[name] for name in names})
        return {
            name: found[self.keys[name]][self.parts.get(name, ())] for name in names
        }


def open_initial(path: str, weights: Mapping[str, Any]) -> Stored:
    """Opens what a network starts from.

    Args:
        path: As `reader.find` takes it, or an `.h5`.
        weights: Of the network, by official name.

    Raises:
        InputError: There is nothing that could be read.
    """
    if keras_applications.is_file(path):
        scopes = {name.split("/")[0] for name in weights}
        stored: Stored = keras_applications.open_file(path, scopes)
    else:
        stored = open_checkpoint(path)
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    return decimated(stored, shapes)


def decimated(stored: Stored, shapes: Mapping[str, tuple[int, ...]]) -> Stored:
    """The checkpoint, with fc6 and fc7 in the shapes that a network has of them.

    Those that cannot be had from it by leaving out stay as they are.
    """
    sources = {
        name: "".join(match.groups())
        for name in shapes
        if (match := _DENSE.fullmatch(name))
    }
    parts: dict[str, Slices] = {}
    for name, source in sources.items():
        has, wants = stored.shapes.get(source), shapes[name]
        if has and stored.shapes.get(name) != wants and (part := _part(has, wants)):
            parts[name] = part
    if not parts:
        return stored
    taken = {sources[name] for name in parts}
    logging.info("%s: %s decimated", stored.prefix, ", ".join(sorted(taken)))
    keys = {name: name for name in stored.keys if name not in taken}
    return Decimated(
        prefix=stored.prefix,
        keys=keys | {name: sources[name] for name in parts},
        shapes={**stored.shapes, **{name: shapes[name] for name in parts}},
        source=stored,
        parts=parts,
    )


def _part(has: tuple[int, ...], wants: tuple[int, ...]) -> Slices | None:
    """Which indices of a kernel, or of biases, make one of the wanted shape."""
    if len(has) != len(wants):
        return None
    spatial = len(has) - 2  # Negative for biases.
    pairs = zip(has, wants, strict=True)
    found = [
        _evenly(n, m) if axis < spatial else _every(n, m)
        for axis, (n, m) in enumerate(pairs)
    ]
    return None if None in found else tuple(part for part in found if part)


def _evenly(n: int, m: int) -> slice | None:
    """Indices of m of n pixels at equal distances, with the first and the last."""
    if n == m:
        return _WHOLE
    fits = 1 < m < n and (n - 1) % (m - 1) == 0
    return slice(None, None, (n - 1) // (m - 1)) if fits else None


def _every(n: int, m: int) -> slice | None:
    """Indices of m of n channels at equal distances, with the first."""
    return None if n % m else slice(None, None, n // m)
