"""Mean field of the fully connected CRF, in TensorFlow ops: the engine always there."""

import dataclasses
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from deeplab_tf.crf import permutohedral
from deeplab_tf.crf.permutohedral import Lattice
from deeplab_tf.errors import InputError


class Kernel(NamedTuple):
    """A Gaussian over the pixels, scaled before and after; `[1, H * W, 1]` each."""

    lattice: Lattice
    before: tf.Tensor
    after: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernels:
    """Both kernels of an image; weights and iterations are free to vary."""

    bilateral: Kernel
    spatial: Kernel

    def infer(
        self, logits: np.ndarray, *, w1: float, w2: float, iterations: int
    ) -> np.ndarray:
        """Probabilities of the pixels, float32 `[H, W, C]`.

        Args:
            logits: Float32 `[H, W, C]`; unaries are their negatives.
            w1: Weight of the bilateral kernel.
            w2: Weight of the spatial kernel.
            iterations: Of mean field; after 0 it is the softmax.
        """
        height, width, classes = logits.shape
        flat = tf.reshape(tf.cast(logits, tf.float32), [1, height * width, classes])
        weights = tf.constant([w1, w2], tf.float32)
        found = _mean_field(self.bilateral, self.spatial, flat, weights, iterations)
        return found.numpy().reshape(logits.shape)


def kernels(
    image: np.ndarray,
    *,
    sigma_alpha: float,
    sigma_beta: float,
    sigma_gamma: float,
    normalization: Literal["after", "symmetric"],
) -> Kernels:
    """The kernels of an image.

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
    refuse_too_small(image, sigma_alpha, sigma_beta, sigma_gamma)
    images = tf.constant(image[np.newaxis])
    sigmas = tf.constant([sigma_alpha, sigma_beta, sigma_gamma], tf.float32)
    bilateral, spatial = _kernels(images, sigmas, normalization == "symmetric")
    return Kernels(bilateral=bilateral, spatial=spatial)


def refuse_too_small(
    image: np.ndarray, sigma_alpha: float, sigma_beta: float, sigma_gamma: float
) -> None:
    """Raises an InputError where an image has too many deviations to be told apart."""
    height, width = image.shape[:2]
    positions, colors = np.array([width, height], float), np.full(3, 255.0)
    bilateral = np.append(positions / sigma_alpha, colors / sigma_beta)
    if not permutohedral.fits(bilateral):
        given = f"sigma_alpha={sigma_alpha}, sigma_beta={sigma_beta}"
    elif not permutohedral.fits(positions / sigma_gamma):
        given = f"sigma_gamma={sigma_gamma}"
    else:
        return
    raise InputError(f"{given}: too small for an image of {height} x {width} pixels")


@tf.function(reduce_retracing=True)
def _kernels(
    images: tf.Tensor, sigmas: tf.Tensor, symmetric: bool
) -> tuple[Kernel, Kernel]:
    bilateral = permutohedral.bilateral_features(images, sigmas[0], sigmas[1])
    spatial = permutohedral.spatial_features(images, sigmas[2])
    return _kernel(bilateral, symmetric), _kernel(spatial, symmetric)


def _kernel(features: tf.Tensor, symmetric: bool) -> Kernel:
    lattice = permutohedral.build(features)
    ones = tf.ones_like(features[..., :1])
    inverse = 1.0 / permutohedral.filtered(lattice, ones)
    if symmetric:
        return Kernel(lattice, tf.sqrt(inverse), tf.sqrt(inverse))
    return Kernel(lattice, ones, inverse)


@tf.function(reduce_retracing=True)
def _mean_field(
    bilateral: Kernel,
    spatial: Kernel,
    logits: tf.Tensor,
    weights: tf.Tensor,
    iterations: tf.Tensor,
) -> tf.Tensor:
    """Equation 2 of Kraehenbuehl and Koltun 2011, with Potts' compatibility.

    The message of a pixel to itself is part of it, as in all released code.
    """
    probabilities = tf.nn.softmax(logits)
    for _ in tf.range(iterations):
        messages = weights[0] * _filtered(bilateral, probabilities)
        messages += weights[1] * _filtered(spatial, probabilities)
        probabilities = tf.nn.softmax(logits + messages)
    return probabilities


def _filtered(kernel: Kernel, values: tf.Tensor) -> tf.Tensor:
    found = permutohedral.filtered(kernel.lattice, kernel.before * values)
    return kernel.after * found
