"""CRF-RNN: mean field of a fully connected CRF as a layer that learns.

Reference: Zheng et al. 2015, "Conditional random fields as recurrent neural networks",
https://arxiv.org/abs/1502.03240. Where the paper is silent, the released code decides.
"""

from typing import Any

import keras
from keras import initializers, layers, ops

from deeplab_tf.models.layers.backend_ops import on_tensorflow
from deeplab_tf.models.layers.blocks import Tensor

if on_tensorflow():
    from deeplab_tf.crf import permutohedral


@keras.saving.register_keras_serializable("deeplab_tf")
class MeanField(layers.Layer):
    """`[logits, images]` -> logits after some iterations; float32 throughout.

    Logits are `[N, H, W, L]`, images `[N, H, W, 3]` of 0...255. Each iteration filters
    the probabilities by two Gaussian kernels, normalized after filtering, and mixes the
    classes by three learned matrices. No softmax follows the last one.

    Args:
        iterations: At inference,
        training_iterations: and in training.
        theta_alpha: Deviation of the bilateral kernel in pixels,
        theta_beta: and in colors.
        theta_gamma: Deviation of the spatial kernel in pixels.
        **settings: Of a layer.
    """

    def __init__(
        self,
        *,
        iterations: int = 10,
        training_iterations: int = 5,
        theta_alpha: float = 160.0,
        theta_beta: float = 3.0,
        theta_gamma: float = 3.0,
        **settings: Any,
    ):
        # Messages of far pixels are sums over the image: too fine for half precision.
        super().__init__(**(settings | {"dtype": "float32"}))
        self.iterations = iterations
        self.training_iterations = training_iterations
        self.theta_alpha = theta_alpha
        self.theta_beta = theta_beta
        self.theta_gamma = theta_gamma
        self.supports_jit = False  # XLA cannot size a lattice that the image decides.

    def build(self, input_shape: list[tuple]) -> None:
        classes = input_shape[0][-1]
        for name, gain in (
            ("spatial", 3.0),
            ("bilateral", 5.0),
            ("compatibility", -1.0),  # Potts' model.
        ):
            weight = self.add_weight(
                shape=(classes, classes),
                initializer=initializers.Identity(gain),
                name=name,
            )
            setattr(self, name, weight)

    def call(self, inputs: list[Tensor], training: bool | None = None) -> Tensor:
        logits, images = inputs
        images = ops.stop_gradient(images)
        spatial = _Kernel(permutohedral.spatial_features(images, self.theta_gamma))
        bilateral = _Kernel(
            permutohedral.bilateral_features(images, self.theta_alpha, self.theta_beta)
        )
        shape = ops.shape(logits)
        unaries = x = ops.reshape(logits, (shape[0], shape[1] * shape[2], shape[3]))
        for _ in range(self.training_iterations if training else self.iterations):
            probabilities = ops.softmax(x)
            messages = _mix(spatial(probabilities), self.spatial)
            messages += _mix(bilateral(probabilities), self.bilateral)
            x = unaries - _mix(messages, self.compatibility)
        return ops.reshape(x, shape)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        return input_shape[0]

    def get_config(self) -> dict:
        return super().get_config() | {
            "iterations": self.iterations,
            "training_iterations": self.training_iterations,
            "theta_alpha": self.theta_alpha,
            "theta_beta": self.theta_beta,
            "theta_gamma": self.theta_gamma,
        }


class _Kernel:
    """A Gaussian over pixels, divided by its answer to ones.

    Args:
        features: `[N, P, d]`, in deviations.
    """

    def __init__(self, features: Tensor):
        self._lattice = permutohedral.build_lattice(features)
        ones = ops.ones_like(features[..., :1])
        self._norm = permutohedral.gaussian_filter(self._lattice, ones)

    def __call__(self, values: Tensor) -> Tensor:
        return permutohedral.gaussian_filter(self._lattice, values) / self._norm


def _mix(values: Tensor, matrix: Any) -> Tensor:
    """`matrix` times the column of values `[N, P, L]` of each pixel."""
    return ops.matmul(values, ops.transpose(matrix))
