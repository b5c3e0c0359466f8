"""Confusion counts of each image: what intervals and comparisons are computed from."""

import dataclasses
import io
import json
import types
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import metrics
from deeplab_tf.files import write_whole
from deeplab_tf.text_files import explain

FILE = "per_image_counts.npz"
_WHAT = "the counts of an evaluation"
_FORM = 1


class ImageScores(NamedTuple):
    """What an image scores by itself.

    Attributes:
        miou: Mean IoU of the classes that occur or are predicted in it; NaN if no pixel
            counts.
        worst_class: Id of the class with the least IoU among those that the truth has,
            the larger of two; None without one.
        share_wrong: Of the pixels that count, 0...1; NaN if none does.
    """

    miou: float
    worst_class: int | None
    share_wrong: float


@dataclasses.dataclass(frozen=True, eq=False)
class ImageCounts:
    """Pixels of an image by true and predicted class, of the pairs that occur.

    Attributes:
        name: Of the image.
        size: Height, width.
        pairs: True id * C + predicted id, int32 `[n]`, ascending.
        pixels: Of each pair, int64 `[n]`, at least 1.
    """

    name: str
    size: tuple[int, int]
    pairs: np.ndarray
    pixels: np.ndarray

    @classmethod
    def of(cls, name: str, size: tuple[int, int], matrix: np.ndarray) -> "ImageCounts":
        """The counts of a confusion matrix, int64 `[C, C]`."""
        flat = matrix.reshape(-1)
        pairs = np.flatnonzero(flat)
        return cls(name, size, pairs.astype(np.int32), flat[pairs])

    def matrix(self, num_classes: int) -> np.ndarray:
        """The confusion matrix, int64 `[C, C]`; rows are the truth."""
        flat = np.zeros(num_classes**2, np.int64)
        flat[self.pairs] = self.pixels
        return flat.reshape(num_classes, num_classes)

    def scores(self, num_classes: int) -> ImageScores:
        """What the image scores by itself."""
        matrix = self.matrix(num_classes)
        iou, truth = metrics.class_iou(matrix), matrix.sum(axis=1)
        occurring = np.flatnonzero(truth)
        order = np.lexsort((-truth[occurring], iou[occurring]))
        worst = int(occurring[order[0]]) if len(occurring) else None
        return ImageScores(
            metrics.mean_iou(matrix), worst, 1 - metrics.pixel_accuracy(matrix)
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StoredCounts:
    """What `per_image_counts.npz` holds.

    Attributes:
        counts: Of each image, in the order of the evaluation.
        classes: Their names.
        ignore_label: Id of the pixels that do not count.
        checkpoint: Whose predictions they are.
        settings: Flags of the evaluation that were given, by name.
    """

    counts: Sequence[ImageCounts]
    classes: tuple[str, ...]
    ignore_label: int
    checkpoint: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def save(
    path: Path,
    counts: Sequence[ImageCounts],
    spec: DatasetSpec,
    *,
    checkpoint: str,
    settings: Mapping[str, Any] = types.MappingProxyType({}),
) -> None:
    """Writes the counts as a compressed file of NumPy arrays, whole or not at all.

    Args:
        path: Of the file.
        counts: Of each image.
        spec: Of the data set.
        checkpoint: Whose predictions they are.
        settings: Flags of the evaluation that were given, by name, as JSON has them.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        form=_FORM,
        names=np.array([each.name for each in counts], np.str_),
        sizes=np.array([each.size for each in counts], np.int32).reshape(-1, 2),
        lengths=np.array([len(each.pairs) for each in counts], np.int64),
        pairs=_join([each.pairs for each in counts], np.int32),
        pixels=_join([each.pixels for each in counts], np.int64),
        classes=np.array(spec.classes, np.str_),
        ignore_label=spec.ignore_label,
        checkpoint=checkpoint,
        settings=json.dumps(dict(settings)),
    )
    write_whole(path, content.getvalue())


def load(path: Path) -> StoredCounts:
    """Reads what `save` wrote.

    Raises:
        InputError: There is no such file, or it is of another form.
    """
    try:
        content = io.BytesIO(path.read_bytes())
        with explain(path, _WHAT), np.load(content, allow_pickle=False) as arrays:
            return _parse(dict(arrays))
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; eval.py writes it into --eval_logdir"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise InputError(f"{path}: not {_WHAT} ({error})") from None


def _parse(arrays: dict[str, np.ndarray]) -> StoredCounts:
    if (form := int(arrays["form"])) != _FORM:
        raise ValueError(f"form {form}, where {_FORM} is known")
    lengths, classes = arrays["lengths"], tuple(arrays["classes"].tolist())
    pairs, pixels = arrays["pairs"], arrays["pixels"]
    in_range = (pairs >= 0) & (pairs < len(classes) ** 2)
    if not in_range.all() or lengths.sum() != len(pairs) or len(pairs) != len(pixels):
        raise ValueError("its counts do not fit its classes")
    ends = np.cumsum(lengths)[:-1]
    rows = zip(
        arrays["names"].tolist(),
        arrays["sizes"].tolist(),
        np.split(pairs, ends),
        np.split(pixels, ends),
        strict=True,
    )
    return StoredCounts(
        counts=[
            ImageCounts(name, (height, width), *both)
            for name, (height, width), *both in rows
        ],
        classes=classes,
        ignore_label=int(arrays["ignore_label"]),
        checkpoint=str(arrays["checkpoint"]),
        settings=json.loads(str(arrays.get("settings", "{}"))),
    )


def _join(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts])
