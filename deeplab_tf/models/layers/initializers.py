"""Initial values of weights; those of Keras, and two kernels that it lacks."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import initializers, ops

from deeplab_tf.models.layers.backend_ops import Tensor

Initializer = Callable[[], initializers.Initializer]

# A fresh one for each layer: Keras repeats the values of a shared one.
xavier: Initializer = initializers.GlorotUniform


def truncated_normal(stddev: float) -> Initializer:
    """Normal values within two standard deviations, which are not corrected for it."""
    return functools.partial(initializers.TruncatedNormal, stddev=stddev)


def normal(stddev: float) -> Initializer:
    """Normal values."""
    return functools.partial(initializers.RandomNormal, stddev=stddev)


@keras.saving.register_keras_serializable("deeplab_tf")
class BilinearKernel(initializers.Initializer):
    """The kernel of a deconvolution that interpolates each channel for itself.

    Reference: Long et al. 2015, section 3.3, https://arxiv.org/abs/1411.4038.
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        size, _, channels, _ = shape
        half = (size + 1) // 2
        center = half - 1 if size % 2 else half - 0.5
        line = 1 - np.abs(np.arange(size) - center) / half
        kernel = np.einsum("i,j,cd->ijcd", line, line, np.eye(channels))
        return ops.convert_to_tensor(kernel, dtype or "float32")


@keras.saving.register_keras_serializable("deeplab_tf")
class IdentityMaps(initializers.Initializer):
    """A kernel that passes maps on, each a group of channels, beside a little noise.

    Reference: Yu, Koltun 2015, equations 4 and 5, https://arxiv.org/abs/1511.07122. A
    convolution of as many channels as maps is then the identity; one with more divides
    each map among its channels, and the last one adds them up.

    Args:
        maps: Which divides the channels before and after.
        noise: Its deviation, over the weight that passes a map on.
    """

    def __init__(self, maps: int, noise: float = 0.01):
        self.maps, self.noise = maps, noise

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        dtype = dtype or "float32"
        height, width, before, after = shape
        share = self.maps / after
        group = [np.arange(count) * self.maps // count for count in (before, after)]
        same = np.zeros(shape, bool)
        same[height // 2, width // 2] = group[0][:, np.newaxis] == group[1]
        spread = initializers.RandomNormal(stddev=self.noise * share)
        return ops.where(same, ops.cast(share, dtype), spread(shape, dtype))

    def get_config(self) -> dict:
        return {"maps": self.maps, "noise": self.noise}
