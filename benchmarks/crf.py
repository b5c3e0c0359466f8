"""Mean field of the fully connected CRF by each engine, against pydensecrf.

    python benchmarks/crf.py --image=photograph.jpg

All run in this process, in turn, on the same picture; quote the ratios of the least
times. Setup and inference are both counted: an evaluation needs both for every picture.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

import deeplab_tf
from deeplab_tf import cli
from deeplab_tf.config.fields import flag
from deeplab_tf.crf import numba_engine, tensorflow_engine

SIGMAS = {"sigma_alpha": 67.0, "sigma_beta": 3.0, "sigma_gamma": 3.0}
WEIGHTS = {"w1": 4.0, "w2": 3.0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times 4/67/3 and 3/3 after ten iterations, normalized after filtering."""

    image: str = flag("A photograph; the packaged one if empty.", "")
    size: tuple[int, int] = flag("Height and width it is brought to.", (375, 500))
    labels: int = flag("Classes.", 21)
    iterations: int = flag("Of mean field.", 10)
    rounds: int = flag("Measurements of each engine.", 7)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs the least seconds of each engine, and their ratios to pydensecrf's."""
    image, logits = _scene(config)
    seconds: dict[str, float] = {}
    for name, engine in ENGINES.items():
        engine(image, logits, config.iterations)  # Traces, compiles, warms up.
        seconds[name] = float("inf")
    for _ in range(config.rounds):
        for name, engine in ENGINES.items():
            began = time.perf_counter()
            engine(image, logits, config.iterations)
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    for name, least in seconds.items():
        ratio = least / seconds["pydensecrf"]
        logging.info("%-12s %.3f s, ratio %.2f", name, least, ratio)


def _scene(config: BenchmarkConfig) -> tuple[np.ndarray, np.ndarray]:
    """A picture, and logits as coarse as those of a network at stride 8."""
    packaged = resources.files(deeplab_tf) / "exporting" / "picture.jpg"
    content = cv2.imread(config.image or str(packaged))
    height, width = config.size
    image = cv2.resize(content, (width, height), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 3, (height // 8 + 1, width // 8 + 1, config.labels))
    # OpenCV resizes a few channels at a time.
    logits = [cv2.resize(coarse[..., c], (width, height)) for c in range(config.labels)]
    return image[..., ::-1].copy(), np.stack(logits, axis=-1).astype(np.float32)


def _ours(dense_crf: Callable[..., Any]) -> Callable[..., np.ndarray]:
    def engine(image: np.ndarray, logits: np.ndarray, iterations: int) -> np.ndarray:
        crf = dense_crf(image, **SIGMAS, normalization="after")
        return crf.mean_field(logits, **WEIGHTS, iterations=iterations)

    return engine


def _pydensecrf(image: np.ndarray, logits: np.ndarray, iterations: int) -> np.ndarray:
    from pydensecrf import densecrf

    height, width, labels = logits.shape
    crf = densecrf.DenseCRF2D(width, height, labels)
    unaries = -logits.reshape(-1, labels).T
    crf.setUnaryEnergy(np.ascontiguousarray(unaries))
    after = {"normalization": densecrf.NORMALIZE_AFTER}
    crf.addPairwiseGaussian(SIGMAS["sigma_gamma"], WEIGHTS["w2"], **after)
    crf.addPairwiseBilateral(
        SIGMAS["sigma_alpha"], SIGMAS["sigma_beta"], image, WEIGHTS["w1"], **after
    )
    marginals = np.array(crf.inference(iterations))
    return marginals.T.reshape(logits.shape)


ENGINES: dict[str, Callable[..., np.ndarray]] = {
    "pydensecrf": _pydensecrf,
    "numba": _ours(numba_engine.dense_crf),
    "tensorflow": _ours(tensorflow_engine.dense_crf),
}


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
