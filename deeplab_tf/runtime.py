"""Inference with an exported network: one file, to be copied into a product.

    from deeplab_tf.runtime import Segmenter  # Of a copy: from runtime import Segmenter

    Segmenter("model.onnx").predict("photo.jpg").save("mask.png")

    python runtime.py MODEL PHOTO MASK.png

It imports nothing of deeplab_tf. It needs NumPy, Pillow, and what computes the model:
onnxruntime for `.onnx`, ai-edge-litert for `.tflite`, openvino for `.xml`, TensorFlow
for the folder of a SavedModel and for a frozen graph, `.pb`.
"""

import argparse
import csv
import dataclasses
import importlib
import itertools
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

Color = tuple[int, int, int]
Size = tuple[int, int]  # Height, width.
Photograph = str | os.PathLike[str] | Image.Image | np.ndarray
CLASSES, PROBABILITIES = "SemanticPredictions", "SemanticProbabilities"
LOGITS = "Logits"
IGNORED: Color = (224, 224, 192)  # Of ids that are no classes.
# Pixels that a model of any size computes at once, in some 1.2 GB; more are tiled.
WHOLE = 1537 * 1537
TINY = np.finfo(np.float32).tiny  # A probability of 0 has no logarithm.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError)
_log = logging.getLogger("deeplab_tf.runtime")


class SegmenterError(ValueError):
    """What was given cannot be used: one line that says why."""


class ModelError(SegmenterError):
    """A model that cannot be opened or run."""


class ImageError(SegmenterError):
    """A photograph that cannot be read, or pixels of another shape or type."""


