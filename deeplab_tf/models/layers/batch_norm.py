"""Batch norm as TensorFlow 1 trains it, which can be frozen."""

from typing import Any

import keras
from keras import layers

from deeplab_tf.models.layers import backend_ops
from deeplab_tf.models.layers.backend_ops import Tensor


@keras.saving.register_keras_serializable("deeplab_tf")
class FrozenableBatchNorm(layers.BatchNormalization):
    """Batch norm as TensorFlow 1 trains it.

    Keras 3 lets a model's `training` override that of a layer, so "frozen" is a
    property of the layer: statistics stay, scale and offset learn. The moving variance
    takes the unbiased variance of the batch, where Keras takes the biased one.

    Args:
        frozen: Normalize by the moving statistics in training, too.
        replicas: Devices over which the batch is spread; statistics are of all of it.
        **settings: Of `keras.layers.BatchNormalization`.
    """

    def __init__(self, *, frozen: bool = False, replicas: int = 1, **settings: Any):
        settings["synchronized"] = replicas > 1
        super().__init__(**settings)
        self.frozen = frozen
        self.replicas = replicas

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if training and self.frozen:
            return backend_ops.affine_batch_norm(inputs, self)
        if training and self.synchronized:
            x, *statistics = backend_ops.synchronized_batch_norm(inputs, self)
        elif backend_ops.on_tensorflow():
            x, *statistics = backend_ops.fused_batch_norm(
                inputs, self, training=bool(training)
            )
        else:
            x, *statistics = backend_ops.composed_batch_norm(
                inputs, self, training=bool(training)
            )
        if training:
            self.moving_mean.assign(statistics[0])
            self.moving_variance.assign(statistics[1])
        return x

    def get_config(self) -> dict:
        config = super().get_config()
        del config["synchronized"]
        return config | {"frozen": self.frozen, "replicas": self.replicas}
