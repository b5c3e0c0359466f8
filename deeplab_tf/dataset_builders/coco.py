"""COCO: polygons and run-length encoded objects -> masks of class ids.

What is on top: a smaller object hides a larger one, so that the cup on a table stays;
of two equal ones the later in the file. Crowds (`iscrowd`), which are drawn loosely
around many objects, count nowhere but where an object lies over them.
"""

import collections
import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from absl import logging

from deeplab_tf.data import class_names, image_files
from deeplab_tf.data.labels import contract
from deeplab_tf.data.open_image import MAX_PIXELS
from deeplab_tf.dataset_builders.sources import (
    Pair,
    Sample,
    check_record_names,
    record_name,
)
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.text_files import explain, read_json

Json = dict[str, Any]
Size = tuple[int, int]  # Height, width.
_FAR = 16  # Sides of an image, beyond which no outline is meant to go.


@dataclasses.dataclass(frozen=True, kw_only=True)
class CategoryMap:
    """Categories of COCO -> classes.

    Attributes:
        names: Of the classes; the first is what no object covers.
        ids: Category -> class.
    """

    names: tuple[str, ...]
    ids: Mapping[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CocoSource:
    """Samples of photographs and their annotated objects.

    Attributes:
        file: Annotations, as `instances_train2017.json`.
        pairs: Its photographs, called as there, without suffix.
        classes: What its categories mean.
        ignore_label: Of crowds.
        table: None: masks are drawn with the ids of the records.
        max_pixels: Larger images are refused.
    """

    file: Path
    pairs: Sequence[Pair]
    classes: CategoryMap
    ignore_label: int = 255
    table: np.ndarray | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        check_record_names(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def samples(self, start: int, stop: int) -> Iterator[Sample]:
        """See `SampleSource`; raises an InputError where an object is not drawn."""
        annotations = read_annotations(self.file)
        for pair in self.pairs[start:stop]:
            facts = annotations.images[pair.name]
            origin = f"{self.file} image {facts['id']} ({facts['file_name']})"
            told: list[str] = []
            encoded, image_format, size = image_files.encode_image(
                pair.image, max_pixels=self.max_pixels, tell=told.append
            )
            remarks = [(what, str(pair.image)) for what in told]
            objects = annotations.objects.get(facts["id"], ())
            drawn = int(facts["height"]), int(facts["width"])
            # Before anything is drawn, which may be of any size.
            contract.check_size(Path(origin), np.broadcast_to(0, drawn), size)
            yield Sample(
                name=record_name(pair),
                image=encoded,
                image_format=image_format,
                size=size,
                label=self._draw_mask(objects, facts, remarks),
                origin=origin,
                remarks=remarks,
            )

    def identity(self) -> str:
        """Changes with the annotations, the photographs and the classes."""
        sha256 = hashlib.sha256(self.file.read_bytes())
        sha256.update(repr((self.classes, self.ignore_label)).encode())
        for pair in self.pairs:
            status = pair.image.stat()
            facts = (pair.name, str(pair.image), status.st_size, status.st_mtime_ns)
            sha256.update(repr(facts).encode())
        return sha256.hexdigest()

    def _draw_mask(
        self, objects: Sequence[Json], facts: Json, remarks: list[tuple[str, str]]
    ) -> np.ndarray:
        """The mask of an image; adds what draws nothing to the remarks."""
        size = int(facts["height"]), int(facts["width"])
        mask = np.zeros(size, np.uint8)
        for is_crowd in (1, 0):
            some = [one for one in objects if bool(one.get("iscrowd")) == is_crowd]
            # Drawn twice: hundreds of objects of a large photograph fill the memory.
            areas = [int(self._rasterize(one, size).sum()) for one in some]
            for one, area in zip(some, areas, strict=True):
                if what := _describe_loss(one["segmentation"], size, area):
                    name = f"annotation {one.get('id')} ({facts['file_name']})"
                    remarks.append((f"{self.file}: objects that {what}", name))
            for i in sorted(range(len(some)), key=lambda i: -areas[i]):
                own = self.classes.ids[some[i]["category_id"]]
                mask[self._rasterize(some[i], size)] = (
                    self.ignore_label if is_crowd else own
                )
        return mask

    def _rasterize(self, one: Json, size: Size) -> np.ndarray:
        where = f"{self.file}: annotation {one.get('id')}"
        return rasterize(one.get("segmentation"), size, where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotations:
    """A file of annotations.

    Attributes:
        categories: Id -> name, by order of id.
        images: By name: the file's, without suffix.
        objects: Annotations of each image, by its id, in the file's order.
        repeated: Ids that several annotations have.
        file: That errors name.
    """

    categories: Mapping[int, str]
    images: Mapping[str, Json]
    objects: Mapping[int, Sequence[Json]]
    repeated: Sequence[int] = ()
    file: Path = Path("annotations")


@functools.lru_cache(maxsize=2)  # Of training and validation, once a process.
def read_annotations(file: Path) -> Annotations:
    """Reads and checks a file as `instances_train2017.json`.

    Raises:
        InputError: No such file, or not one of objects, or two of its things have one
            id.
    """
    what = "COCO's objects"
    facts = read_json(file, what)
    with explain(file, what):
        by_id = _by_id(file, "categories", facts["categories"])
        ids = sorted(by_id)
        names = class_names.check([by_id[id_]["name"] for id_ in ids], file)
        categories = dict(zip(map(int, ids), names, strict=True))
        known = _by_id(file, "images", facts["images"])
        photos: dict[str, Json] = {}
        for one in facts["images"]:
            _check_image(file, one)
            other = photos.setdefault(_stem(one["file_name"]), one)
            if other is not one:
                raise InputError(
                    f"{file}: images {other['id']} and {one['id']} have one name, "
                    f"{other['file_name']} and {one['file_name']}; rename one"
                )
        objects: dict[int, list[Json]] = {}
        for one in facts["annotations"]:
            _check_object(file, one, categories, known)
            objects.setdefault(one["image_id"], []).append(one)
        numbers = collections.Counter(one.get("id") for one in facts["annotations"])
    return Annotations(
        categories=categories,
        images=photos,
        objects=objects,
        repeated=[id_ for id_, n in numbers.items() if id_ is not None and n > 1],
        file=file,
    )


def choose_classes(
    annotations: Annotations, wanted: Sequence[str], file: Path
) -> CategoryMap:
    """Which class each category is: 1, 2, ... by order of id, or as the names wanted.

    Args:
        annotations: Of the file.
        wanted: Names of the classes, the background first; other categories become
            background. Empty: all categories.
        file: That errors name.

    Raises:
        InputError: A wanted class is no category, the first one is, or two categories
            have one name.
    """
    by_name = {name: number for number, name in annotations.categories.items()}
    names = tuple(wanted) or ("background", *by_name)
    if wanted and names[0] in by_name and names[0] != "background":
        raise FlagError(
            f"--class_names={','.join(names)}: the first name is what no object "
            f"covers, and {names[0]} is a category of {file}; as background,"
            + ",".join(names)
        )
    for name in names[1:]:
        if name not in by_name:
            raise InputError(
                f"--class_names: {name} is no category of {file}; it has "
                f"{', '.join(by_name)}"
            )
    ids = dict.fromkeys(annotations.categories, 0)
    ids |= {by_name[name]: i for i, name in enumerate(names[1:], 1)}
    if annotations.repeated:
        logging.warning(
            "%s: %d ids are of several annotations, as %s; all of these are drawn",
            file,
            len(annotations.repeated),
            annotations.repeated[0],
        )
    if left := [name for name, number in by_name.items() if not ids[number]]:
        logging.info("%s: categories that are %s: %s", file, names[0], ", ".join(left))
    return CategoryMap(names=names, ids=ids)


def find_images(annotations: Annotations, folders: Sequence[Path]) -> list[Pair]:
    """The photographs of annotations, in their order.

    Args:
        annotations: Of the file.
        folders: Where an image may lie; the first that has it counts.

    Raises:
        InputError: An image is not there, or not below a folder of images.
    """
    pairs = []
    for name, facts in annotations.images.items():
        _check_below(annotations.file, facts)
        places = [folder / facts["file_name"] for folder in folders]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise InputError(f"{places[0]}: no such image; the annotations list it")
        pairs.append(Pair(name=name, image=path, label=None))
    return pairs


def rasterize(segmentation: Any, size: Size, where: str) -> np.ndarray:
    """Pixels of an object, bool `[H, W]`.

    Args:
        segmentation: Polygons `[[x, y, x, y, ...], ...]`, or run lengths (RLE) down the
            columns, `{"size": [H, W], "counts": ...}`, as numbers or packed in a text.
        size: Of the image.
        where: What errors name.

    Raises:
        InputError: It is none of these.
    """
    if not segmentation:
        raise InputError(f"{where} has no segmentation; a box alone says no pixels")
    try:
        if isinstance(segmentation, list):
            return _fill_polygons(segmentation, size)
        return _decode_rle(segmentation["counts"], segmentation["size"], size)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where} cannot be drawn: {error}") from None


def _stem(file_name: str) -> str:
    return Path(file_name).with_suffix("").as_posix()


def _by_id(file: Path, what: str, some: Iterable[Json]) -> dict[int, Json]:
    by_id: dict[int, Json] = {}
    for one in some:
        if by_id.setdefault(one["id"], one) is not one:
            raise InputError(f"{file}: two {what} have the id {one['id']}")
    return by_id


def _check_image(file: Path, one: Json) -> None:
    for side in ("height", "width"):
        if int(one.get(side) or 0) < 1:
            raise InputError(
                f"{file}: image {one['id']} ({one['file_name']}) has no {side}"
            )


def _check_below(file: Path, one: Json) -> None:
    for path in (PurePosixPath(one["file_name"]), PureWindowsPath(one["file_name"])):
        if path.anchor or ".." in path.parts:
            raise InputError(
                f"{file}: image {one['id']} has the file_name {one['file_name']}, "
                "which leaves the folder of images; a path below it is needed"
            )


def _check_object(
    file: Path, one: Json, categories: Container[int], photos: Container[int]
) -> None:
    for key, known in (("category_id", categories), ("image_id", photos)):
        if one[key] not in known:
            raise InputError(
                f"{file}: annotation {one.get('id')} has {key} {one[key]}, which is "
                "not there"
            )


def _fill_polygons(polygons: list[list[float]], size: Size) -> np.ndarray:
    try:
        from pycocotools import mask as coco_mask
    except ImportError:
        raise InputError(
            "polygons of COCO need pycocotools: pip install 'deeplab-tf[coco]'"
        ) from None
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"a polygon of {len(polygon)} numbers; x, y, x, y, x, y")
    points = [[float(value) for value in polygon] for polygon in polygons]
    for value in itertools.chain(*points):
        if not abs(value) < _FAR * max(size):  # Nor is NaN.
            raise ValueError(
                f"a coordinate of {value:g}, in {size[1]}x{size[0]} pixels"
            )
    rle = coco_mask.merge(coco_mask.frPyObjects(points, *size))
    return coco_mask.decode(rle).astype(bool)


def _describe_loss(segmentation: Any, size: Size, area: int) -> str:
    """What an object does that cannot be meant, of which `area` pixels were drawn."""
    if not area:
        return "draw no pixel: outside the image, without an area, or too small"
    if isinstance(segmentation, list):
        for polygon in segmentation:
            x, y = np.array(polygon[::2], float), np.array(polygon[1::2], float)
            right, below = x.min() >= size[1], y.min() >= size[0]
            if x.max() <= 0 or y.max() <= 0 or right or below:
                return "have a part outside the image"
    return ""


def _decode_rle(counts: list[int] | str, shape: Size, size: Size) -> np.ndarray:
    """Not by pycocotools: 2.0.11 returns memory as it was where runs are too short."""
    if tuple(shape) != size:
        raise ValueError(
            f"it is {shape[1]}x{shape[0]}, its image {size[1]}x{size[0]} (width x "
            "height)"
        )
    lengths = np.array(_unpack_counts(counts) if isinstance(counts, str) else counts)
    pixels = size[0] * size[1]
    if lengths.min() < 0 or lengths.sum() != pixels:
        raise ValueError(f"runs of {lengths.sum()} pixels, of {pixels} in the image")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(size[::-1]).T


def _unpack_counts(text: str) -> list[int]:
    """Run lengths out of COCO's packed form.

    A number is written five bits a letter, from the lowest; a letter's sixth bit says
    that more follow, and the last one's fifth is the sign. From the fourth number on,
    it is the difference to the last but one.
    """
    counts: list[int] = []
    number = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << shift
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    return counts
