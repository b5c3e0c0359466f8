"""labelme: a file of JSON with shapes for each photograph.

Shapes are drawn in the order of the file, the later over the earlier, as labelme does.
The classes are those of its `labels.txt`: `_background_` is 0, `__ignore__` counts
nowhere.
"""

import base64
import dataclasses
import functools
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deeplab_tf import text_files
from deeplab_tf.data import image_files
from deeplab_tf.dataset_builders.annotation_tools import class_ids, drawing
from deeplab_tf.dataset_builders.annotation_tools.class_ids import ClassIds
from deeplab_tf.dataset_builders.annotation_tools.drawing import Region, Size
from deeplab_tf.dataset_builders.annotation_tools.export import (
    UNDIVIDED,
    Export,
    ExportFolder,
    Notes,
    Options,
    Photographs,
    draw_all,
    is_object,
    read_json,
)
from deeplab_tf.dataset_builders.sources import FileSource
from deeplab_tf.errors import InputError
from deeplab_tf.files import write_whole

_LABELS = "labels.txt"
_WHAT = "annotations of labelme"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """A shape: label, kind ("polygon"), points `[N, 2]`, and pixels of a "mask"."""

    label: str
    kind: str
    points: np.ndarray
    mask: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """The shapes of a photograph.

    Attributes:
        size: Of the photograph.
        photo: Its path as labelme wrote it.
        embedded: Whether the file holds the photograph, too.
        shapes: In the order of drawing.
    """

    size: Size
    photo: str
    embedded: bool
    shapes: Sequence[Shape]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapeReader:
    """Draws the mask of a file of labelme.

    Attributes:
        classes: What its labels mean.
        line_width: Of lines, and diameter of points, in pixels.
    """

    classes: ClassIds
    line_width: float

    def __call__(self, path: Path) -> np.ndarray:
        """Reads a file: ids `[H, W]`, uint8.

        Raises:
            InputError: It is none of labelme's.
        """
        return self.draw(path, Notes())

    def draw(self, path: Path, notes: Notes) -> np.ndarray:
        """The mask of a photograph's shapes; notes what is worth telling."""
        facts = read_drawing(path)
        canvas = drawing.Canvas(facts.size)
        for shape in facts.shapes:
            where = f"{path} ({shape.label})"
            outline, fewest = _KINDS[shape.kind]
            pixels = functools.partial(outline, shape, self.line_width, facts.size)
            try:
                region = drawing.draw(pixels, shape.points, fewest)
            except drawing.NoPixels as error:
                notes.add(f"shapes left out, {error}", where)
                continue
            canvas.paint(region, self.classes.ids[shape.label])
            if shape.kind in ("point", "points"):
                notes.add(
                    f"points drawn as discs of --line_width={self.line_width:g}", where
                )
        if canvas.overlaps:
            notes.add("files whose shapes overlap; the later one lies on top", path)
        return canvas.ids(uncovered=0)


def is_export(folder: ExportFolder) -> bool:
    """Whether there is a file of shapes."""
    return folder.has_json(_is_drawing)


def read(folder: ExportFolder, options: Options) -> Export:
    """Reads all files of shapes, their photographs and the names of their classes.

    Raises:
        InputError: A file cannot be read, a photograph is missing, or a label is
            unknown.
    """
    notes = Notes()
    drawings = _read_drawings(folder, notes)
    pairs = Photographs(folder, folder.images).pair(
        {path: one.photo for path, one in drawings.items()},
        "shapes",
        embedded={path for path, one in drawings.items() if one.embedded},
    )
    labels = class_ids.first_places(
        (shape.label, path) for path, one in drawings.items() for shape in one.shapes
    )
    reader = ShapeReader(
        classes=_choose_classes(folder, labels, options),
        line_width=options.line_width,
    )
    draw_all(reader, drawings, notes)
    source = FileSource(
        pairs=[*pairs.values()], read_mask=reader, read_image=encode_image
    )
    return Export(classes=reader.classes.names, splits={UNDIVIDED: source})


def read_drawing(path: Path) -> Drawing:
    """Reads and checks a file of labelme.

    Raises:
        InputError: It is none, or has shapes that are not known.
    """
    facts = text_files.read_json(path, _WHAT)
    with text_files.explain(path, _WHAT):
        return Drawing(
            size=drawing.to_size(facts["imageHeight"], facts["imageWidth"]),
            photo=str(facts["imagePath"]),
            embedded=bool(facts.get("imageData")),
            shapes=[_parse_shape(path, shape) for shape in facts["shapes"]],
        )


