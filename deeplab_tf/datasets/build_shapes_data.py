"""Draws the embedded data set, and writes it as files and as records.

    python datasets/build_shapes_data.py --output_dir=shapes

250 scenes of solids on a ground, lit from a side, with shadows, noise and borders that
do not count. Each class tends to a hue, and strays from it, and textures are drawn at
random: it takes color and shape to tell classes apart. The same seed gives the same
scenes.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from deeplab_tf import cli, dataset_builders, storage
from deeplab_tf.config.fields import NOT_NEGATIVE, POSITIVE, flag
from deeplab_tf.data import image_files
from deeplab_tf.data.specs import shapes
from deeplab_tf.dataset_builders import FileSource, Pair
from deeplab_tf.files import write_whole

_SIZES = shapes.SPEC.split_sizes
_HUES = (None, 0, 210, 45, 120, 285)  # Degrees; the ground may have any.
_STRAY = 25  # Standard deviation of a hue, in degrees.
_BORDER = 0.8  # Pixels on either side of an outline that do not count.

Field = np.ndarray  # Values at each pixel, `[H, W]`.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapesConfig:
    """Draws the embedded data set and writes it as files and as records."""

    topic: ClassVar = "Scenes"
    output_dir: str = flag("Where images, labels and records go.", "./shapes")
    train_size: int = flag("Scenes to train on.", _SIZES["train"], within=POSITIVE)
    val_size: int = flag("Scenes to test on.", _SIZES["val"], within=POSITIVE)
    seed: int = flag("Seed of the scenes.", 0, within=NOT_NEGATIVE)
    parallel: dataset_builders.ParallelConfig = dataset_builders.ParallelConfig()


def build(config: ShapesConfig) -> None:
    """Draws both splits and builds their records."""
    sizes = {"train": config.train_size, "val": config.val_size}
    with storage.stage_folder(config.output_dir) as folder:
        splits = {
            split: FileSource(pairs=_draw_split(Path(folder), config.seed, split, size))
            for split, size in sizes.items()
        }
        dataset_builders.build(
            splits, shapes.SPEC, config.output_dir, shards=2, parallel=config.parallel
        )


def _draw_split(folder: Path, seed: int, split: str, size: int) -> list[Pair]:
    pairs = []
    for kind in ("images", "labels"):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
    for i in range(size):
        name = f"{split}_{i:04d}"
        image, label = draw_scene(np.random.default_rng([seed, len(split), i]))
        image_path = folder / "images" / split / f"{name}.png"
        label_path = folder / "labels" / split / f"{name}.png"
        write_whole(image_path, image_files.png(image), flushed=False)
        mask = image_files.png(label, shapes.SPEC.palette)
        write_whole(label_path, mask, flushed=False)
        pairs.append(Pair(name=name, image=image_path, label=label_path))
    return pairs


def draw_scene(
    rng: np.random.Generator, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A scene and its class ids: uint8 `[H, W, 3]` and `[H, W]`, 255 for borders.

    Args:
        rng: What is drawn.
        size: Height, width; by default some 80 to 150.
    """
    height, width = size or (int(rng.integers(80, 129)), int(rng.integers(96, 153)))
    light = _direction(rng)
    image = _surface(rng, (height, width), hue=None) * _falloff(rng, (height, width))
    label = np.zeros((height, width), np.uint8)
    unit = np.sqrt(height * width)
    for _ in range(rng.integers(3, 7)):
        kind = int(rng.integers(1, len(shapes.SPEC.classes)))
        center = rng.uniform(0, 1, 2) * (height, width)
        radius = unit * rng.uniform(0.12, 0.26)
        distance = _outline(rng, kind, (height, width), center, radius)
        image = _cast_shadow(image, distance, light, radius)
        solid = _surface(rng, (height, width), hue=_HUES[kind])
        image = _paint(image, solid, distance, light, radius)
        label[distance < 0] = kind
        label[np.abs(distance) < _BORDER] = shapes.SPEC.ignore_label
    noise = rng.normal(0, rng.uniform(2, 7), image.shape)
    return np.clip(image + noise, 0, 255).round().astype(np.uint8), label


