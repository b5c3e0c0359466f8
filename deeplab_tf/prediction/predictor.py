"""Inference, the one way to predict: a network, its weights, what goes with them."""

import dataclasses
import functools
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf

from deeplab_tf import parallel, runtime
from deeplab_tf.checkpoints import reader
from deeplab_tf.config import ResizeConfig
from deeplab_tf.crf import engines
from deeplab_tf.data import corrupt_records, transforms
from deeplab_tf.data.decode import Sample
from deeplab_tf.data.records import Records
from deeplab_tf.prediction import large_images, predictions, replicas
from deeplab_tf.prediction.predictions import Output, Prediction
from deeplab_tf.prediction.replicas import Replica
from deeplab_tf.prediction.tensor_predictor import TensorPredictor
from deeplab_tf.runtime import Tiles

# What a graph is given: tiles are in the range of sizes already, padded images as well.
_Source = Literal["photographs", "padded", "tiles"]
_GRAPHS = 8  # How many are kept, one for each kind of call.


class _Call(NamedTuple):
    """How to predict: as `Predictor.predict` is told, and on which device."""

    scales: tuple[float, ...]
    flip: bool
    output: Output
    tiles: Tiles | None
    replica: Replica | None = None  # Where the network itself is.


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Predictor(TensorPredictor):
    """A network with its weights, what it was trained for, and its predictions.

    Several threads may call it at a time: one of them traces a graph, the others wait
    for that. A graph takes images of any size; it is traced for each new combination of
    scales, flip and output, and the last few are kept.

    Attributes:
        checkpoint: Prefix of the file that the weights are of.
        trained_size: Height, width of the largest image that it learned from, as it was
            resized, where that is known.
    """

    checkpoint: str = ""
    trained_size: tuple[int, int] | None = None
    _tracing: Any = dataclasses.field(
        default_factory=threading.Lock, init=False, repr=False
    )
    _told_of_size: Any = dataclasses.field(  # Held by the first who tells.
        default_factory=threading.Lock, init=False, repr=False
    )

    def predict(  # noqa: PLR0913  # The last one is a former name.
        self,
        image: np.ndarray,
        *,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        output: Output = "probabilities",
        crf: engines.Parameters | None = None,
        crf_engine: str = "auto",
        tiles: Tiles | None = None,
        tile_size: tuple[int, int] | None = None,
    ) -> Prediction:
        """Predicts an image of any size, at that size.

        It is brought into the range of sizes, if there is one, and padded as
        `transforms.network_size` says; the result is cropped and resized back.

        Args:
            image: RGB, uint8 `[H, W, 3]`.
            scales: Test-time augmentation: factors of the size to average.
            flip: Average with the mirror image of each, too.
            output: What to give beside the classes; with a CRF, its marginals.
            crf: Parameters of a fully connected CRF behind the network.
            crf_engine: See `engines.find_engine`.
            tiles: Into which an image is cut that, in the range of sizes, is larger.
            tile_size: Former name of `tiles`, of their size alone.

        Raises:
            ValueError: The image has another shape or type.
            InputError: Memory is short, and smaller tiles, or no CRF, would do.
        """
        if tile_size:
            what = f"tile_size={tile_size} is deprecated: tiles=Tiles({tile_size})"
            warnings.warn(what, DeprecationWarning, stacklevel=2)
            tiles = tiles or Tiles(tile_size)
        call = _Call(scales, flip, "logits" if crf else output, tiles)
        prediction = self._predict_image(image, call)
        return predictions.refine(prediction, crf, crf_engine) if crf else prediction

    def predict_images(
        self,
        images: Iterable[np.ndarray],
        *,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        output: Output = "probabilities",
        tiles: Tiles | None = None,
        devices: Sequence[str] = (),
    ) -> Iterator[Prediction]:
        """Yields what `predict` gives for each of the images, in order.

        Args:
            images: RGB, uint8 `[H, W, 3]`, of any sizes.
            scales: See `predict`.
            flip: See `predict`.
            output: See `predict`.
            tiles: See `predict`.
            devices: See `predict_split`.

        Raises:
            ValueError: As of `predict`.
            InputError: As of `predict`.
        """
        call = _Call(scales, flip, output, tiles)

        def predict(image: np.ndarray, call: _Call) -> Iterator[Prediction]:
            yield self._predict_image(image, call)

        yield from self._in_turn(predict, images, call, devices)

    def _predict_image(self, image: np.ndarray, call: _Call) -> Prediction:
        """As `predict`, without a CRF."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(
                "image: uint8 [H, W, 3] is needed, not "
                f"{image.dtype} {list(image.shape)}"
            )
        self._warn_of_size(image.shape[:2])
        classes, *values = self._predict_any_size(image, call)
        names = () if call.output == "classes" else (call.output,)
        return Prediction(
            image=image, classes=classes, **dict(zip(names, values, strict=True))
        )

    def _predict_any_size(self, image: np.ndarray, call: _Call) -> list[np.ndarray]:
        """Classes and, unless these are all, values, at the size of the image."""
        size, tiles = self._size_in_range(image.shape[:2]), call.tiles
        if tiles is None or not tiles.cut(size):
            graph = self._graph("photographs", call)
            with large_images.explain_shortage(size, self.crop_size, None):
                results = graph(tf.constant(image[np.newaxis]))
                return [each.numpy()[0] for each in results]
        seen = image if size == image.shape[:2] else runtime.resize(image, size)
        classes, *values = self._predict_tiles(seen, call, tiles)
        if seen is not image:
            classes = runtime.resize_nearest(classes, image.shape[:2])
            values = [runtime.resize(each, image.shape[:2]) for each in values]
        return [classes, *values]

    def _predict_tiles(
        self, pixels: np.ndarray, call: _Call, tiles: Tiles
    ) -> list[np.ndarray]:
        """As `_predict_any_size`, of an image in the range of sizes that is cut."""
        size = pixels.shape[:2]
        graph = self._graph("tiles", call._replace(output=tiles.blend))
        if call.output == "logits":
            large_images.check_memory_of_crf(size, self.spec.num_classes)

        def compute(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            classes, values = graph(tf.constant(tile[np.newaxis], tf.float32))
            return classes.numpy()[0], values.numpy()[0]

        large_images.warn_of_padding(tiles.size, self.crop_size)
        with large_images.explain_shortage(size, self.crop_size, tiles):
            return large_images.predict_tiles(pixels, tiles, compute, call.output)

    def _size_in_range(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Height, width of an image as it is brought into the range of sizes."""
        if self.resize.min_resize_value is not None:
            size = transforms.size_in_range(tf.constant(size), self.resize).numpy()
        return int(size[0]), int(size[1])

    def predict_split(
        self,
        records: Records,
        *,
        batch_size: int = 1,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        output: Output = "classes",
        tiles: Tiles | None = None,
        devices: Sequence[str] = (),
    ) -> Iterator[Prediction]:
        """Yields the prediction of every image of a split once, beside its label.

        Where there is a range of sizes, images and labels are brought into it, and
        predictions are of that size.

        Args:
            records: Of the split.
            batch_size: Images at a time, of each device.
            scales: See `predict`.
            flip: See `predict`.
            output: See `predict`.
            tiles: See `predict`.
            devices: Names of those that take batches in turn, each with a copy of the
                weights; by default, or with one, the network computes where it is.

        Raises:
            InputError: A record cannot be read, or memory is short, as of `predict`.
        """
        batches = self.split_batches(records, batch_size)
        call = _Call(scales, flip, output, tiles)
        yield from self._in_turn(
            self._predict_samples,
            corrupt_records.read_batches(batches, records),
            call,
            devices,
        )

    def _predict_samples(self, batch: Sample, call: _Call) -> Iterator[Prediction]:
        """Yields the prediction of each image of a batch of `split_batches`."""
        tiles = call.tiles
        lengths = batch["height"].numpy(), batch["width"].numpy()
        sizes = list(zip(*map(np.ndarray.tolist, lengths), strict=True))
        whole: list[np.ndarray] = []
        if tiles is None or not all(map(tiles.cut, sizes)):
            graph = self._graph("padded", call)
            with large_images.explain_shortage(max(sizes), self.crop_size, None):
                whole = [each.numpy() for each in graph(batch["image"])]
        for i, (height, width) in enumerate(sizes):
            self._warn_of_size((height, width), is_resized=True)
            if tiles is not None and tiles.cut((height, width)):
                pixels = batch["image"][i, :height, :width].numpy()
                results = self._predict_tiles(pixels, call, tiles)
            else:
                results = [each[i, :height, :width] for each in whole]
            yield predictions.name_prediction(batch, i, results, call.output)

    def _in_turn(
        self,
        predict: Callable[[Any, _Call], Iterator[Prediction]],
        items: Iterable[Any],
        call: _Call,
        devices: Sequence[str],
    ) -> Iterator[Prediction]:
        """Yields what `predict` yields of each item; several devices take turns."""
        if len(devices) < 2:
            for item in items:
                yield from predict(item, call)
            return
        calls = [
            call._replace(replica=each)
            for each in replicas.replicate(self.model, devices)
        ]
        tasks = [lambda item, call=each: list(predict(item, call)) for each in calls]
        for each in parallel.map_in_turn(tasks, items):
            yield from each

    @property
    def step(self) -> int:
        """The training step, as far as the checkpoint's name tells; else 0."""
        return reader.step_of(self.checkpoint)

    def _warn_of_size(self, size: tuple[int, ...], *, is_resized: bool = False) -> None:
        """Warns, once, of an image more than twice as large as any of the training."""
        if self.trained_size is None or self._told_of_size.locked():
            return
        most = 2 * max(self.trained_size)
        if max(size) > most and not is_resized:
            size = self._size_in_range(size)
        if max(size) > most and self._told_of_size.acquire(blocking=False):
            large_images.warn_of_size((size[0], size[1]), self.trained_size)

    def _graph(self, source: _Source, call: _Call) -> Any:
        """A traced function of images `[N, H, W, 3]` of any number and size."""
        kind = source, tuple(map(float, call.scales)), call.flip, call.output
        with self._tracing:
            graph = self._graphs(*kind, takes_weights=call.replica is not None)
        return functools.partial(call.replica.run, graph) if call.replica else graph

    @functools.cached_property
    def _graphs(self) -> Callable[..., Any]:
        return functools.lru_cache(_GRAPHS)(self._trace)

    def _trace(
        self,
        source: _Source,
        scales: tuple[float, ...],
        flip: bool,
        output: Output,
        *,
        takes_weights: bool,
    ) -> Any:
        predict = self.predict_padded if source == "padded" else self.predict_any_size
        if source == "tiles":
            in_range = dataclasses.replace(self, resize=ResizeConfig())
            predict = in_range.predict_any_size
        compute = functools.partial(predict, scales=scales, flip=flip, output=output)
        images = tf.TensorSpec(
            (None, None, None, 3), tf.uint8 if source == "photographs" else tf.float32
        )
        if takes_weights:
            return replicas.trace(self.model, compute, images)
        function = tf.function(lambda images: compute(images), autograph=False)
        return function.get_concrete_function(images)
