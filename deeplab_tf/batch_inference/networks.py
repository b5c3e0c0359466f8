"""The network of a worker: an export by its runtime, or a run by TensorFlow."""

import contextlib
import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from deeplab_tf import runtime, storage
from deeplab_tf.errors import InputError
from deeplab_tf.files import file_digest

_WITH_OWN_RUNTIME = (".onnx", ".tflite", ".xml")
_EXPORTS = (*_WITH_OWN_RUNTIME, ".pb")


class Classes(NamedTuple):
    """Names and colors; where they are not known, no names, and colors of all ids."""

    labels: tuple[str, ...]
    colors: tuple[runtime.Color, ...]


class Network(Protocol):
    """What predicts; and what its classes are called."""

    classes: Classes

    def classify(
        self, images: Sequence[np.ndarray], batch_size: int
    ) -> list[np.ndarray]:
        """Class ids, int32 `[H, W]`, of each image, uint8 `[H, W, 3]`."""


class _Export:
    def __init__(self, path: Path, threads: int, tiles: runtime.Tiles | None) -> None:
        self._segmenter = runtime.Segmenter(path, threads, tiles)
        info = self._segmenter.info
        colors = info.colors or runtime.distinct_colors(256)
        self.classes = Classes(info.classes, colors)

    def classify(
        self, images: Sequence[np.ndarray], batch_size: int
    ) -> list[np.ndarray]:
        return self._segmenter.classify(images, batch_size)


class _Run:
    """A trained network, one image at a time."""

    def __init__(self, checkpoint: str, tiles: runtime.Tiles | None) -> None:
        from deeplab_tf.prediction import load

        self._predictor, self._tiles = load.load(checkpoint), tiles
        spec = self._predictor.spec
        self.classes = Classes(spec.classes, spec.palette)

    def classify(
        self, images: Sequence[np.ndarray], batch_size: int
    ) -> list[np.ndarray]:
        del batch_size
        return [self._classify(image) for image in images]

    def _classify(self, image: np.ndarray) -> np.ndarray:
        tiles = self._tiles
        if tiles is None and image.shape[0] * image.shape[1] > runtime.WHOLE:
            tiles = runtime.Tiles(self._predictor.crop_size)
        return self._predictor.predict(image, output="classes", tiles=tiles).classes


@functools.lru_cache(maxsize=1)
def open_network(
    model: str, threads: int, tiles: runtime.Tiles | None = None
) -> Network:
    """The network of this process, opened once.

    Args:
        model: Of `resolve`.
        threads: That compute.
        tiles: Into which larger pictures are cut; by default huge ones alone, into
            those of the training's crops.

    Raises:
        InputError: It cannot be opened, or does not take such tiles.
    """
    if not is_export(model):
        return _Run(model, tiles)
    with explain(), storage.local_copy(model) as path:
        return _Export(path, threads, tiles)


@contextlib.contextmanager
def explain() -> Iterator[None]:
    """What the client cannot use is a user's mistake."""
    try:
        yield
    except runtime.SegmenterError as error:
        raise InputError(str(error)) from None


def resolve(model: str) -> tuple[str, str]:
    """What workers open, and the digest of its content.

    Of a training folder, it is the checkpoint that is the newest now.

    Raises:
        InputError: There is no such model.
    """
    if not is_export(model):
        from deeplab_tf.checkpoints import reader, zoo, zoo_fetch

        prefix = reader.find_checkpoint(zoo_fetch.locate(model))
        index = Path(f"{prefix}.index")
        return model if zoo.is_name(model) else prefix, _digest([index], index.parent)
    if not storage.exists(model):
        raise InputError(f"--model={model}: no such file or folder")
    with storage.local_copy(model) as path:
        if path.is_dir():
            files = sorted(each for each in path.rglob("*") if each.is_file())
            return storage.normalize(model), _digest(files, path)
        files = [path, path.with_suffix(".bin"), path.with_name(f"{path.name}.json")]
        files = [each for each in files if each.is_file()]
        return storage.normalize(model), _digest(files, path.parent)


def _digest(files: Sequence[Path], folder: Path) -> str:
    sha256 = hashlib.sha256()
    for path in files:
        sha256.update(path.relative_to(folder).as_posix().encode() + b"\0")
        sha256.update(bytes.fromhex(file_digest(path)))
    return sha256.hexdigest()


def needs_tensorflow(model: str) -> bool:
    """Whether what opens it is TensorFlow."""
    return not model.lower().endswith(_WITH_OWN_RUNTIME)


def is_export(model: str) -> bool:
    """Whether it is of deeplab-export, and not a training folder or a checkpoint."""
    if model.lower().endswith(_EXPORTS):
        return True
    names = storage.list_names(model)
    versions = [name for name in names if name.isdecimal()]
    return "saved_model.pb" in names or any(
        storage.exists(storage.join(storage.join(model, name), "saved_model.pb"))
        for name in versions
    )
