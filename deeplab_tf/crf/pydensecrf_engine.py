"""The fully connected CRF by pydensecrf, a compiled package that only some have.

It is the code of Krähenbühl and Koltun 2011 (https://arxiv.org/abs/1210.5644), whose
lattice the other engines share; so they can be compared with it.
"""

import numpy as np
from pydensecrf import densecrf

_NORMALIZATIONS = {
    "after": densecrf.NORMALIZE_AFTER,
    "symmetric": densecrf.NORMALIZE_SYMMETRIC,
}


class PydensecrfCrf:
    """The fully connected CRF of an image; lattices are built at each `mean_field`."""

    def __init__(
        self,
        image: np.ndarray,
        *,
        sigma_alpha: float,
        sigma_beta: float,
        sigma_gamma: float,
        normalization: str,
    ) -> None:
        self._image = np.ascontiguousarray(image)
        self._bilateral = {"sxy": sigma_alpha, "srgb": sigma_beta}
        self._gaussian = {"sxy": sigma_gamma}
        self._normalization = _NORMALIZATIONS[normalization]

    def mean_field(
        self, logits: np.ndarray, *, w1: float, w2: float, iterations: int
    ) -> np.ndarray:
        """Mean-field inference: marginals Q, float32 `[H, W, C]`."""
        height, width, classes = logits.shape
        crf = densecrf.DenseCRF2D(width, height, classes)
        energy = -logits.reshape(-1, classes).T  # [C, H * W]
        crf.setUnaryEnergy(np.ascontiguousarray(energy, np.float32))
        crf.addPairwiseGaussian(
            **self._gaussian, compat=w2, normalization=self._normalization
        )
        crf.addPairwiseBilateral(
            **self._bilateral,
            rgbim=self._image,
            compat=w1,
            normalization=self._normalization,
        )
        marginals = np.array(crf.inference(iterations), np.float32)
        return np.ascontiguousarray(marginals.T).reshape(height, width, classes)


dense_crf = PydensecrfCrf
