"""Noise of dropout that depends on the image alone.

Each image of a training has a number. What is drawn for it follows from that, from the
seed and from the layer: so one device draws what several draw together, a batch in
parts what it draws at once, a run that goes on what it would have drawn, and a backward
pass that computes activations again what the forward pass has drawn.
"""

import contextlib
import functools
import zlib

import tensorflow as tf

from deeplab_tf.models.layers.dropout import noise_from


def numbered(
    numbers: tf.Tensor, *, seed: int
) -> contextlib.AbstractContextManager[None]:
    """Within it, the images of a batch have these numbers; each replica enters it.

    Args:
        numbers: Of the images, int64 `[N]`.
        seed: Of the run.
    """
    return noise_from(functools.partial(_noise, numbers, seed))


def _noise(
    numbers: tf.Tensor, seed: int, name: str, shape: tuple[int, ...]
) -> tf.Tensor:
    """Uniform noise `[N, *shape]` for the layer of a name."""
    key = tf.constant(((zlib.crc32(name.encode()) >> 1) << 32) ^ seed, tf.int64)
    return tf.map_fn(
        lambda number: tf.random.stateless_uniform(shape, tf.stack([key, number])),
        numbers,
        fn_output_signature=tf.float32,
    )