def _outline(
    rng: np.random.Generator,
    kind: int,
    size: tuple[int, int],
    center: np.ndarray,
    radius: float,
) -> Field:
    """Distance to the outline of a shape, in pixels; negative inside."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    y, x = (rows - center[0]) / radius, (columns - center[1]) / radius
    turned = (
        np.cos(angle) * x - np.sin(angle) * y,
        np.sin(angle) * x + np.cos(angle) * y,
    )
    return _DISTANCES[shapes.SPEC.classes[kind]](*turned) * radius


def _box(x: Field, y: Field) -> Field:
    return np.maximum(np.abs(x) - 0.85, np.abs(y) - 0.65)


def _ring(x: Field, y: Field) -> Field:
    return np.abs(np.hypot(x, y) - 0.72) - 0.26


def _cone(x: Field, y: Field) -> Field:
    """A triangle with its tip at the top."""
    return np.maximum(0.894 * np.abs(x) + 0.447 * y - 0.42, -y - 0.75)


def _star(x: Field, y: Field) -> Field:
    angle = np.mod(np.arctan2(y, x), 2 * np.pi / 5) - np.pi / 5
    return np.hypot(x, y) - (0.45 + 0.75 * np.abs(angle))


_DISTANCES: dict[str, Callable[[Field, Field], Field]] = {
    "ball": lambda x, y: np.hypot(x, y) - 0.95,
    "box": _box,
    "ring": _ring,
    "cone": _cone,
    "star": _star,
}


def _paint(
    image: np.ndarray,
    solid: np.ndarray,
    distance: Field,
    light: np.ndarray,
    radius: float,
) -> np.ndarray:
    """The image with a solid on it, bulging to its outline and lit."""
    depth = np.clip(-distance / (0.6 * radius), 0, 1)
    bulge = np.sqrt(1 - (1 - depth) ** 2) * 0.6 * radius
    down, right = np.gradient(bulge)
    normal = np.stack([-down, -right, np.ones_like(bulge)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    shade = 0.45 + 0.75 * np.clip(normal @ light, 0, 1)
    cover = np.clip(0.5 - distance, 0, 1)[..., np.newaxis]
    return image * (1 - cover) + solid * shade[..., np.newaxis] * cover


def _cast_shadow(
    image: np.ndarray, distance: Field, light: np.ndarray, radius: float
) -> np.ndarray:
    shift = -light[:2] * 0.5 * radius
    move = np.array([[1, 0, shift[1]], [0, 1, shift[0]]], np.float32)
    inside = np.clip(0.5 - distance, 0, 1).astype(np.float32)
    shadow = cv2.warpAffine(inside, move, inside.shape[::-1])
    shadow = cv2.GaussianBlur(shadow, (0, 0), 0.12 * radius + 0.5)
    return image * (1 - 0.55 * shadow[..., np.newaxis])


def _surface(
    rng: np.random.Generator, size: tuple[int, int], *, hue: float | None
) -> np.ndarray:
    """A texture of two colors, `[H, W, 3]`: clouds, stripes or checks."""
    dark, bright = _color(rng, hue, (60, 150)), _color(rng, hue, (130, 240))
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 14)
    along = np.cos(angle) * rows + np.sin(angle) * columns
    across = np.cos(angle) * columns - np.sin(angle) * rows
    clouds = _clouds(rng, size)
    mix = (
        clouds,
        0.5 + 0.5 * np.sin(2 * np.pi * along / period),
        (np.floor(along / period) + np.floor(across / period)) % 2,
    )[rng.integers(3)]
    mix = np.clip(0.75 * mix + 0.25 * clouds, 0, 1)[..., np.newaxis]
    return dark * (1 - mix) + bright * mix


def _color(
    rng: np.random.Generator, hue: float | None, value: tuple[float, float]
) -> np.ndarray:
    """RGB of about that hue; without one, of any, and pale."""
    if hue is None:
        degrees, saturation = rng.uniform(0, 360), rng.uniform(0, 0.4)
    else:
        degrees, saturation = rng.normal(hue, _STRAY) % 360, rng.uniform(0.35, 0.9)
    hsv = np.array([[[degrees, saturation, rng.uniform(*value)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    """Smooth noise of several grains, in 0...1."""
    total = np.zeros(size, np.float32)
    for cells, weight in ((3, 0.5), (8, 0.3), (20, 0.2)):
        coarse = rng.uniform(0, 1, (cells, cells)).astype(np.float32)
        total += weight * cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)
    return total


def _falloff(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Light that fades over the scene, `[H, W, 1]`."""
    ends = rng.uniform(0.6, 1.1, (2, 2)).astype(np.float32)
    return cv2.resize(ends, size[::-1], interpolation=cv2.INTER_LINEAR)[..., np.newaxis]


def _direction(rng: np.random.Generator) -> np.ndarray:
    """Where the light comes from: (down, right, toward the eye), of length 1."""
    angle = rng.uniform(0, 2 * np.pi)
    direction = np.array([np.sin(angle), np.cos(angle), rng.uniform(0.7, 1.1)])
    return direction / np.linalg.norm(direction)


def main() -> None:
    """`deeplab-build-shapes`."""
    cli.run(ShapesConfig, build)


if __name__ == "__main__":
    main()
