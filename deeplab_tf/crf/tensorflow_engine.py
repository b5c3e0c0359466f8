"""Mean field of the fully connected CRF, in TensorFlow ops: the engine always there."""

import dataclasses
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from deeplab_tf.crf import permutohedral
from deeplab_tf.crf.lattice_math import refuse_small_sigmas
from deeplab_tf.crf.permutohedral import Lattice


class GaussianFilter(NamedTuple):
    """A Gaussian over the pixels, scaled before and after: `[1, H * W, 1]` each."""

    lattice: Lattice
    before: tf.Tensor
    after: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorFlowCrf:
    """The fully connected CRF of an image; weights and iterations are free to vary."""

    bilateral: GaussianFilter
    spatial: GaussianFilter

    def mean_field(
        self, logits: np.ndarray, *, w1: float, w2: float, iterations: int
    ) -> np.ndarray:
        """Mean-field inference: marginals of the pixels, float32 `[H, W, C]`.

        Args:
            logits: Float32 `[H, W, C]`; unaries are their negatives.
            w1: Weight of the bilateral kernel.
            w2: Weight of the spatial kernel.
            iterations: Of mean field; after 0 it is the softmax.
        """
        height, width, classes = logits.shape
        flat = tf.reshape(tf.cast(logits, tf.float32), [1, height * width, classes])
        weights = tf.constant([w1, w2], tf.float32)
        marginals = _mean_field(self.bilateral, self.spatial, flat, weights, iterations)
        return marginals.numpy().reshape(logits.shape)


def dense_crf(
    image: np.ndarray,
    *,
    sigma_alpha: float,
    sigma_beta: float,
    sigma_gamma: float,
    normalization: Literal["after", "symmetric"],
) -> TensorFlowCrf:
    """The fully connected CRF of an image: the lattices of its two kernels.

    Args:
        image: RGB, uint8 `[H, W, 3]`.
        sigma_alpha: Deviation of the bilateral kernel in pixels,
        sigma_beta: and in colors of 0...255.
        sigma_gamma: Deviation of the spatial kernel in pixels.
        normalization: Divide by the filter's answer to ones after filtering, or by its
            root before and after.

    Raises:
        InputError: A deviation is too small for the lattice.
    """
    refuse_small_sigmas(image, sigma_alpha, sigma_beta, sigma_gamma)
    images = tf.constant(image[np.newaxis])
    sigmas = tf.constant([sigma_alpha, sigma_beta, sigma_gamma], tf.float32)
    bilateral, spatial = _build_filters(images, sigmas, normalization == "symmetric")
    return TensorFlowCrf(bilateral=bilateral, spatial=spatial)


@tf.function(reduce_retracing=True, autograph=False)
def _build_filters(
    images: tf.Tensor, sigmas: tf.Tensor, symmetric: bool
) -> tuple[GaussianFilter, GaussianFilter]:
    bilateral = permutohedral.bilateral_features(images, sigmas[0], sigmas[1])
    spatial = permutohedral.spatial_features(images, sigmas[2])
    return _build_filter(bilateral, symmetric), _build_filter(spatial, symmetric)


def _build_filter(features: tf.Tensor, symmetric: bool) -> GaussianFilter:
    lattice = permutohedral.build_lattice(features)
    ones = tf.ones_like(features[..., :1])
    inverse = 1.0 / permutohedral.gaussian_filter(lattice, ones)
    if symmetric:
        return GaussianFilter(lattice, tf.sqrt(inverse), tf.sqrt(inverse))
    return GaussianFilter(lattice, ones, inverse)


@tf.function(reduce_retracing=True, autograph=False)
def _mean_field(
    bilateral: GaussianFilter,
    spatial: GaussianFilter,
    logits: tf.Tensor,
    weights: tf.Tensor,
    iterations: tf.Tensor,
) -> tf.Tensor:
    """Mean-field updates: message passing, Potts' compatibility transform, softmax.

    Equation 2 of Kraehenbuehl and Koltun 2011. The message of a pixel to itself is part
    of it, as in all released code.
    """

    def update(i: tf.Tensor, probabilities: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        messages = weights[0] * _filter(bilateral, probabilities)
        messages += weights[1] * _filter(spatial, probabilities)
        return i + 1, tf.nn.softmax(logits + messages)

    before = [0, tf.nn.softmax(logits)]
    _, probabilities = tf.while_loop(lambda i, _: i < iterations, update, before)
    return probabilities


def _filter(kernel: GaussianFilter, values: tf.Tensor) -> tf.Tensor:
    values = permutohedral.gaussian_filter(kernel.lattice, kernel.before * values)
    return kernel.after * values
