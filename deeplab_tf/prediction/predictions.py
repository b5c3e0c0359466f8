"""What is predicted for an image, and its refinement by a CRF."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from deeplab_tf.crf import engines
from deeplab_tf.data import tfrecord
from deeplab_tf.parallel import map_in_processes

# Beside the classes.
Output = Literal["classes", "confidence", "probabilities", "logits"]


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
        confidence: Probability of the predicted class, float32 `[H, W]`, if it was
            asked for.
        name: Of the image, without suffix.
        label: True ids, `[H, W]`; None of an image that is no record.
    """

    image: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray | None = None
    logits: np.ndarray | None = None
    confidence: np.ndarray | None = None
    name: str = ""
    label: np.ndarray | None = None


def name_prediction(
    batch: Mapping[str, Any], i: int, results: Sequence[np.ndarray], output: Output
) -> Prediction:
    """The prediction of one image of a batch of records, with its name and label.

    Args:
        batch: Of `pipeline.evaluation_batches`.
        i: Which image of it.
        results: Classes and, unless these are all, `output`, without padding.
        output: What there is beside the classes.
    """
    window = np.s_[: int(batch["height"][i]), : int(batch["width"][i])]
    return Prediction(
        image=np.round(batch["image"][i].numpy()[window]).astype(np.uint8),
        name=tfrecord.decode_name(batch["name"][i]),
        label=batch["label"][i].numpy()[..., 0][window],
        **dict(zip(["classes", output], results, strict=False)),
    )


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
    classes, marginals = engines.classes_and_marginals(
        prediction.logits, prediction.image, parameters, engine
    )
    return dataclasses.replace(prediction, classes=classes, probabilities=marginals)


def with_confidence(prediction: Prediction) -> Prediction:
    """The prediction, which has probabilities, with its confidence."""
    assert prediction.probabilities is not None
    places = prediction.classes[..., np.newaxis]
    confidence = np.take_along_axis(prediction.probabilities, places, axis=-1)
    return dataclasses.replace(prediction, confidence=confidence[..., 0])


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
    for prediction, refined in before_and_after(
        predictions, parameters, engine, total=total
    ):
        yield prediction, refined.classes


def before_and_after(
    predictions: Iterable[Prediction],
    parameters: engines.Parameters,
    engine: str,
    *,
    total: int,
    keep_probabilities: bool = False,
) -> Iterator[tuple[Prediction, Prediction]]:
    """Yields each as it is, and as a CRF in processes has refined it, in order.

    Args:
        predictions: With logits.
        parameters: Of the CRF.
        engine: See `engines.find_engine`.
        total: How many.
        keep_probabilities: The refined ones have the CRF's marginals, too.

    Raises:
        InputError: A process of the CRF failed.
    """
    compute: Callable[..., Any] = engines.classes
    if keep_probabilities:
        compute = engines.classes_and_marginals
    task = functools.partial(compute, parameters=parameters, engine=engine)
    calls = ((each, (each.logits, each.image)) for each in predictions)
    for prediction, result in map_in_processes(
        task, calls, total=total, needs_tensorflow=engine == "tensorflow"
    ):
        classes, marginals = result if keep_probabilities else (result, None)
        yield (
            prediction,
            dataclasses.replace(prediction, classes=classes, probabilities=marginals),
        )