def encode_image(path: Path, **settings: Any) -> tuple[bytes, str, Size]:
    """A photograph as a record holds it, or the one embedded in a file of labelme.

    Args:
        path: Of the file.
        **settings: See `image_files.encode_image`.

    Raises:
        InputError: It is damaged.
    """
    if path.suffix.lower() != ".json":
        return image_files.encode_image(path, **settings)
    facts = text_files.read_json(path, _WHAT)
    with text_files.explain(path, _WHAT), tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, path.stem)
        data = base64.b64decode(facts["imageData"], validate=True)
        write_whole(photo, data, flushed=False)
        try:
            return image_files.encode_image(photo, **settings)
        except InputError as error:
            said = str(error).replace(str(photo), f"{path}: imageData")
            raise type(error)(said) from None


def _read_drawings(folder: ExportFolder, notes: Notes) -> dict[Path, Drawing]:
    drawings = {}
    for path in folder.ending(".json"):
        if _is_drawing(read_json(path)):
            drawings[path] = read_drawing(path)
        else:
            notes.add("files of JSON without shapes passed over", path)
    return drawings


def _is_drawing(facts: Any) -> bool:
    return is_object(facts, ("shapes", "imagePath"))


def _choose_classes(
    folder: ExportFolder, labels: Mapping[str, Path], options: Options
) -> ClassIds:
    lists = [path for path in folder.files if path.name == _LABELS]
    listed: list[str] = []
    if lists and not options.class_names:
        listed = [line for line in text_files.read_lines(lists[0]) if line]
    classes = class_ids.assign(
        labels,
        wanted=options.class_names,
        listed=listed,
        file=lists[0] if lists else folder.path,
        ignore_label=options.ignore_label,
    )
    class_ids.tell_order(classes, options.class_names or listed, folder.path)
    return classes


def _parse_shape(path: Path, shape: Mapping[str, Any]) -> Shape:
    kind = shape.get("shape_type") or "polygon"  # Old versions had no others.
    if kind not in _KINDS:
        raise InputError(
            f"{path}: a shape of {shape['label']} is a {kind}, which is none of "
            f"{', '.join(_KINDS)}; draw it as one of these"
        )
    label, points = shape["label"], drawing.to_points(shape["points"])
    if not isinstance(label, str) or not label.strip():
        raise ValueError(f"the label of a shape is {label!r}")
    return Shape(label=label.strip(), kind=kind, points=points, mask=shape.get("mask"))


def _polygon(shape: Shape, line_width: float, size: Size) -> Region:
    return drawing.polygon(shape.points, size)


def _rectangle(shape: Shape, line_width: float, size: Size) -> Region:
    """By two opposite corners, or by all four."""
    if len(shape.points) == 2:
        return drawing.rectangle(shape.points, size)
    return drawing.polygon(shape.points, size)


def _circle(shape: Shape, line_width: float, size: Size) -> Region:
    """By its center and a point on it."""
    center, rim = shape.points[:2]
    return drawing.disc(center, float(np.hypot(*(rim - center))), size)


def _line(shape: Shape, line_width: float, size: Size) -> Region:
    return drawing.line(shape.points, line_width, size)


def _points(shape: Shape, line_width: float, size: Size) -> Region:
    return drawing.discs(shape.points, line_width / 2, size)


def _mask(shape: Shape, line_width: float, size: Size) -> Region:
    """A PNG in base64, whose first and last pixel the points tell."""
    with Image.open(io.BytesIO(base64.b64decode(shape.mask or ""))) as image:
        inside = np.asarray(image.convert("L")) > 0
    left, top = shape.points[0].astype(int)
    return drawing.clip(inside, int(top), int(left), size)


# Kind of shape -> what it covers, and how many points it needs.
Outline = Callable[[Shape, float, Size], Region]
_KINDS: Mapping[str, tuple[Outline, int]] = {
    "polygon": (_polygon, 3),
    "rectangle": (_rectangle, 2),
    "circle": (_circle, 2),
    "line": (_line, 2),
    "linestrip": (_line, 2),
    "point": (_points, 1),
    "points": (_points, 1),
    "mask": (_mask, 1),
}