@dataclasses.dataclass(frozen=True)
class Tiles:
    """A window that slides over an image which is larger.

    Attributes:
        size: Height, width of the window.
        overlap: By how many rows and columns two neighbors overlap at least; by default
            a quarter of the size.
        blend: What is averaged where they overlap. Of logits, it is the geometric mean
            of the probabilities: where tiles disagree, the surer one counts more.

    Raises:
        SegmenterError: The window could not move on.
    """

    size: Size
    overlap: Size | None = None
    blend: Literal["probabilities", "logits"] = "probabilities"

    def __post_init__(self) -> None:
        for tile, overlap in zip(self.size, self.overlaps, strict=True):
            if tile < 1 or not 0 <= overlap < tile:
                raise SegmenterError(
                    f"tiles: {tile} that overlap by {overlap}; from 0 to less than the "
                    "size is needed"
                )

    @property
    def overlaps(self) -> Size:
        """Rows and columns of the overlap."""
        return self.overlap or (self.size[0] // 4, self.size[1] // 4)

    def cut(self, size: Size) -> bool:
        """Whether an image of this height and width is larger than the window."""
        return size[0] > self.size[0] or size[1] > self.size[1]


@dataclasses.dataclass(frozen=True, eq=False)
class Segmentation:
    """What a network sees in a photograph, at the photograph's size.

    Attributes:
        image: RGB, uint8 `[H, W, 3]`, upright.
        classes: Class ids, int32 `[H, W]`.
        probabilities: Of the classes, float32 `[H, W, C]`; None where the model has
            none, or none were asked for.
        labels: Names of the classes.
        colors: Of the classes, RGB in 0...255.
    """

    image: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray | None
    labels: tuple[str, ...]
    colors: tuple[Color, ...]

    def __repr__(self) -> str:
        height, width = self.classes.shape
        most = sorted(self.shares.items(), key=lambda item: -item[1])[:3]
        told = ", ".join(f"{name} {share:.0%}" for name, share in most if share)
        return f"<Segmentation {width}x{height}: {told}>"

    @property
    def shares(self) -> dict[str, float]:
        """Share of the pixels by class name, from 0 to 1, of all classes."""
        counts = np.bincount(self.classes.ravel(), minlength=len(self.labels))
        shares = (counts / self.classes.size).tolist()[: len(self.labels)]
        return dict(zip(self.labels, shares, strict=True))

    def mask(self) -> Image.Image:
        """The class ids as an indexed image with the colors of the classes."""
        return color_mask(self.classes, self.colors)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `mask()`.

        Raises:
            SegmenterError: The path does not end in `.png`, or its folder is not there.
        """
        name = os.fspath(path)
        folder = os.path.dirname(name) or "."
        if not name.lower().endswith(".png"):
            raise SegmenterError(f"path={name}: a mask is a PNG; end it in .png")
        if not os.path.isdir(folder):
            raise SegmenterError(f"path={name}: no folder {folder}; make it")
        self.mask().save(path)

    def overlay(self, *, legend: bool = True) -> Image.Image:
        """The photograph, tinted by class, with a legend of what occurs, or bare."""
        tint = np.asarray(self.mask().convert("RGB"))
        colored = tint.any(axis=-1, keepdims=True)  # Black is a background's.
        shown = np.where(colored, self.image // 2 + tint // 2, self.image)
        sheet = Image.fromarray(shown)
        return _add_legend(sheet, self) if legend else sheet


def color_mask(ids: np.ndarray, colors: Sequence[Color]) -> Image.Image:
    """Class ids `[H, W]`, 0...255, as an indexed image; ids beyond are `IGNORED`."""
    mask = Image.fromarray(ids.astype(np.uint8))
    # All 256 entries, or Pillow saves fewer bits an id, and 255 becomes 15.
    entries = [*colors, *[IGNORED] * (256 - len(colors))]
    mask.putpalette([value for color in entries for value in color])
    return mask


def _add_legend(sheet: Image.Image, result: Segmentation) -> Image.Image:
    scale = max(1.0, sheet.width / 1000, sheet.height / 700)
    line, font = round(20 * scale), ImageFont.load_default(round(14 * scale))
    labels = [name for name, share in result.shares.items() if share]
    colors = dict(zip(result.labels, result.colors, strict=True))
    size = max(sheet.width, 10 * line), sheet.height + line * len(labels)
    grown = Image.new("RGB", size, "white")
    grown.paste(sheet)
    draw = ImageDraw.Draw(grown)
    for top, name in zip(range(sheet.height, size[1], line), labels, strict=True):
        box = (2, top + 2, line - 2, top + line - 2)
        draw.rectangle(box, fill=colors[name], outline="black")
        draw.text((line + 4, top + line // 2), name, "black", font, anchor="lm")
    return grown


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportInfo:
    """What an export says of itself; its other facts do not matter here.

    Attributes:
        classes: Names of the classes; none where it does not tell them.
        colors: Of the classes.
        outputs: "classes", "probabilities", "logits", in the order of the file's.
        mean_pixel: RGB of what smaller photographs are padded with.
        crop_size: Height, width of the crops of its training.
        min_resize_value: Range of sizes in which it learned, if there is one: the
            smaller side,
        max_resize_value: what the larger may be at most,
        resize_factor: and both are multiples of it plus one.
    """

    classes: tuple[str, ...] = ()
    colors: tuple[Color, ...] = ()
    outputs: tuple[str, ...] = ()
    mean_pixel: tuple[float, ...] = (127.5, 127.5, 127.5)
    crop_size: Size = (513, 513)
    min_resize_value: int | None = None
    max_resize_value: int | None = None
    resize_factor: int | None = None

    def size_in_range(self, size: Size) -> Size:
        """Height, width to which an image is brought; float32, as the network does."""
        least, most = self.min_resize_value or 1, self.max_resize_value
        factor, sides = self.resize_factor, np.array(size, np.float32)
        result = np.floor(sides * (np.float32(least) / sides.min()))
        if most is not None:
            most -= (most - 1) % factor if factor else 0
            if result.max() > most:
                result = np.floor(sides * (np.float32(most) / sides.max()))
        height, width = (max(1, int(side)) for side in result)
        if factor:
            height += (factor - (height - 1) % factor) % factor
            width += (factor - (width - 1) % factor) % factor
        return height, width


def read_info(path: Path) -> ExportInfo:
    """What lies in the assets of a SavedModel, or beside another file, as `.json`.

    Raises:
        ModelError: It cannot be understood.
    """
    place = path.with_name(f"{path.name}.json")
    if path.is_dir():
        place = path / "assets" / "export_info.json"
    if not place.exists():
        return ExportInfo()
    known = {field.name for field in dataclasses.fields(ExportInfo)}
    try:
        facts = json.loads(place.read_text("utf-8"))
        facts |= _read_assets(place.parent) if "classes" not in facts else {}
        given = {name: facts[name] for name in known & facts.keys()}
        info = ExportInfo(**{k: _plain(v) for k, v in given.items() if v is not None})
        if len(info.colors) != len(info.classes):
            raise ValueError(
                f"{len(info.colors)} colors of {len(info.classes)} classes"
            )
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise ModelError(
            f"{place}: not the description of an export ({_line(error)})"
        ) from None
    return info


def _read_assets(folder: Path) -> dict[str, Any]:
    """Classes and colors as SavedModels had them before `export_info.json` did."""
    labels, colors = folder / "labels.txt", folder / "colormap.csv"
    if not (labels.exists() and colors.exists()):
        return {}
    with colors.open(encoding="utf-8", newline="") as rows:
        palette = [
            [int(row[name]) for name in ("red", "green", "blue")]
            for row in csv.DictReader(rows)
        ]
    return {"classes": labels.read_text("utf-8").splitlines(), "colors": palette}


def _plain(value: Any) -> Any:
    """Lists as tuples, at any depth."""
    return tuple(map(_plain, value)) if isinstance(value, list) else value


class Segmenter:
    """An exported network, opened by its runtime.

    Several threads may call it at a time.

    Args:
        path: File or folder of the export.
        threads: That compute an image; by default as many as the runtime takes.
        tiles: Into which larger photographs are cut; by default the model's own size
            or, of a model of any size, that of its training's crops above `WHOLE`.

    Raises:
        ModelError: It cannot be opened, or does not take such tiles.

    Attributes:
        path: As given.
        info: What the export says of itself.
        batch: How many images it takes at a time; None for any number.
        input_size: Height, width of the images that it takes; None for any.
    """

    _tiles: Tiles | None = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        threads: int | None = None,
        tiles: Tiles | None = None,
    ) -> None:
        self.path, self._tiles = os.fspath(path), tiles
        place = _find_model(Path(path))
        self.info = read_info(place)
        self._network = _open(place, threads)
        self._names = _name_outputs(self._network.outputs, self.info.outputs)
        self.batch, height, width = self._network.shape[:3]
        fixed = None if height is None or width is None else (height, width)
        self.input_size: Size | None = fixed
        self._check_tiles()
        if not self.info.classes:
            _log.warning("%s: does not tell its classes; they are numbered", path)

    def _check_tiles(self) -> None:
        if self._tiles is None:
            return
        (height, width), fixed = self._tiles.size, self.input_size
        if fixed not in (None, self._tiles.size):
            raise ModelError(
                f"{self.path}: takes images of {fixed[0]},{fixed[1]} (height,width) "
                f"alone, and no tiles of {height},{width}"
            )
        if fixed is None and self.info.min_resize_value is not None:
            raise ModelError(
                f"{self.path}: brings all that it is given into its range of sizes, "
                "and so would each tile; it takes photographs without tiles"
            )

    @property
    def outputs(self) -> tuple[str, ...]:
        """Official names of what the model gives."""
        return tuple(self._names)

    def run(
        self, pixels: np.ndarray, outputs: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """The raw call: outputs by their official names, as the file gives them.

        Args:
            pixels: RGB, uint8 `[N, H, W, 3]`, of the model's size if it has one.
            outputs: Which are needed, as "SemanticPredictions"; by default all.

        Raises:
            ImageError: The pixels have another shape or type.
            ModelError: The model has no such output, or its runtime failed.
        """
        shape, size = list(pixels.shape), self.input_size or ("H", "W")
        fits = self.input_size in (None, pixels.shape[1:3])
        if pixels.dtype != np.uint8 or shape[3:] != [3] or not fits or not shape[0]:
            needed = f"[N, {size[0]}, {size[1]}, 3]"
            raise ImageError(
                f"pixels: uint8 {needed} is needed, not {pixels.dtype} {shape}"
            )
        names = tuple(outputs) or self.outputs
        if missing := [name for name in names if name not in self._names]:
            has = ", ".join(self.outputs)
            raise ModelError(f"{self.path}: no output {missing[0]}; it has {has}")
        step, parts = self.batch or len(pixels), []
        for start in range(0, len(pixels), step):
            part = pixels[start : start + step]
            count = len(part)
            if count < step:
                part = np.resize(part, (step, *part.shape[1:]))
            parts.append([each[:count] for each in self._compute(part, names)])
        joined = (np.concatenate(each) for each in zip(*parts, strict=True))
        return dict(zip(names, joined, strict=True))

    def _compute(self, pixels: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        try:
            results = self._network.compute(pixels, [self._names[n] for n in names])
        except Exception as error:
            raise ModelError(
                f"{self.path}: cannot compute {list(pixels.shape)} ({_line(error)})"
            ) from error
        return list(map(np.asarray, results))

    def predict(self, image: Any, *, probabilities: bool | None = None) -> Any:
        """Classes of a photograph, or of each of a list, whatever their sizes.

        A photograph is turned upright as its EXIF data say. One that is larger than the
        model is cut into tiles that overlap; so is one of more than `WHOLE` pixels,
        where the model takes any size.

        Args:
            image: A path, a PIL image, or an array, uint8, RGB `[H, W, 3]` or gray
                `[H, W]`; a list of these gives a list.
            probabilities: Whether to give them; by default where there are no tiles,
                since they take 4 bytes a pixel and class.

        Returns:
            A `Segmentation`, or a list of them.

        Raises:
            ImageError: A file cannot be read, or an array has another shape or type.
            ModelError: The model cannot compute it.
        """
        if isinstance(image, list | tuple):
            return [self.predict(each, probabilities=probabilities) for each in image]
        pixels = read_image(image)
        seen = self._bring_into_range(pixels)
        tiles = self._tiles_of(seen.shape[:2])
        keep = tiles is None if probabilities is None else probabilities
        if tiles is None:
            ((classes, values),) = self._segment([seen], keep)
        else:
            classes, values = self._segment_tiles(seen, tiles, keep)
        if seen is not pixels:
            classes = resize_nearest(classes, pixels.shape[:2])
            values = None if values is None else resize(values, pixels.shape[:2])
        labels, colors = self.info.classes, self.info.colors
        if not labels:
            count = int(classes.max()) + 1 if values is None else values.shape[-1]
            labels = tuple(f"class_{i}" for i in range(count))
            colors = distinct_colors(count)
        return Segmentation(pixels, classes, values, labels, colors)

    def classify(
        self, images: Sequence[np.ndarray], batch_size: int = 1
    ) -> list[np.ndarray]:
        """Class ids alone, int32 `[H, W]` each, as `predict` gives them.

        Args:
            images: Of `read_image`. Those that the model sees in one size go through it
                together,
            batch_size: so many at a time, and no more than `WHOLE` pixels.
        """
        classes: dict[int, np.ndarray] = {}
        together: dict[Size, list[int]] = {}
        for place, pixels in enumerate(images):
            size = pixels.shape[:2]
            if self._tiles_of(size) or self._bring_into_range(pixels) is not pixels:
                classes[place] = self.predict(pixels, probabilities=False).classes
            else:
                together.setdefault(self.input_size or size, []).append(place)
        for (height, width), places in together.items():
            step = max(1, min(batch_size, WHOLE // (height * width)))
            for start in range(0, len(places), step):
                some = places[start : start + step]
                answers = self._segment([images[i] for i in some], False)
                classes |= {i: ids for i, (ids, _) in zip(some, answers, strict=True)}
        return [classes[place] for place in range(len(images))]

    def _tiles_of(self, size: Size) -> Tiles | None:
        """Tiles of an image; None where the model takes it as it is."""
        tiles = self._tiles or Tiles(self.input_size or self.info.crop_size)
        if self._tiles is None and self.input_size is None:
            return tiles if size[0] * size[1] > WHOLE else None
        return tiles if tiles.cut(size) else None

    def _bring_into_range(self, pixels: np.ndarray) -> np.ndarray:
        """The image at a size at which the model sees things as it learned them.

        The model brings what it is given into its range of sizes; but of a fixed size,
        or in tiles, it is not given the photograph.
        """
        size, fixed = pixels.shape[:2], self.input_size
        is_seen_whole = fixed is None and self._tiles_of(size) is None
        if is_seen_whole or self.info.min_resize_value is None:
            return pixels
        fitted = self.info.size_in_range(size)
        if fixed is not None:  # It resizes by itself from its size to this one:
            inner = self.info.size_in_range(fixed)
            height, width = (
                max(1, round(side * outside / inside))
                for side, outside, inside in zip(fitted, fixed, inner, strict=True)
            )
            fitted = height, width
        if fitted == size:
            return pixels
        return np.floor(resize(pixels, fitted) + np.float32(0.5)).astype(np.uint8)

    def _segment_tiles(
        self, pixels: np.ndarray, tiles: Tiles, keep: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Classes and, if asked for, probabilities of an image that is cut."""

        def compute(part: np.ndarray) -> tuple[np.ndarray, Any]:
            ((classes, values),) = self._segment([part], True)
            if tiles.blend == "logits" and values is not None:
                # They are logits but for what all classes of a pixel have in common.
                values = log_probabilities(values)
            return classes, values

        give = softmax if tiles.blend == "logits" else np.asarray
        return predict_tiles(pixels, tiles, compute, keep=give if keep else None)

    def _segment(
        self, images: Sequence[np.ndarray], with_values: bool
    ) -> list[tuple[np.ndarray, Any]]:
        """Classes and, if asked for, probabilities of images that it sees in one size.

        What is smaller than the model is padded with the rounded mean pixel.
        """
        size = self.input_size or images[0].shape[:2]
        padded = np.empty((len(images), *size, 3), np.uint8)
        padded[:] = np.floor(np.add(self.info.mean_pixel, 0.5))
        for frame, image in zip(padded, images, strict=True):
            frame[: image.shape[0], : image.shape[1]] = image
        classes, values = self._answer(padded, with_values)
        windows = [np.s_[: image.shape[0], : image.shape[1]] for image in images]
        return [
            (classes[i][window], None if values is None else values[i][window])
            for i, window in enumerate(windows)
        ]

    def _answer(self, pixels: np.ndarray, with_values: bool) -> tuple[np.ndarray, Any]:
        """Classes and, if asked for and to be had, probabilities, of any outputs."""
        has = [name for name in (PROBABILITIES, LOGITS) if name in self._names][:1]
        ids = [CLASSES] if CLASSES in self._names else []
        outputs = self.run(pixels, ids + (has if with_values or not ids else []))
        values: Any = outputs.get(PROBABILITIES)
        if LOGITS in outputs:
            size = pixels.shape[1:3]
            values = np.stack([resize(each, size) for each in outputs[LOGITS]])
        classes = outputs[CLASSES] if ids else np.argmax(values, axis=-1)
        if LOGITS in outputs and with_values:
            values = softmax(values)
        return classes.astype(np.int32), values if with_values else None


Span = tuple[int, int, int, int]
Tile = Callable[[np.ndarray], tuple[np.ndarray, Any]]


def predict_tiles(
    pixels: np.ndarray,
    tiles: Tiles,
    compute: Tile,
    *,
    keep: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Classes of a large image by tiles that overlap.

    Where tiles overlap, their values are averaged, each weighted by how deep a pixel
    lies in its tile, relative to the overlap; the weights of a pixel add up to one.
    Without any values, a pixel is of the tile in whose middle it lies.

    Args:
        pixels: RGB `[H, W, 3]`.
        tiles: Their size and overlap.
        compute: Part of the image, no larger than a tile -> its classes, and what is to
            be averaged, float32 `[h, w, C]`, or None.
        keep: Averages `[h, w, C]` of some pixels -> what is given of them, too. Memory
            holds them of the rows in which two rows of tiles overlap.

    Returns:
        Classes, int32 `[H, W]`, and what was kept, float32 `[H, W, ...]`, or None.
    """
    height, width = pixels.shape[:2]
    classes = np.empty((height, width), np.int32)
    kept, blend = None, None
    rows, columns = map(tile_spans, (height, width), tiles.size, tiles.overlaps)
    for row, (top, bottom, upper, lower) in enumerate(rows):
        for column, (left, right, first, last) in enumerate(columns):
            ids, values = compute(pixels[top:bottom, left:right])
            if values is None:
                inner = ids[upper - top : lower - top, first - left : last - left]
                classes[upper:lower, first:last] = inner
                continue
            if blend is None:
                blend = _Blend((rows, columns), tiles.overlaps)
            done = blend.add(row, column, values)
            window = np.s_[top : top + done.shape[0], left : left + done.shape[1]]
            classes[window] = done.argmax(axis=-1)
            if keep is not None:
                given = keep(done)
                if kept is None:
                    kept = np.empty((height, width, *given.shape[2:]), np.float32)
                kept[window] = given
    return classes, kept


class _Blend:
    """Weighted sums of tiles, from the upper left on; holds what is not complete.

    Args:
        spans: Of the rows and of the columns of tiles.
        overlaps: See `Tiles`.
    """

    def __init__(self, spans: tuple[list[Span], list[Span]], overlaps: Size) -> None:
        self._spans = spans
        self._weights = tuple(map(tile_weights, spans, overlaps))
        self._right = self._below = np.empty((0, 0, 0), np.float32)

    def add(self, row: int, column: int, values: np.ndarray) -> np.ndarray:
        """What is complete with this tile, from its upper left corner on.

        Args:
            row: Of tiles, which come line by line,
            column: from left to right.
            values: Of the tile, float32 `[h, w, C]`.
        """
        rows, columns = self._spans
        height, width = (
            _until_next(spans, i) for spans, i in ((rows, row), (columns, column))
        )
        weights = np.multiply.outer(self._weights[0][row], self._weights[1][column])
        part = values * weights[..., np.newaxis]
        if column:  # Columns that tiles to the left have begun.
            part[:, : self._right.shape[1]] += self._right
        self._right = part[:, width:]
        part, left = part[:, :width], columns[column][0]
        window = np.s_[:, left : left + width]
        if row:  # Rows that tiles above have begun.
            begun = rows[row - 1][1] - rows[row][0]
            part[:begun] += self._below[:begun][window]
        elif not column:
            most = max((a[1] - b[0] for a, b in itertools.pairwise(rows)), default=0)
            shape = most, columns[-1][1], values.shape[-1]
            self._below = np.zeros(shape, np.float32)
        rest = part[height:]
        self._below[: len(rest)][window] = rest
        return part[:height]


def _until_next(spans: list[Span], index: int) -> int:
    """Pixels from the start of a tile to that of the next, or to the end."""
    end = spans[index + 1][0] if index + 1 < len(spans) else spans[index][1]
    return end - spans[index][0]


def tile_spans(length: int, tile: int, overlap: int) -> list[Span]:
    """Tiles along a side: start and end of each, and of the part that is its own.

    They are as few as the overlap allows, and evenly spaced.
    """
    count = 1 if length <= tile else -(-(length - overlap) // (tile - overlap))
    step = (length - tile) / max(1, count - 1)
    starts = [round(i * step) if length > tile else 0 for i in range(count)]
    cuts = [(a + b + tile) // 2 for a, b in itertools.pairwise(starts)]
    ends = [min(start + tile, length) for start in starts]
    return list(zip(starts, ends, [0, *cuts], [*cuts, length], strict=True))


def tile_weights(spans: Sequence[Span], overlap: int) -> list[np.ndarray]:
    """Weights of each tile along a side, float32; those of a pixel add up to one.

    They grow with the distance from the tile's ends, up to that of the overlap.
    """
    total, weights = np.zeros(spans[-1][1]), list[np.ndarray]()
    for start, end, _, _ in spans:
        places = np.arange(1, end - start + 1)
        depth = np.minimum(places, places[::-1]) / max(1, overlap)
        weights.append(np.minimum(depth, 1.0))
        total[start:end] += weights[-1]
    return [
        (weight / total[start:end]).astype(np.float32)
        for weight, (start, end, _, _) in zip(weights, spans, strict=True)
    ]


def read_image(image: Photograph) -> np.ndarray:
    """A photograph as RGB, uint8 `[H, W, 3]`, turned upright as its EXIF data say.

    Args:
        image: A path, a PIL image, or an array, uint8, RGB or gray.

    Raises:
        ImageError: It cannot be read, or has no colors of 8 or 16 bits.
    """
    if isinstance(image, np.ndarray):
        pixels = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image
        if pixels.dtype != np.uint8 or pixels.shape[2:] != (3,) or not pixels.size:
            given = f"{image.dtype} {list(image.shape)}"
            raise ImageError(f"image: uint8 [H, W, 3] is needed, not {given}")
        return pixels
    if isinstance(image, Image.Image):
        return decode_image(image, "image")
    path = os.fspath(image)
    try:
        with open(path, "rb") as file:
            return decode_image(file, path)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from None


def decode_image(source: BinaryIO | Image.Image, name: str) -> np.ndarray:
    """As `read_image`, of an open file, which has a name for errors."""
    try:
        opened = source if isinstance(source, Image.Image) else Image.open(source)
        return np.asarray(_rgb(ImageOps.exif_transpose(opened)))
    except UnidentifiedImageError:
        raise ImageError(f"{name}: cannot be read as an image (not one)") from None
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{name}: cannot be read as an image ({_line(error)})"
        ) from None


def is_turned(image: Image.Image) -> bool:
    """Whether EXIF says how the camera was held, and not upright; 0 says nothing."""
    return image.getexif().get(0x0112) in range(2, 9)


def _rgb(image: Image.Image) -> Image.Image:
    """As RGB of 8 bits: white is 255, or 65535 of 16 bits."""
    if image.mode == "F":
        raise ValueError("fractions; 8 or 16 bits a channel are needed")
    if image.mode.startswith("I"):  # Pillow's own conversion would clip.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("values beyond 16 bits")
        image = Image.fromarray((values // 257).astype(np.uint8))
    return image.convert("RGB")


def resize(values: np.ndarray, size: Size) -> np.ndarray:
    """Corner-aligned bilinear interpolation of `[H, W, C]`, float32."""
    result = values
    for axis in (0, 1):
        old, new = values.shape[axis], size[axis]
        if old != new:
            lower, share = _places(old, new)
            upper = np.minimum(lower + 1, old - 1)
            share = share.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
            begin = result.take(lower, axis).astype(np.float32)
            result = begin + (result.take(upper, axis) - begin) * share
    return result.astype(np.float32, copy=False)


def resize_nearest(ids: np.ndarray, size: Size) -> np.ndarray:
    """Corner-aligned nearest neighbors of `[H, W]`, halves rounded up."""
    rows, columns = (
        lower + (share >= 0.5) for lower, share in map(_places, ids.shape, size)
    )
    return ids[rows][:, columns]


def _places(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Where new pixels lie among the old ones: the one before, and the way beyond."""
    scale = np.float32(old - 1) / np.float32(max(1, new - 1))
    places = np.arange(new, dtype=np.float32) * scale
    lower = np.minimum(places.astype(np.int64), old - 1)
    return lower, places - lower.astype(np.float32)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """What stands for logits where they are not known."""
    return np.log(np.maximum(probabilities, TINY))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def distinct_colors(count: int) -> tuple[Color, ...]:
    """The palette of VOC, for classes that have no colors."""

    def bits(label: int) -> int:
        return sum((label >> 3 * j & 1) << 7 - j for j in range(8))

    return tuple((bits(i), bits(i >> 1), bits(i >> 2)) for i in range(count))


@dataclasses.dataclass(frozen=True)
class _Network:
    """A model in its runtime.

    Attributes:
        shape: Of its input, `[N, H, W, 3]`; None for any.
        outputs: The file's own names, and whether they are whole numbers.
        compute: Pixels and names of outputs -> these.
    """

    shape: list[int | None]
    outputs: dict[str, bool]
    compute: Callable[[np.ndarray, list[str]], Sequence[Any]]


def _find_model(path: Path) -> Path:
    """The file, or the folder of a SavedModel; of versions, the newest."""
    if not path.exists():
        raise ModelError(f"{path}: no such file or folder")
    if path.is_dir() and not (path / "saved_model.pb").exists():
        versions = [each for each in path.iterdir() if each.name.isdecimal()]
        if not versions:
            raise ModelError(f"{path}: a folder without a SavedModel")
        return max(versions, key=lambda each: int(each.name))
    return path


def _open(path: Path, threads: int | None) -> _Network:
    runtimes: dict[str, tuple[str, str, Callable[..., _Network]]] = {
        ".onnx": ("onnxruntime", "onnxruntime", _open_onnx),
        ".tflite": ("ai_edge_litert.interpreter", "ai-edge-litert", _open_litert),
        ".xml": ("openvino", "openvino", _open_openvino),
        ".pb": ("tensorflow", "tensorflow", _open_frozen_graph),
        "": ("tensorflow", "tensorflow", _open_saved_model),
    }
    suffix = "" if path.is_dir() else path.suffix.lower() or "without a suffix"
    if suffix not in runtimes:
        known = ", ".join(filter(None, runtimes))
        raise ModelError(f"{path}: {suffix}, where a SavedModel or {known} is needed")
    module, package, open_network = runtimes[suffix]
    try:
        runtime = importlib.import_module(module)
    except ImportError:
        raise ModelError(f"{path}: needs {package}: pip install {package}") from None
    try:
        network = open_network(runtime, str(path), threads)
    except Exception as error:
        raise ModelError(
            f"{path}: {package} cannot open it ({_line(error)})"
        ) from error
    if len(network.shape) != 4 or network.shape[3] != 3:
        raise ModelError(
            f"{path}: its input is {network.shape}; [N, H, W, 3] is needed, as "
            "deeplab-export writes it"
        )
    return network


def _one(items: Sequence[Any]) -> Any:
    if len(items) != 1:
        raise ValueError(f"{len(items)} inputs; one is needed")
    return items[0]


def _require_uint8(kind: object) -> None:
    if "uint8" not in str(kind) and "u8" not in str(kind):
        raise ValueError(f"an input of {kind}; uint8 is needed")


def _open_onnx(onnxruntime: Any, path: str, threads: int | None) -> _Network:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    usable = onnxruntime.get_available_providers()
    providers = [
        name
        for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
        if name in usable
    ]
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    source = _one(session.get_inputs())
    _require_uint8(source.type)
    return _Network(
        [side if isinstance(side, int) else None for side in source.shape],
        {each.name: "int" in each.type for each in session.get_outputs()},
        lambda pixels, names: session.run(names, {source.name: pixels}),
    )


def _open_litert(litert: Any, path: str, threads: int | None) -> _Network:
    interpreter = litert.Interpreter(path, num_threads=threads)
    source = _one(interpreter.get_input_details())
    _require_uint8(source["dtype"])
    outputs = {each["name"]: each for each in interpreter.get_output_details()}
    if signatures := list(interpreter.get_signature_list()):
        runner = interpreter.get_signature_runner(signatures[0])
        outputs = runner.get_output_details()
    lock, seen = threading.Lock(), list[tuple[int, ...]]()

    def compute(pixels: np.ndarray, names: list[str]) -> list[np.ndarray]:
        with lock:
            if seen != [pixels.shape]:
                interpreter.resize_tensor_input(source["index"], pixels.shape)
                interpreter.allocate_tensors()
                seen[:] = [pixels.shape]
            interpreter.set_tensor(source["index"], pixels)
            interpreter.invoke()
            return [interpreter.get_tensor(outputs[name]["index"]) for name in names]

    return _Network(
        [None if side < 0 else int(side) for side in source["shape_signature"]],
        {name: np.dtype(each["dtype"]).kind in "iu" for name, each in outputs.items()},
        compute,
    )


def _open_openvino(openvino: Any, path: str, threads: int | None) -> _Network:
    # Where the CPU has it, bfloat16 is the default, and 3 pixels of 1000 change.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    model = openvino.Core().compile_model(path, "CPU", settings)
    source = _one(model.inputs)
    _require_uint8(source.get_element_type().get_type_name())
    names = [each.get_any_name() for each in model.outputs]
    whole = [each.get_element_type().is_integral() for each in model.outputs]
    lock = threading.Lock()

    def compute(pixels: np.ndarray, needed: list[str]) -> list[np.ndarray]:
        with lock:
            results = model([pixels])
            return [np.array(results[names.index(name)]) for name in needed]

    return _Network(
        [
            None if side.is_dynamic else side.get_length()
            for side in source.partial_shape
        ],
        dict(zip(names, whole, strict=True)),
        compute,
    )


def _open_saved_model(tf: Any, path: str, threads: int | None) -> _Network:
    _limit_threads(tf, threads)
    model = tf.saved_model.load(path)
    serve = model.signatures["serving_default"]
    light = model.signatures.get("serving_classes", serve)
    _, inputs = serve.structured_input_signature
    name, spec = _one(list(inputs.items()))
    _require_uint8(spec.dtype.name)

    def compute(pixels: np.ndarray, names: list[str]) -> list[np.ndarray]:
        call = light if names == [CLASSES] else serve
        results = call(**{name: tf.constant(pixels)})
        return [results[each].numpy() for each in names]

    compute.model = model  # type: ignore[attr-defined]  # Signatures die with it.
    outputs = serve.structured_outputs
    whole = {each: outputs[each].dtype.is_integer for each in outputs}
    return _Network(list(spec.shape), whole, compute)


def _open_frozen_graph(tf: Any, path: str, threads: int | None) -> _Network:
    content = tf.compat.v1.GraphDef.FromString(Path(path).read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(content, name="")
    settings = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads or 0)
    session = tf.compat.v1.Session(graph=graph, config=settings)
    source = graph.get_tensor_by_name("ImageTensor:0")
    _require_uint8(source.dtype.name)
    nodes = {node.name for node in content.node}
    outputs = [name for name in (CLASSES, PROBABILITIES, LOGITS) if name in nodes]
    return _Network(
        list(source.shape),
        {name: name == CLASSES for name in outputs},
        lambda pixels, names: session.run(
            [f"{name}:0" for name in names], {source: pixels}
        ),
    )


def _limit_threads(tf: Any, threads: int | None) -> None:
    settings = tf.config.threading
    if not threads or settings.get_intra_op_parallelism_threads() == threads:
        return
    try:
        settings.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        _log.warning("threads=%d: TensorFlow computes already, with others", threads)


def _name_outputs(outputs: dict[str, bool], told: tuple[str, ...]) -> dict[str, str]:
    """Official name of each output -> the file's own, by name, by order or by type."""
    official = {"classes": CLASSES, "probabilities": PROBABILITIES, "logits": LOGITS}
    if outputs.keys() <= set(official.values()):
        return {name: name for name in outputs}
    if told and len(told) == len(outputs):
        return {official[kind]: name for kind, name in zip(told, outputs, strict=True)}
    return {CLASSES if whole else LOGITS: name for name, whole in outputs.items()}


def _line(error: BaseException) -> str:
    """What an error says first."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the mask of a photograph, lists what is in it; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="runtime.py",
        description="Writes the mask of a photograph, an indexed PNG.",
    )
    parser.add_argument("model", help="a SavedModel, .onnx, .tflite, .xml or .pb")
    parser.add_argument("photo", help="turned upright as its EXIF data say")
    parser.add_argument("mask", help="a PNG")
    parser.add_argument("--overlay", help="the photograph, tinted by class, too")
    parser.add_argument("--threads", type=int, help="that compute")
    given = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        segmenter = Segmenter(given.model, given.threads)
        result = segmenter.predict(given.photo)
        with Image.open(given.photo) as photo:
            if is_turned(photo):
                sys.stdout.write(f"{given.photo}: turned, as its EXIF data say\n")
        result.save(given.mask)
        if given.overlay:
            result.overlay().save(given.overlay)
    except (SegmenterError, OSError) as error:
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(error))
        sys.stderr.write(f"ERROR: {line}\n")
        return 1
    for name, share in result.shares.items():
        if share:
            sys.stdout.write(f"{name}: {share:.1%}\n")
    sys.stdout.write(f"Wrote {given.mask}\n")
    return 0


if __name__ == "__main__" and (code := main()):
    sys.exit(code)
