"""What one record holds, and what is wrong with it."""

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from PIL import Image

from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.data.labels import contract, heuristics
from deeplab_tf.data.labels.statistics import LabelStatistics, allowed_ids
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError

Fields = dict[str, bytes | int | None]


@dataclasses.dataclass(kw_only=True)
class Content:
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
        """Of the pixels: equal for a photograph in another file format, too."""
        if self.image is None:
            return b""
        shape = repr(self.image.shape).encode()
        return hashlib.sha256(shape + self.image.tobytes()).digest()[:16]


def look(serialized: bytes, spec: DatasetSpec) -> Content:
    """Decodes a record, compares its fields with it, and its ids with the classes."""
    content = Content()
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except DecodeError:
        content.faults.append("no tf.train.Example; build it with datasets/build_*.py")
        return content
    fields = {key: _value(feature) for key, feature in features.items()}
    content.name = _bytes(fields, "image/filename").decode("utf-8", "replace")
    encoded = _bytes(fields, "image/encoded")
    label = _bytes(fields, "image/segmentation/class/encoded")
    content.has_label = bool(label)
    if encoded:
        _look_at_image(content, encoded)
    else:
        content.faults.append("it has no image")
    if label:
        _look_at_label(content, label, spec)
    _compare(content, fields, encoded)
    return content


def _look_at_image(content: Content, encoded: bytes) -> None:
    try:
        content.image = tfrecord.decode_image(tf.constant(encoded)).numpy()
    except tf.errors.InvalidArgumentError:
        content.faults.append("its image is damaged")
        return
    if content.image.min() == content.image.max():
        content.doubts.append("its image is all of one colour")
    elif content.image.max() < 16:
        content.doubts.append("its image is nearly black; of 12 bits kept in 16?")
    if image_files.is_exif_rotated(Image.open(io.BytesIO(encoded))):
        content.doubts.append("its EXIF data turn the image, and training does not")


def _look_at_label(content: Content, png: bytes, spec: DatasetSpec) -> None:
    where = "its label"
    try:
        contract.check_label_png(where, png)
        content.ids = tfrecord.decode_label(tf.constant(png)).numpy()[..., 0]
    except InputError as error:
        fault = str(error).removeprefix(f"{where}: ")
        if swapped := _swapped(content, png):
            content.doubts.clear()  # Of a mask in the image's place.
        content.faults.append(swapped or fault)
        return
    except tf.errors.InvalidArgumentError:
        content.faults.append("its label is damaged")
        return
    if content.image is not None:
        height, width = content.image.shape[:2]
        try:
            contract.check_size(Path(where), content.ids, (height, width))
        except InputError as error:
            content.faults.append(str(error).removeprefix(f"{where}: "))
    _look_at_ids(content, spec)


def _look_at_ids(content: Content, spec: DatasetSpec) -> None:
    ids = content.ids
    assert ids is not None
    content.tally = tally = LabelStatistics.of_mask("", ids.astype(np.uint8), spec)
    if wrong := sorted(tally.pixels.keys() - allowed_ids(spec)):
        share = sum(tally.pixels[i] for i in wrong) / ids.size
        content.faults.append(
            f"ids {contract.list_first(wrong)} are neither classes (0 to "
            f"{spec.num_classes - 1}) nor the ignore label {spec.ignore_label}, "
            f"{share:.1%} of its pixels"
        )
    if tally.interpolated.count:
        content.faults.append(contract.describe_interpolation(tally.interpolated))
    if tally.ignored.count:
        content.faults.append(
            f"its mask is the ignore label {spec.ignore_label} alone: there is nothing "
            "to learn"
        )
    if tally.uniform.count:
        (one,) = tally.pixels
        content.doubts.append(f'its mask is class {one} "{spec.classes[one]}" alone')


def _swapped(content: Content, label: bytes) -> str:
    """Says so where a photograph is in the label's place."""
    try:
        pixels = np.asarray(Image.open(io.BytesIO(label)).convert("RGB"))
    except (OSError, SyntaxError):
        return ""
    if not heuristics.is_photograph(pixels):
        return ""
    image = content.image
    mask_like = image is not None and not heuristics.is_photograph(image)
    return "its label is a photograph" + (
        ", and its image is none: they are swapped" if mask_like else ""
    )


def _compare(content: Content, fields: Fields, encoded: bytes) -> None:
    """Keeps what the fields say that is not so; those that are absent say nothing."""
    if not content.name:
        content.faults.append("it has no name")
    if content.image is None:
        return
    height, width = content.image.shape[:2]
    rows, columns = fields.get("image/height", height), fields.get("image/width", width)
    if (rows, columns) != (height, width):
        content.faults.append(
            f"image/width and height say {columns!r}x{rows!r}, and its image is "
            f"{width}x{height}"
        )
    kind = "jpeg" if encoded.startswith(b"\xff\xd8\xff") else "png"
    format_ = _bytes(fields, "image/format").decode("utf-8", "replace") or kind
    if format_.lower().replace("jpg", "jpeg") != kind:
        content.faults.append(f"image/format says {format_}, and its image is {kind}")


def _value(feature: tf.train.Feature) -> bytes | int | None:
    for values in (feature.bytes_list.value, feature.int64_list.value):
        if values:
            return values[0]
    return None


def _bytes(fields: Fields, key: str) -> bytes:
    """A field's value; empty where it is absent, or a number."""
    value = fields.get(key)
    return value if isinstance(value, bytes) else b""
