"""The fastest engine of the fully connected CRF; needs numba."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from deeplab_tf.crf.tensorflow_engine import refuse_too_small

if TYPE_CHECKING:
    from deeplab_tf.crf.mean_field import Kernels


def kernels(
    image: np.ndarray,
    *,
    sigma_alpha: float,
    sigma_beta: float,
    sigma_gamma: float,
    normalization: Literal["after", "symmetric"],
) -> "Kernels":
    """The kernels of an image, as of `tensorflow_engine.kernels`.

    The first call compiles for half a minute; numba keeps the result on disk.

    Raises:
        ImportError: There is no numba.
        InputError: A deviation is too small for the lattice.
    """
    refuse_too_small(image, sigma_alpha, sigma_beta, sigma_gamma)
    try:
        from deeplab_tf.crf import mean_field
    except ImportError as error:
        raise ImportError(
            "the CRF's numba engine needs numba: pip install 'deeplab-tf[fast]'"
        ) from error
    return mean_field.kernels(
        image,
        sigmas=(sigma_alpha, sigma_beta, sigma_gamma),
        symmetric=normalization == "symmetric",
    )
