"""Backend ops: two with one kernel of TensorFlow each; other backends compose them."""

from typing import Any

import keras
import numpy as np
from keras import ops

from deeplab_tf import resize

Tensor = Any  # A KerasTensor; Keras ships no types.


def on_tensorflow() -> bool:
    """Whether Keras computes with TensorFlow."""
    return keras.backend.backend() == "tensorflow"


def resize_bilinear(x: Tensor, size: Any) -> Tensor:
    """Bilinear, corner-aligned: `[N, h, w, C]` -> `[N, *size, C]`, in float32 inside.

    Args:
        x: Features.
        size: Height and width; tensors only on TensorFlow.
    """
    if on_tensorflow():
        return resize.bilinear(x, size)
    height, width = x.shape[1:3]
    y = ops.cast(x, "float32")
    y = ops.einsum("nhwc,ih->niwc", y, hats(height, size[0]))
    y = ops.einsum("nhwc,jw->nhjc", y, hats(width, size[1]))
    return ops.cast(y, x.dtype)


def hats(length: int, size: int) -> np.ndarray:
    """What each of `length` pixels weighs in each of `size`, `[size, length]`."""
    step = np.float32(length - 1) / np.float32(max(size - 1, 1))
    places = np.arange(size, dtype=np.float32) * (step if size > 1 else np.float32(0))
    distances = np.abs(places[:, np.newaxis] - np.arange(length, dtype=np.float32))
    return np.maximum(1 - distances, 0)


def fused_batch_norm(
    x: Tensor, layer: Any, *, training: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, mean and unbiased variance, from TensorFlow's one kernel for it.

    Keras composes batch norm of many passes over memory: a training step of
    MobileNetV2 takes 1.2 to 1.5 times as long on a CPU (docs/design.md).

    Args:
        x: `[N, H, W, C]`, of half precision, too.
        layer: Of batch norm, for its weights, which are float32.
        training: Normalize by the batch, or by the moving statistics.
    """
    import tensorflow as tf

    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=layer.gamma,
        offset=layer.beta,
        mean=layer.moving_mean,
        variance=layer.moving_variance,
        epsilon=layer.epsilon,
        is_training=training,
    )[:3]


def composed_batch_norm(
    x: Tensor, layer: Any, *, training: bool, replicas: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """The same of several ops, for any backend, or over the batches of replicas."""
    values = ops.cast(x, "float32")
    mean, variance = layer.moving_mean, layer.moving_variance
    if training:
        mean, variance = ops.moments(values, (0, 1, 2))
        if replicas > 1:
            mean, variance = _over_replicas(mean, variance)
    y = ops.batch_normalization(
        values, mean, variance, -1, layer.beta, layer.gamma, layer.epsilon
    )
    count = ops.cast(ops.prod(ops.shape(x)[:3]) * replicas, "float32")
    unbiased = variance * count / ops.maximum(count - 1.0, 1.0)
    return ops.cast(y, x.dtype), mean, unbiased


def _over_replicas(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of all replicas' values, from those of each.

    Keras subtracts the squared mean from the mean of squares, which leaves few digits
    where the mean is large beside the deviation; gradients differed by a thousandth.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    count = context.num_replicas_in_sync
    whole = context.all_reduce("SUM", mean) / count
    spread = variance + tf.square(mean - whole)
    return whole, context.all_reduce("SUM", spread) / count
