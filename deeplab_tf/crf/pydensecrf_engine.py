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


class Kernels:
    """The two kernels of an image; pydensecrf builds their lattices at each `infer`."""

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

    def infer(
        self, logits: np.ndarray, *, w1: float, w2: float, iterations: int
    ) -> np.ndarray:
        """Marginals Q of the mean field, float32 `[H, W, C]`."""
        height, width, classes = logits.shape
        field = densecrf.DenseCRF2D(width, height, classes)
        energy = -logits.reshape(-1, classes).T  # [C, H * W]
        field.setUnaryEnergy(np.ascontiguousarray(energy, np.float32))
        field.addPairwiseGaussian(
            **self._gaussian, compat=w2, normalization=self._normalization
        )
        field.addPairwiseBilateral(
            **self._bilateral,
            rgbim=self._image,
            compat=w1,
            normalization=self._normalization,
        )
        found = np.array(field.inference(iterations), np.float32)
        return np.ascontiguousarray(found.T).reshape(height, width, classes)


kernels = Kernels
