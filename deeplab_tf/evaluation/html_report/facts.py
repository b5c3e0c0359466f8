"""Facts: every number of the report, as `report.json` has them."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from deeplab_tf.config.fields import Overrides, text
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.evaluation import metrics
from deeplab_tf.evaluation.html_report.label_errors import LabelErrors
from deeplab_tf.evaluation.html_report.remarks import remarks
from deeplab_tf.evaluation.html_report.selection import ImageSelection, ShownImage
from deeplab_tf.evaluation.image_counts import ImageCounts
from deeplab_tf.evaluation.scores import Evaluation

SCHEMA = 1
_PAIRS = 10  # Of classes that are taken for each other.
_BINS = 20  # Of the mIoU of images.
_SIZES = 5  # That are told.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """What was evaluated, and how.

    Attributes:
        split: Of the records.
        records: Their folder.
        checkpoint: Prefix of the file.
        step: Of the training; 0 if not known.
        command: That was called.
        date: In ISO form.
        settings: Of the evaluation, by flag: as it is written, and whether it is the
            default.
        network: Settings of the network, in the same way.
        training: Settings of the training, if they are known.
        environment: Versions, the commit among them, and devices.
        curves: SVG of the training's curves, if there is one.
    """

    split: str
    records: str
    checkpoint: str
    step: int
    command: str
    date: str
    settings: Mapping[str, tuple[str, bool]]
    network: Mapping[str, tuple[str, bool]]
    training: Mapping[str, str]
    environment: Mapping[str, str]
    curves: bytes = b""


def gather(
    evaluation: Evaluation,
    selection: ImageSelection,
    label_errors: LabelErrors,
    subject: Subject,
) -> dict[str, Any]:
    """What `report.json` holds.

    Args:
        evaluation: Of the network.
        selection: Images that are shown.
        label_errors: Likely ones.
        subject: What was evaluated.
    """
    spec, matrix = evaluation.confusion.spec, evaluation.confusion.matrix
    about = dataclasses.asdict(subject)
    del about["curves"]
    scores = evaluation.scores
    return {
        "schema": SCHEMA,
        "subject": about,
        "dataset": _dataset(evaluation, spec, subject.split),
        "sentence": sentence(matrix, spec.classes),
        "scores": scores,
        "classes": _classes(evaluation, scores),
        "confusion_matrix": matrix.tolist(),
        "taken_for": taken_for(matrix, spec.classes),
        "remarks": [r._asdict() for r in remarks(evaluation, subject.split)],
        "image_miou": _histogram(evaluation.images, spec.num_classes),
        "sizes": _sizes(evaluation.images),
        "worst_images": [image(each, spec) for each in selection.worst],
        "best_images": [image(each, spec) for each in selection.best],
        "images_by_class": {
            name: {
                kind: [
                    image(each, spec) | {"iou": each.iou(i, spec.num_classes)}
                    for each in some
                ]
                for kind, some in zip(
                    ("worst", "best"), selection.of_class(i), strict=True
                )
            }
            for i, name in enumerate(spec.classes)
        },
        "label_errors": [
            {"name": error.name} | _region(error.worst, spec)
            for error in label_errors.ranked()
        ],
    }


def sentence(matrix: np.ndarray, classes: Sequence[str]) -> str:
    """How good it is, and what is worst, in plain words."""
    accuracy, miou = metrics.pixel_accuracy(matrix), metrics.mean_iou(matrix)
    if accuracy == 1:
        return "Every pixel is right."
    first = (
        f"{100 * accuracy:.0f} of 100 pixels are right, and a class overlaps its truth "
        f"by {100 * miou:.0f} % on the mean."
    )
    iou, truth = metrics.class_iou(matrix), matrix.sum(axis=1)
    occurring = np.flatnonzero(truth)
    worst = int(occurring[np.argmin(iou[occurring])])
    second = f"The worst class is {classes[worst]} with {100 * iou[worst]:.0f} %"
    others = matrix[worst].copy()
    others[worst] = 0
    recall = matrix[worst, worst] / truth[worst]
    precision = matrix[worst, worst] / max(matrix[:, worst].sum(), 1)
    if recall <= precision or not matrix[:, worst].any():
        other, share = int(others.argmax()), others.max() / truth[worst]
        why = f"{100 * share:.0f} % of it is taken for {classes[other]}"
    else:
        wrong = matrix[:, worst].copy()
        wrong[worst] = 0
        other, share = int(wrong.argmax()), wrong.max() / matrix[:, worst].sum()
        why = f"{100 * share:.0f} % of what is called so is {classes[other]}"
    return f"{first} {second}: {why}."


def taken_for(matrix: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The pairs of classes with the most wrong pixels.

    Each with its pixels, and their shares of the true class and of all errors.
    """
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    total = wrong.sum()
    return [
        {
            "true": classes[i],
            "predicted": classes[j],
            "pixels": int(wrong[i, j]),
            "share_of_class": float(wrong[i, j] / matrix[i].sum()),
            "share_of_errors": float(wrong[i, j] / total),
        }
        for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[i, j]
    ]


