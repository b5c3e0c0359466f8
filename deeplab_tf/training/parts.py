"""A batch that is computed in parts, one after the other."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf


def part(value: tf.Tensor, number: tf.Tensor, count: int) -> tf.Tensor:
    """Every so manieth image of a batch, `[N, ...]` -> `[N / count, ...]`.

    So a part has the same images on however many replicas the batch is spread.

    Args:
        value: Of all images.
        number: Of the part, from 0.
        count: How many parts there are.
    """
    return tf.reshape(value, (-1, count, *value.shape[1:]))[:, number]


def sums(weights: Iterable[Any]) -> list[tf.Variable]:
    """Zeros of the shape of each weight; each replica adds up its own."""
    return [
        tf.Variable(
            tf.zeros(weight.shape),
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )
        for weight in weights
    ]
