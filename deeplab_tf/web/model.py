"""What the page looks with: a network, and how its answers may be had."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deeplab_tf import compat, noise
from deeplab_tf.batch_inference import networks
from deeplab_tf.config import CrfConfig, WebConfig
from deeplab_tf.crf import engines
from deeplab_tf.data.spec import Color
from deeplab_tf.errors import FlagError, InputError, is_out_of_memory
from deeplab_tf.runtime import LOGITS, PROBABILITIES, Segmenter, SegmenterError
from deeplab_tf.web import photograph
from deeplab_tf.web.refusal import Refusal

if TYPE_CHECKING:
    from deeplab_tf.prediction.predictor import Predictor

_SIDE = 1024  # Pixels; a CRF of 21 classes takes 2 GB there.
_LEAST = 1e-30  # Probability, where a logarithm is needed.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """How to look at a photograph.

    Attributes:
        scales: Factors of its size whose probabilities are averaged.
        flip: Average with the mirror image, too.
        crf: Refine by the fully connected CRF.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    crf: bool = False


class Model(Protocol):
    """A network, whatever runs it.

    Attributes:
        name: Of its classes: that of the data set.
        classes: Names, by id.
        palette: Colors, by id.
        looks: What of a `Look` it can do: "scales", "flip", "crf".
        trained_side: Longer side of the largest image that it learned from; 0 where
            that is not known.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    looks: tuple[str, ...]
    trained_side: int

    def predict(self, image: np.ndarray, look: Look) -> np.ndarray:
        """Class ids, int32 `[H, W]`, of RGB, uint8 `[H, W, 3]`."""


def check_look(model: Model, look: Look) -> None:
    """Raises a Refusal (400) where the model cannot look so."""
    asked = {"scales": look.scales != (1.0,), "flip": look.flip, "crf": look.crf}
    for name, is_asked in asked.items():
        if is_asked and name not in model.looks:
            raise Refusal(400, f"{name}: this model cannot do that")


def segment(
    model: Model, pixels: np.ndarray, look: Look, *, max_side: int | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Class ids of a photograph, uint8 `[H, W]`, and the size that the network saw.

    Args:
        model: That looks.
        pixels: RGB, uint8 `[H, W, 3]`.
        look: How.
        max_side: Larger photographs are shrunk to it; by default to 1024, or to the
            largest side of the training if that is more.

    Raises:
        Refusal: There is not enough memory (413).
    """
    small = photograph.shrink(pixels, max_side or max(_SIDE, model.trained_side))
    try:
        classes = model.predict(small, look)
    except Exception as error:
        if is_out_of_memory(error):
            raise Refusal(
                413, "not enough memory for this photograph; save it smaller"
            ) from None
        raise
    height, width = pixels.shape[:2]
    seen = classes.shape[0], classes.shape[1]
    return photograph.enlarge(classes.astype(np.uint8), (height, width)), seen


def open_model(config: WebConfig) -> Model:
    """Opens what `--model` names, and looks once, so that the first user need not wait.

    Raises:
        InputError: There is no such model, CRF or setting.
    """
    crf = engines.parameters_of(CrfConfig(crf=config.crf))
    assert crf
    model = (
        _open_export(config, crf)
        if networks.is_export(str(config.model))
        else _open_network(config, crf)
    )
    model.predict(np.zeros((64, 64, 3), np.uint8), Look())
    return model


def _open_export(config: WebConfig, crf: engines.Parameters) -> Model:
    path = str(config.model)
    if config.settings:
        names = " ".join(f"--{name}" for name in config.settings)
        raise FlagError(f"{names}: an exported model has its own; leave it out")
    if networks.needs_tensorflow(path):
        noise.load_tensorflow()
    try:
        segmenter = Segmenter(path)
    except SegmenterError as error:
        raise InputError(f"--model={error}") from None
    if not segmenter.info.classes:
        raise InputError(
            f"--model={path}: does not tell its classes; deeplab-export writes them "
            "beside it, or into its assets"
        )
    return ExportedModel(segmenter, crf)


def _open_network(config: WebConfig, crf: engines.Parameters) -> Model:
    compat.require_tensorflow_backend("a network with its weights")
    noise.load_tensorflow()
    from deeplab_tf import api

    network = api.load(str(config.model), **config.settings)
    return NetworkModel(network.predictor, crf)


class NetworkModel:
    """A network of ours, with its weights, and how it predicts: `predictor`."""

    looks: tuple[str, ...] = ("scales", "flip", "crf")

    def __init__(self, predictor: "Predictor", crf: engines.Parameters) -> None:
        spec = predictor.spec
        self.name, self.classes, self.palette = spec.name, spec.classes, spec.palette
        self.trained_side = max(predictor.trained_size or (0,))
        self.predictor, self._crf = predictor, crf

    def predict(self, image: np.ndarray, look: Look) -> np.ndarray:
        return self.predictor.predict(
            image,
            scales=look.scales,
            flip=look.flip,
            output="classes",
            crf=self._crf if look.crf else None,
        ).classes


class ExportedModel:
    """An export, in its own runtime; scales and flips are what it was exported with."""

    def __init__(self, segmenter: Segmenter, crf: engines.Parameters) -> None:
        info = segmenter.info
        self.name, self.classes, self.palette = (
            Path(segmenter.path).name,
            info.classes,
            info.colors,
        )
        has_scores = {PROBABILITIES, LOGITS} & set(segmenter.outputs)
        self.looks: tuple[str, ...] = ("crf",) if has_scores else ()
        self.trained_side = max(info.crop_size)
        self._segmenter, self._crf = segmenter, crf

    def predict(self, image: np.ndarray, look: Look) -> np.ndarray:
        result = self._segmenter.predict(image, probabilities=look.crf)
        if not look.crf:
            return result.classes
        logits = np.log(np.maximum(result.probabilities, _LEAST))
        return engines.classes(logits, image, self._crf, "auto")