def _classes(evaluation: Evaluation, scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row of the table for each class."""
    spec, matrix = evaluation.confusion.spec, evaluation.confusion.matrix
    truth, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    images = np.zeros(spec.num_classes, np.int64)
    for each in evaluation.images:
        images[np.unique(each.pairs // spec.num_classes)] += 1
    several = evaluation.confusion.num_images > 1
    return [
        {
            "id": i,
            "name": name,
            "iou": scores["iou"][name],
            "interval": scores["iou_intervals"][name] if several else None,
            "precision": scores["precision"][name],
            "recall": scores["recall"][name],
            "f1": scores["f1"][name],
            "share": scores["share"][name],
            "boundary_iou": scores.get("boundary_iou", {}).get(name),
            "pixels": int(truth[i]),
            "predicted_pixels": int(predicted[i]),
            "images": int(images[i]),
        }
        for i, name in enumerate(spec.classes)
        if i != spec.ignore_label or truth[i] or predicted[i]
    ]


def image(shown: ShownImage, spec: DatasetSpec) -> dict[str, Any]:
    """What is said of an image."""
    worst = shown.scores.worst_class
    return {
        "name": shown.counts.name,
        "size": shown.counts.size,
        "miou": shown.scores.miou,
        "share_wrong": shown.scores.share_wrong,
        "worst_class": None if worst is None else spec.classes[worst],
    }


def _region(worst: Any, spec: DatasetSpec) -> dict[str, Any]:
    return worst._asdict() | {
        "label": spec.classes[worst.label],
        "predicted": spec.classes[worst.predicted],
    }


def _histogram(images: Sequence[ImageCounts], num_classes: int) -> list[int]:
    """Images by their mIoU, in 20 bins of 0...1."""
    values = [each.scores(num_classes).miou for each in images]
    known = [value for value in values if not np.isnan(value)]
    return np.histogram(known, bins=_BINS, range=(0, 1))[0].tolist()


def _sizes(images: Sequence[ImageCounts]) -> dict[str, Any]:
    """Height, width of the smallest, the largest and the most frequent images."""
    sizes = Counter(each.size for each in images)
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return {
        "kinds": len(sizes),
        "smallest": by_area[0] if by_area else None,
        "largest": by_area[-1] if by_area else None,
        "often": [
            {"size": size, "images": count} for size, count in sizes.most_common(_SIZES)
        ],
    }


def _dataset(evaluation: Evaluation, spec: DatasetSpec, split: str) -> dict[str, Any]:
    pixels = sum(each.size[0] * each.size[1] for each in evaluation.images)
    counted = int(evaluation.confusion.matrix.sum())
    return {
        "name": spec.name,
        "num_classes": spec.num_classes,
        "num_images": evaluation.confusion.num_images,
        "pixels": pixels,
        "share_ignored": 1 - counted / pixels if pixels else None,
        "ignore_label": spec.ignore_label,
        "split_sizes": dict(spec.split_sizes),
        "checksum": spec.checksums.get(split, ""),
        "id_mapping": spec.id_mapping.get(split, ""),
        "version": spec.version,
    }


def flat_settings(record: Any) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yields the settings of a record by flag: as written, and if it is the default.

    Of what overrides saved settings, those that were given.
    """
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Overrides):
            yield from ((name, (_shown(v), False)) for name, v in value.given.items())
        elif dataclasses.is_dataclass(value):
            yield from flat_settings(value)
        else:
            yield field.name, (_shown(value), value == field.default)


def _shown(value: Any) -> str:
    return "" if value in (None, ()) else text(value)
