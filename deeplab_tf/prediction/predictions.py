"""Images, one by one, with what a network finds in them, and with a CRF behind it."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from deeplab_tf.config import InferenceConfig
from deeplab_tf.crf import engines
from deeplab_tf.data.pipeline import Sample
from deeplab_tf.data.records import Records
from deeplab_tf.parallel import in_processes
from deeplab_tf.prediction.load import Trained


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predicted:
    """An image without padding, and what was found.

    Attributes:
        name: Of the image, without suffix.
        image: RGB, uint8 `[H, W, 3]`.
        classes: Predicted ids, int32 `[H, W]`.
        label: True ids, `[H, W]`; of an image that is no record, all to be ignored.
        scores: What a CRF starts from, float32 `[H, W, C]`, if it was asked for.
    """

    name: str
    image: np.ndarray
    classes: np.ndarray
    label: np.ndarray
    scores: np.ndarray | None = None


def of_records(
    network: Trained,
    records: Records,
    looks: InferenceConfig,
    *,
    batch_size: int,
    with_scores: bool,
) -> Iterator[Predicted]:
    """Yields every image of a split once.

    Raises:
        InputError: A record cannot be read.
    """
    find = network.finder(looks, scores=with_scores)
    for batch in network.batches(records, batch_size):
        found = [each.numpy() for each in find(batch["image"])]
        for i in range(len(batch["name"])):
            yield _record(batch, i, [each[i] for each in found])


def _record(batch: Sample, i: int, found: list[np.ndarray]) -> Predicted:
    window = np.s_[: int(batch["height"][i]), : int(batch["width"][i])]
    classes, *scores = (each[window] for each in found)
    return Predicted(
        name=batch["name"][i].numpy().decode(),
        image=np.round(batch["image"][i].numpy()[window]).astype(np.uint8),
        classes=classes,
        label=batch["label"][i].numpy()[..., 0][window],
        scores=scores[0] if scores else None,
    )


def of_images(
    network: Trained,
    images: Iterable[tuple[str, np.ndarray]],
    looks: InferenceConfig,
    *,
    with_scores: bool,
) -> Iterator[Predicted]:
    """Yields images of any size, uint8 `[H, W, 3]`, each with its name."""
    given = network.score if with_scores else network.segment
    find = tf.function(
        lambda images: given(
            images, looks.eval_scales, flipped=looks.add_flipped_images
        )[: 1 + with_scores],
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
    )
    for name, image in images:
        classes, *scores = (each.numpy()[0] for each in find(image[np.newaxis]))
        yield Predicted(
            name=name,
            image=image,
            classes=classes,
            label=np.full(classes.shape, network.spec.ignore_label),
            scores=scores[0] if scores else None,
        )


def refined(
    found: Iterable[Predicted],
    parameters: engines.Parameters,
    engine: str,
    *,
    total: int,
) -> Iterator[tuple[Predicted, np.ndarray]]:
    """Yields each with its classes after a CRF, int32 `[H, W]`, in order.

    Args:
        found: With scores.
        parameters: Of the CRF.
        engine: See `engines.find_engine`.
        total: How many.

    Raises:
        InputError: A process of the CRF failed.
    """
    task = functools.partial(engines.classes, parameters=parameters, engine=engine)
    calls = ((each, (each.scores, each.image)) for each in found)
    return in_processes(task, calls, total=total)
