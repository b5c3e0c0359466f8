"""Gradient accumulation: a batch in parts, of which each adds up its gradients."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf


def micro_batch(value: tf.Tensor, index: tf.Tensor, count: int) -> tf.Tensor:
    """Gradient accumulation: every so manieth image, `[N, ...]` -> `[N / count, ...]`.

    So a micro-batch has the same images on however many replicas the batch is spread.

    Args:
        value: Of all images.
        index: Which of the micro-batches, from 0.
        count: How many there are.
    """
    return tf.reshape(value, (-1, count, *value.shape[1:]))[:, index]


def gradient_sums(weights: Iterable[Any]) -> list[tf.Variable]:
    """Gradient accumulation: zeros like each weight; each replica adds up its own."""
    return [
        tf.Variable(
            tf.zeros(weight.shape),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )
        for weight in weights
    ]
