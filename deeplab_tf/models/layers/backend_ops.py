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
    """Output, moving mean and variance after it, from TensorFlow's one kernel for it.

    Keras composes batch norm of many passes over memory: a training step of
    MobileNetV2 takes 1.2 to 1.5 times as long on a CPU (docs/design.md).

    Args:
        x: `[N, H, W, C]`, of half precision, too.
        layer: Of batch norm, for its weights, which are float32.
        training: Normalize by the batch, of which the moving statistics take a share,
            or by these.
    """
    import tensorflow as tf

    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=layer.gamma,
        offset=layer.beta,
        mean=layer.moving_mean,
        variance=layer.moving_variance,
        epsilon=layer.epsilon,
        exponential_avg_factor=1.0 - layer.momentum if training else 1.0,
        is_training=training,
    )[:3]


def affine_batch_norm(x: Tensor, layer: Any) -> Tensor:
    """By the moving statistics: `x * rate + bias` of each channel, in float32 inside.

    On a CPU, as fast as the kernel. On a GPU, this has a deterministic gradient, and
    the kernel has none.
    """
    rate, bias = affine_of_batch_norm(layer)
    # `ops.add`: its gradient is that of a bias, by exacter sums than those of `+`.
    return ops.cast(ops.add(ops.cast(x, "float32") * rate, bias), x.dtype)


def affine_of_batch_norm(layer: Any) -> tuple[Tensor, Tensor]:
    """What frozen batch norm multiplies by, and adds, `[C]` each."""
    rate = layer.gamma * ops.rsqrt(layer.moving_variance + layer.epsilon)
    return rate, layer.beta - layer.moving_mean * rate


def composed_batch_norm(
    x: Tensor, layer: Any, *, training: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The same of several ops, for any backend."""
    values = ops.cast(x, "float32")
    mean, variance = layer.moving_mean, layer.moving_variance
    if training:
        mean, variance = ops.moments(values, (0, 1, 2))
    y = ops.batch_normalization(
        values, mean, variance, -1, layer.beta, layer.gamma, layer.epsilon
    )
    y = ops.cast(y, x.dtype)
    if not training:
        return y, mean, variance
    count = ops.cast(ops.prod(ops.shape(x)[:3]), "float32")
    unbiased = variance * count / ops.maximum(count - 1.0, 1.0)
    return y, *_moved(layer, mean, unbiased)


def _moved(layer: Any, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """The moving mean and variance after a batch of this mean and unbiased variance."""
    old, new = layer.momentum, 1.0 - layer.momentum
    return (
        layer.moving_mean * old + mean * new,
        layer.moving_variance * old + variance * new,
    )


def synchronized_batch_norm(x: Tensor, layer: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Synchronized batch norm: in training, over the batches of all replicas.

    TensorFlow's kernel takes the statistics of each replica, and one all-reduce brings
    together those of all (Chan, Golub & LeVeque 1979, equation 2.1), as it is for
    batches of one size:

        mean = E[mean_r],  variance = E[variance_r + (mean_r - mean)^2]

    A mean of squares less a squared mean, as Keras has it, leaves few digits where the
    mean is large beside the deviation; gradients differed by a thousandth. The backward
    pass (Ioffe & Szegedy 2015, section 3, https://arxiv.org/abs/1502.03167) has a
    second all-reduce, of the sums of a replica; both have two numbers a channel.

    Args:
        x: `[N, H, W, C]` of a replica, as many values as on each other one; of half
            precision, too.
        layer: Of batch norm, for its weights, which are float32.

    Returns:
        Output, moving mean and variance after it; the latter two have no gradient.
    """
    import tensorflow as tf

    epsilon = layer.epsilon
    forward = tf.custom_gradient(
        lambda x, gamma, beta: _normalize_by_all_replicas(x, gamma, beta, epsilon)
    )
    weights = map(tf.convert_to_tensor, (layer.gamma, layer.beta))
    y, mean, variance = forward(x, *weights)
    return y, *_moved(layer, mean, variance)


def _normalize_by_all_replicas(
    x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float
) -> tuple[tuple[Tensor, Tensor, Tensor], Any]:
    """Output, mean and unbiased variance of all replicas; and the backward pass."""
    import tensorflow as tf

    ones, zeros, none = tf.ones_like(gamma), tf.zeros_like(beta), tf.zeros([0])
    replica = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=ones,
        offset=zeros,
        mean=none,
        variance=none,
        epsilon=epsilon,
        is_training=True,
    )
    values = _values_a_channel(x)
    count = values * tf.distribute.get_replica_context().num_replicas_in_sync
    own_mean = replica.batch_mean
    own_variance = _biased(replica.batch_variance, values)
    mean, variance = _over_replicas(own_mean, own_variance)
    rate = tf.math.rsqrt(variance + epsilon)

    def backward(dy: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=dy,
            x=x,
            scale=ones,
            reserve_space_1=replica.reserve_space_1,
            reserve_space_2=replica.reserve_space_2,
            reserve_space_3=replica.reserve_space_3,
            epsilon=epsilon,
            is_training=True,
        )
        # Of dy, and of dy times the normalized x: by all statistics, no more by those
        # of the replica.
        total = own.offset_backprop
        times_x = own.scale_backprop * tf.sqrt(own_variance + epsilon)
        times_x = (times_x + (own_mean - mean) * total) * rate
        means = _sum_over_replicas(tf.stack([total, times_x])) / count
        dx = _normalize(dy, means[0], variance, gamma, zeros, epsilon)
        slope = -gamma * rate * means[1]
        dx += _normalize(x, mean, variance, slope, zeros, epsilon)
        return dx, times_x, total

    y = _normalize(x, mean, variance, gamma, beta, epsilon)
    return (y, mean, _unbiased(variance, count)), backward


def _normalize(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    scale: Tensor,
    offset: Tensor,
    epsilon: float,
) -> Tensor:
    """By given statistics, in one kernel, in float32 inside."""
    import tensorflow as tf

    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=False,
    ).y


def _values_a_channel(x: Tensor) -> Any:
    """How many there are: a number where the shape is known, as in training."""
    import tensorflow as tf

    count = x.shape[:-1].num_elements()
    if count is None:
        return tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), tf.float32)
    return float(count)


def _unbiased(variance: Tensor, values: Any) -> Tensor:
    """The variance of so many values, as a moving variance takes it."""
    import tensorflow as tf

    greatest = max if isinstance(values, float) else tf.maximum
    return variance * (values / greatest(values - 1.0, 1.0))


def _biased(unbiased: Tensor, values: Any) -> Tensor:
    """The variance of so many values; of one, cuDNN divides nothing by nothing."""
    import tensorflow as tf

    if isinstance(values, float):
        share = 1.0 - 1.0 / values
        return unbiased * share if share else tf.zeros_like(unbiased)
    return tf.where(values > 1.0, unbiased * (1.0 - 1.0 / values), 0.0)


def _over_replicas(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of all replicas' values, from those of each, `[C]`.

    The sum has a row for each replica, in which all others are zero: a gather, which
    TensorFlow has of two collectives, and not under XLA.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    row = tf.one_hot(context.replica_id_in_sync_group, context.num_replicas_in_sync)
    rows = _sum_over_replicas(row[:, None, None] * tf.stack([mean, variance]))
    means, variances = tf.unstack(rows, axis=1)
    whole = tf.reduce_mean(means, 0)
    return whole, tf.reduce_mean(variances + tf.square(means - whole), 0)


def _sum_over_replicas(values: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.distribute.get_replica_context().all_reduce("SUM", values)
