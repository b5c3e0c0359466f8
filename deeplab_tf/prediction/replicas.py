"""Replicas: a network's weights on several devices, and one graph that takes them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from absl import logging

Predict = Callable[[tf.Tensor], tuple[tf.Tensor, ...]]


class Replica(NamedTuple):
    """A device, by its name, and the weights of a network that were copied to it."""

    device: str
    weights: list[tf.Tensor]

    def run(self, graph: Any, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """What a graph of `trace` computes of images, on this device."""
        with tf.device(self.device):
            return graph(images, self.weights)


def replicate(model: keras.Model, devices: Sequence[str]) -> list[Replica]:
    """The weights of a network, as they are now, on each of the devices."""
    replicas = []
    for device in devices:
        with tf.device(device):
            weights = [tf.identity(weight.value) for weight in model.weights]
        replicas.append(Replica(device, weights))
    return replicas


def trace(model: keras.Model, predict: Predict, images: tf.TensorSpec) -> Any:
    """A graph of images and weights, which computes where it is called.

    So the network is traced once for all devices, and stays on the one that it is on.

    Args:
        model: Whose weights are taken.
        predict: Calls the network.
        images: What it takes.
    """

    def compute(images: tf.Tensor, weights: Sequence[tf.Tensor]) -> Any:
        given = list(zip(model.weights, weights, strict=True))
        with keras.StatelessScope(state_mapping=given):
            return predict(images)

    weights = [tf.TensorSpec(each.shape, each.dtype) for each in model.weights]
    function = tf.function(compute, autograph=False)
    return function.get_concrete_function(images, weights)


def visible_gpus(batch_size: int) -> list[str]:
    """Names of all GPUs that TensorFlow sees; logs on what is predicted.

    Args:
        batch_size: Images at a time, of each.
    """
    gpus = [gpu.name for gpu in tf.config.list_logical_devices("GPU")]
    images = "1 image" if batch_size == 1 else f"{batch_size} images"
    if len(gpus) > 1:
        logging.info("Predicting on %d GPUs, each %s at a time", len(gpus), images)
    else:
        kind = "GPU" if gpus else "CPU"
        logging.info("Predicting on one %s, %s at a time", kind, images)
    return gpus
