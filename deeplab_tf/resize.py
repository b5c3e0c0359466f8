"""Corner-aligned resizing: the first and last pixels of both images coincide.

Caffe's Interp and TensorFlow 1's `align_corners=True` do this; the half-pixel resize of
`tf.image.resize` is another function and shifts every border.

Networks on another backend of Keras import this module, too, but never TensorFlow.
"""

from typing import Any

import numpy as np

Tensor = Any  # Of TensorFlow, which loads only where it is needed.


def bilinear(images: Tensor, size: tuple[int, int] | Tensor) -> Tensor:
    """Bilinear interpolation of `[N, H, W, C]` to `[N, *size, C]`; floats stay so."""
    import tensorflow as tf

    images = tf.convert_to_tensor(images)
    resized = tf.raw_ops.ResizeBilinear(images=images, size=size, align_corners=True)
    return tf.cast(resized, images.dtype) if images.dtype.is_floating else resized


def nearest(images: Tensor, size: tuple[int, int] | Tensor) -> Tensor:
    """Nearest neighbors of `[N, H, W, C]`, halves rounded up: `[N, *size, C]`.

    Those of int32 and int64, which are below 2^24, go through float32: neither GPUs nor
    LiteRT have this for them.
    """
    import tensorflow as tf

    images = tf.convert_to_tensor(images)
    kind = images.dtype
    if kind in (tf.int32, tf.int64):
        images = tf.cast(images, tf.float32)
    resized = tf.raw_ops.ResizeNearestNeighbor(
        images=images, size=size, align_corners=True
    )
    return tf.cast(resized, kind)


def scale_length(length: int | Tensor, scale: float | Tensor) -> int | Tensor:
    """Length of a side at another scale, so that corners stay aligned.

    `(length - 1) * scale + 1`, truncated: 513 at 1/16 is 33. Arithmetic is that of the
    official code: float32 for tensors, float64 for Python numbers.
    """
    if isinstance(length, int | np.integer):
        return int((length - 1.0) * scale + 1.0)
    import tensorflow as tf

    return tf.cast((tf.cast(length, tf.float32) - 1.0) * scale + 1.0, tf.int32)
