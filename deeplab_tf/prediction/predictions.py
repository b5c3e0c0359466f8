"""What is predicted for an image, and its refinement by a CRF."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import numpy as np

from deeplab_tf.crf import engines
from deeplab_tf.parallel import map_in_processes


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """An image without padding, and what is predicted for it.

    Attributes:
        image: RGB, uint8 `[H, W, 3]`.
        classes: Predicted ids, int32 `[H, W]`.
        probabilities: Of the classes, float32 `[H, W, C]`, if they were asked for.
        logits: What a CRF starts from, float32 `[H, W, C]`, if it was asked for: the
            network's logits or, of several scales and flips, the logarithm of their
            mean probabilities.
        name: Of the image, without suffix.
        label: True ids, `[H, W]`; None of an image that is no record.
    """

    image: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray | None = None
    logits: np.ndarray | None = None
    name: str = ""
    label: np.ndarray | None = None


def refine(
    prediction: Prediction, parameters: engines.Parameters, engine: str = "auto"
) -> Prediction:
    """Fully connected CRF: the prediction with its classes and probabilities.

    Args:
        prediction: With logits.
        parameters: Of the CRF.
        engine: See `engines.find_engine`.
    """
    assert prediction.logits is not None
    marginals = engines.mean_field(
        prediction.logits, prediction.image, parameters, engine
    )
    return dataclasses.replace(
        prediction,
        classes=marginals.argmax(axis=-1).astype(np.int32),
        probabilities=marginals,
    )


def refine_in_processes(
    predictions: Iterable[Prediction],
    parameters: engines.Parameters,
    engine: str,
    *,
    total: int,
) -> Iterator[tuple[Prediction, np.ndarray]]:
    """Yields each with its classes after a CRF, int32 `[H, W]`, in order.

    Args:
        predictions: With logits.
        parameters: Of the CRF.
        engine: See `engines.find_engine`.
        total: How many.

    Raises:
        InputError: A process of the CRF failed.
    """
    task = functools.partial(engines.classes, parameters=parameters, engine=engine)
    calls = ((each, (each.logits, each.image)) for each in predictions)
    return map_in_processes(
        task, calls, total=total, needs_tensorflow=engine == "tensorflow"
    )
