"""The fully connected CRF: numbers, presets and engines behind one function.

Energy: the logits' softmax as unary, and between any two pixels of different labels

    w1 exp(-|dp|^2 / 2 sigma_alpha^2 - |dI|^2 / 2 sigma_beta^2)
    + w2 exp(-|dp|^2 / 2 sigma_gamma^2)

with positions p in pixels and colors I in 0...255. Krähenbühl and Koltun 2011,
https://arxiv.org/abs/1210.5644; as used by Chen et al. 2015, section 4.
"""

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import numpy as np

from deeplab_tf.config import CrfConfig
from deeplab_tf.errors import FlagError, one_of

Normalization = Literal["after", "symmetric"]
SEARCHED = ("w1", "sigma_alpha", "sigma_beta")  # What is to be found for a network.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameters:
    """CRF parameters: weights, ranges and iterations, as the papers write them.

    Attributes:
        w1: Weight of the bilateral kernel.
        sigma_alpha: Its range in pixels.
        sigma_beta: Its range in colors of 0...255.
        w2: Weight of the Gaussian kernel.
        sigma_gamma: Its range in pixels.
        iterations: Steps of the mean field.
        normalization: Kernels divided by their sum after filtering, as the code of
            DeepLab and of CRF-RNN does, or by its root before and after.
    """

    w1: float
    sigma_alpha: float
    sigma_beta: float
    w2: float = 3.0
    sigma_gamma: float = 3.0
    iterations: int = 10
    normalization: Normalization = "after"


def _preset(w1: float, alpha: float, beta: float, **others: Any) -> Parameters:
    return Parameters(w1=w1, sigma_alpha=alpha, sigma_beta=beta, **others)


PRESETS: Mapping[str, Parameters] = {
    # DeepLab v1, each model's as listed in a comment of a third-party repository.
    "voc_v1": _preset(5, 50, 10),
    "voc_v1_msc": _preset(3, 95, 3),
    "voc_v1_coco": _preset(5, 67, 3),
    "voc_v1_largefov": _preset(4, 121, 5),
    "voc_v1_msc_largefov": _preset(4, 83, 5),
    "voc_v1_coco_largefov": _preset(5, 69, 5),
    "voc_v1_msc_coco_largefov": _preset(4, 59, 5),
    # DeepLab v2: third-party comments; ResNet-101's is that of voc12.yaml of
    # kazuto1011/deeplab-pytorch, which runs it with symmetric normalization.
    "voc_v2_vgg16": _preset(4, 65, 3, w2=2, sigma_gamma=2),
    "voc_v2_resnet101": _preset(4, 67, 3, sigma_gamma=1),
    # The authors' Caffe scripts: run_densecrf.sh, run_densecrf_grid_search.sh, a
    # commented layer of ResNet-101's test prototxt, and the program's own defaults.
    "official_script": _preset(4, 49, 5),
    "official_grid_script": _preset(4, 51, 5),
    "official_resnet101_prototxt": _preset(5, 21, 3, w2=4, sigma_gamma=1),
    "official_defaults": _preset(5, 70, 5),
    # Zheng et al. 2015, as the start of the learned layer in crfasrnn_keras.
    "crf_rnn": _preset(5, 160, 3),
}


class DenseCrf(Protocol):
    """An engine's CRF of one image, for any weights and number of iterations."""

    def mean_field(
        self, logits: np.ndarray, *, w1: float, w2: float, iterations: int
    ) -> np.ndarray:
        """Marginals, float32 `[H, W, C]`, of logits float32 `[H, W, C]`."""


def _numba() -> Callable[..., DenseCrf]:
    from deeplab_tf.crf import numba_engine

    return numba_engine.dense_crf


def _tensorflow() -> Callable[..., DenseCrf]:
    from deeplab_tf.crf import tensorflow_engine

    return tensorflow_engine.dense_crf


def _pydensecrf() -> Callable[..., DenseCrf]:
    from deeplab_tf.crf import pydensecrf_engine

    return pydensecrf_engine.dense_crf


# Each is loaded when it is used: only some have numba or pydensecrf.
ENGINES: Mapping[str, Callable[[], Callable[..., DenseCrf]]] = {
    "numba": _numba,
    "tensorflow": _tensorflow,
    "pydensecrf": _pydensecrf,
}
_EXTRAS = {"numba": "fast", "pydensecrf": "crf"}


