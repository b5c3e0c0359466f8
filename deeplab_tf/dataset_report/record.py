"""Record inspection: what one record holds, and what is wrong with it."""

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from PIL import Image

from deeplab_tf import runtime
from deeplab_tf.config.remedies import FOLDER
from deeplab_tf.data import tfrecord
from deeplab_tf.data.labels import contract, heuristics
from deeplab_tf.data.labels.statistics import LabelStatistics, allowed_ids
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError, printable, tell_remedies

Fields = dict[str, bytes | int | None]


@dataclasses.dataclass(kw_only=True)
class InspectedRecord:
    """A record, decoded as far as it can be.

    Attributes:
        name: Of its image.
        image: RGB `[H, W, 3]`; None where it cannot be decoded.
        ids: Its mask, `[h, w]`; None where there is none that can be read.
        has_label: Whether there is a mask, readable or not.
        tally: What its mask holds.
        faults: What is wrong.
        doubts: What may be meant, and may not be.
    """

    name: str = ""
    image: np.ndarray | None = None
    ids: np.ndarray | None = None
    has_label: bool = False
    tally: LabelStatistics = dataclasses.field(default_factory=LabelStatistics)
    faults: list[str] = dataclasses.field(default_factory=list)
    doubts: list[str] = dataclasses.field(default_factory=list)

    def digest(self) -> bytes:
        """Hash of the pixels: equal for a photograph in another file format, too."""
        if self.image is None:
            return b""
        shape = repr(self.image.shape).encode()
        return hashlib.sha256(shape + self.image.tobytes()).digest()[:16]


def inspect_record(serialized: bytes, spec: DatasetSpec) -> InspectedRecord:
    """Decodes a record, compares its fields with it, and its ids with the classes."""
    record = InspectedRecord()
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except DecodeError:
        record.faults.append("no tf.train.Example; build it with datasets/build_*.py")
        return record
    fields = {key: _first_value(feature) for key, feature in features.items()}
    name = _bytes(fields, "image/filename")
    record.name = printable(name.decode("utf-8", "surrogateescape"))
    encoded = _bytes(fields, "image/encoded")
    label = _bytes(fields, "image/segmentation/class/encoded")
    record.has_label = bool(label)
    if encoded:
        _inspect_image(record, encoded)
    else:
        record.faults.append("it has no image")
    if label:
        _inspect_label(record, label, spec)
    _compare_fields(record, fields, encoded)
    return record


def _inspect_image(record: InspectedRecord, encoded: bytes) -> None:
    try:
        record.image = tfrecord.decode_image(tf.constant(encoded)).numpy()
    except tf.errors.InvalidArgumentError:
        record.faults.append("its image is damaged")
        return
    if record.image.min() == record.image.max():
        record.doubts.append("its image is all of one color")
    elif record.image.max() < 16:
        record.doubts.append("its image is nearly black; of 12 bits kept in 16?")
    if runtime.is_turned(Image.open(io.BytesIO(encoded))):
        record.doubts.append("its EXIF data turn the image, and training does not")


def _inspect_label(record: InspectedRecord, png: bytes, spec: DatasetSpec) -> None:
    where = "its label"
    try:
        with tell_remedies(FOLDER):
            contract.check_label_png(where, png)
        record.ids = tfrecord.decode_label(tf.constant(png)).numpy()[..., 0]
    except InputError as error:
        fault = str(error).removeprefix(f"{where}: ")
        if swapped := _check_swapped(record, png):
            record.doubts.clear()  # Of a mask in the image's place.
        record.faults.append(swapped or fault)
        return
    except tf.errors.InvalidArgumentError:
        record.faults.append("its label is damaged")
        return
    if record.image is not None:
        height, width = record.image.shape[:2]
        try:
            contract.check_size(Path(where), record.ids, (height, width))
        except InputError as error:
            record.faults.append(str(error).removeprefix(f"{where}: "))
    _inspect_ids(record, spec)


def _inspect_ids(record: InspectedRecord, spec: DatasetSpec) -> None:
    ids = record.ids
    assert ids is not None
    record.tally = tally = LabelStatistics.of_mask("", ids.astype(np.uint8), spec)
    if wrong := sorted(tally.pixels.keys() - allowed_ids(spec)):
        share = sum(tally.pixels[i] for i in wrong) / ids.size
        record.faults.append(
            f"ids {contract.list_first(wrong)} are neither classes (0 to "
            f"{spec.num_classes - 1}) nor the ignore label {spec.ignore_label}, "
            f"{share:.1%} of its pixels"
        )
    if tally.interpolated.count:
        record.faults.append(contract.describe_interpolation(tally.interpolated))
    if tally.ignored.count:
        record.faults.append(
            f"its mask is the ignore label {spec.ignore_label} alone: there is nothing "
            "to learn"
        )
    if tally.uniform.count:
        (one,) = tally.pixels
        record.doubts.append(f'its mask is class {one} "{spec.classes[one]}" alone')


def _check_swapped(record: InspectedRecord, label: bytes) -> str:
    """The fault where a photograph is in the label's place, or empty."""
    try:
        pixels = np.asarray(Image.open(io.BytesIO(label)).convert("RGB"))
    except (OSError, SyntaxError):
        return ""
    if not heuristics.is_photograph(pixels):
        return ""
    image = record.image
    mask_like = image is not None and not heuristics.is_photograph(image)
    return "its label is a photograph" + (
        ", and its image is none: they are swapped" if mask_like else ""
    )


def _compare_fields(record: InspectedRecord, fields: Fields, encoded: bytes) -> None:
    """Compares the fields with the image; those that are absent say nothing."""
    if not record.name:
        record.faults.append("it has no name")
    if record.image is None:
        return
    height, width = record.image.shape[:2]
    rows, columns = fields.get("image/height", height), fields.get("image/width", width)
    if (rows, columns) != (height, width):
        record.faults.append(
            f"image/width and height say {columns!r}x{rows!r}, and its image is "
            f"{width}x{height}"
        )
    kind = "jpeg" if encoded.startswith(b"\xff\xd8\xff") else "png"
    format_ = _bytes(fields, "image/format").decode("utf-8", "replace") or kind
    if format_.lower().replace("jpg", "jpeg") != kind:
        record.faults.append(
            f"image/format says {printable(format_)}, and its image is {kind}"
        )


def _first_value(feature: tf.train.Feature) -> bytes | int | None:
    for values in (feature.bytes_list.value, feature.int64_list.value):
        if values:
            return values[0]
    return None


def _bytes(fields: Fields, key: str) -> bytes:
    """A field's value; empty where it is absent, or a number."""
    value = fields.get(key)
    return value if isinstance(value, bytes) else b""