def find_engine(name: str) -> str:
    """The engine itself, where `auto` was asked for.

    Raises:
        FlagError: Its package is not installed.
    """
    if name == "auto":
        return "numba" if _is_installed("numba") else "tensorflow"
    if name in _EXTRAS and not _is_installed(name):
        raise FlagError(
            f"--crf_engine={name}: {name} is not installed: "
            f"pip install 'deeplab-tf[{_EXTRAS[name]}]'"
        )
    return name


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def dense_crf(
    image: np.ndarray, parameters: Parameters, engine: str = "auto"
) -> DenseCrf:
    """The CRF of an image: its kernels, which depend on ranges, not on weights.

    Args:
        image: RGB, uint8 `[H, W, 3]`.
        parameters: Of which the sigmas and the normalization are used.
        engine: A key of `ENGINES`, or `auto`.
    """
    return ENGINES[find_engine(engine)]()(
        image,
        sigma_alpha=parameters.sigma_alpha,
        sigma_beta=parameters.sigma_beta,
        sigma_gamma=parameters.sigma_gamma,
        normalization=parameters.normalization,
    )


def mean_field(
    logits: np.ndarray,
    image: np.ndarray,
    parameters: Parameters,
    engine: str = "auto",
) -> np.ndarray:
    """Mean-field inference: marginals of the pixels, float32 `[H, W, C]`.

    Args:
        logits: Scores before the softmax, float32 `[H, W, C]`; nothing is clipped.
        image: RGB in 0...255, uint8 `[H, W, 3]`, without padding.
        parameters: Of the energy.
        engine: A key of `ENGINES`, or `auto`.

    Raises:
        ValueError: Shapes or types are others.
    """
    if image.dtype != np.uint8 or image.shape != (*logits.shape[:2], 3):
        raise ValueError(
            f"an image uint8 {[*logits.shape[:2], 3]} is needed for logits "
            f"{list(logits.shape)}, not {image.dtype} {list(image.shape)}"
        )
    return mean_field_of(dense_crf(image, parameters, engine), logits, parameters)


def mean_field_of(
    crf: DenseCrf, logits: np.ndarray, parameters: Parameters
) -> np.ndarray:
    """As `mean_field`, with a CRF that is there; of the parameters, their weights."""
    return crf.mean_field(
        np.ascontiguousarray(logits, np.float32),
        w1=parameters.w1,
        w2=parameters.w2,
        iterations=parameters.iterations,
    )


def classes(
    logits: np.ndarray, image: np.ndarray, parameters: Parameters, engine: str
) -> np.ndarray:
    """The likeliest class of each pixel after `mean_field`, int32 `[H, W]`."""
    return classes_and_marginals(logits, image, parameters, engine)[0]


def classes_and_marginals(
    logits: np.ndarray, image: np.ndarray, parameters: Parameters, engine: str
) -> tuple[np.ndarray, np.ndarray]:
    """As `classes`, and what they are the likeliest of: see `mean_field`."""
    marginals = mean_field(logits, image, parameters, engine)
    return marginals.argmax(axis=-1).astype(np.int32), marginals


def parameters_of(config: CrfConfig) -> Parameters | None:
    """Parameters that the flags ask for; None where they ask for no CRF.

    Raises:
        FlagError: There is no such preset, or too little was given by hand.
    """
    settings = _settings(config)
    missing = [f"--crf_{name}" for name in SEARCHED if name not in settings]
    if not missing:
        return Parameters(**settings)
    given = [f"--crf_{name}={value}" for name, value in config.given.items()]
    if config.crf_engine != "auto":
        given.append(f"--crf_engine={config.crf_engine}")
    if given:
        raise FlagError(
            f"{' '.join(given)}: a CRF needs {', '.join(missing)}, too; or a "
            "preset, as --crf=voc_v2_resnet101"
        )
    return None


def start_of_search(config: CrfConfig) -> Parameters:
    """What stays as it is in a search; `SEARCHED` are those of the authors' script.

    Raises:
        FlagError: There is no such preset, or what is searched for was given.
    """
    for name in SEARCHED:
        if name in config.given:
            raise FlagError(
                f"--crf_{name}={config.given[name]}: --crf_search searches for it; "
                "leave one out"
            )
    return Parameters(
        **dataclasses.asdict(PRESETS["official_script"]) | _settings(config)
    )


def _settings(config: CrfConfig) -> dict[str, Any]:
    """The preset's numbers, if there is one, and those given by hand."""
    if config.crf is None:
        return config.given
    if config.crf not in PRESETS:
        raise FlagError(f"--crf={config.crf}: {one_of(config.crf, PRESETS)}")
    return dataclasses.asdict(PRESETS[config.crf]) | config.given


def flags(parameters: Parameters) -> str:
    """The command line that asks for these numbers."""
    settings = dataclasses.asdict(parameters).items()
    return " ".join(
        f"--crf_{name}={value if isinstance(value, str) else f'{value:g}'}"
        for name, value in settings
    )
