"""Inference, the one way to predict: a network, its weights, what goes with them."""

import dataclasses
import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from deeplab_tf import resize as resizing
from deeplab_tf import runtime
from deeplab_tf.checkpoints import reader
from deeplab_tf.config import ModelConfig, ResizeConfig
from deeplab_tf.crf import engines
from deeplab_tf.data import corrupt_records, pipeline, transforms
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.models.build import find_backbone, multiple
from deeplab_tf.prediction import large_images, predictions, test_time
from deeplab_tf.prediction.predictions import Output, Prediction
from deeplab_tf.runtime import Tiles

CROP_SIZE = (513, 513)  # Of the official commands.
# What a graph is given: tiles are in the range of sizes already, padded images as well.
_Source = Literal["photographs", "padded", "tiles"]
_GRAPHS = 8  # How many are kept, one for each kind of call.


class BatchPrediction(NamedTuple):
    """Class ids, int32 `[N, H, W]`, and probabilities, float32 `[N, H, W, C]`.

    The raw ones are those of the padded image, as the network saw it.
    """

    classes: tf.Tensor
    probabilities: tf.Tensor
    raw_classes: tf.Tensor
    raw_probabilities: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Predictor:
    """A network with its weights, what it was trained for, and its predictions.

    Several threads may call it at a time: one of them traces a graph, the others wait
    for that. A graph takes images of any size; it is traced for each new combination of
    scales, flip and output, and the last few are kept.

    Attributes:
        model: Images `[N, H, W, 3]` in 0...255 -> logits.
        config: Of the network.
        spec: What its classes mean.
        resize: Range of sizes into which images are to be brought.
        crop_size: Height, width to which smaller images are to be padded.
        checkpoint: Prefix of the file that the weights are of.
        softmax_twice: See `test_time.MultiScaleFlip`.
        trained_size: Height, width of the largest image that it learned from, as it was
            resized, where that is known.
    """

    model: keras.Model
    config: ModelConfig
    spec: DatasetSpec
    resize: ResizeConfig = ResizeConfig()
    crop_size: tuple[int, int] = CROP_SIZE
    checkpoint: str = ""
    softmax_twice: bool = False
    trained_size: tuple[int, int] | None = None
    _tracing: Any = dataclasses.field(
        default_factory=threading.Lock, init=False, repr=False
    )
    _told_of_size: threading.Event = dataclasses.field(
        default_factory=threading.Event, init=False, repr=False
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
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(
                "image: uint8 [H, W, 3] is needed, not "
                f"{image.dtype} {list(image.shape)}"
            )
        if tile_size:
            what = f"tile_size={tile_size} is deprecated: tiles=Tiles({tile_size})"
            warnings.warn(what, DeprecationWarning, stacklevel=2)
            tiles = tiles or Tiles(tile_size)
        if crf:
            output = "logits"
        self._warn_of_size(image.shape[:2])
        classes, *values = self._predict_any_size(image, scales, flip, output, tiles)
        names = () if output == "classes" else (output,)
        prediction = Prediction(
            image=image, classes=classes, **dict(zip(names, values, strict=True))
        )
        return predictions.refine(prediction, crf, crf_engine) if crf else prediction

    def _predict_any_size(
        self,
        image: np.ndarray,
        scales: tuple[float, ...],
        flip: bool,
        output: Output,
        tiles: Tiles | None,
    ) -> list[np.ndarray]:
        """Classes and, unless these are all, values, at the size of the image."""
        size = self._size_in_range(image.shape[:2])
        if tiles is None or not tiles.cut(size):
            graph = self._graph("photographs", scales, flip, output)
            with large_images.explain_shortage(size, self.crop_size, None):
                results = graph(tf.constant(image[np.newaxis]))
                return [each.numpy()[0] for each in results]
        seen = image if size == image.shape[:2] else runtime.resize(image, size)
        classes, *values = self._predict_tiles(seen, scales, flip, output, tiles)
        if seen is not image:
            classes = runtime.resize_nearest(classes, image.shape[:2])
            values = [runtime.resize(each, image.shape[:2]) for each in values]
        return [classes, *values]

    def _predict_tiles(
        self,
        pixels: np.ndarray,
        scales: tuple[float, ...],
        flip: bool,
        output: Output,
        tiles: Tiles,
    ) -> list[np.ndarray]:
        """As `_predict_any_size`, of an image in the range of sizes that is cut."""
        size, graph = pixels.shape[:2], self._graph("tiles", scales, flip, tiles.blend)
        if output == "logits":
            large_images.check_memory_of_crf(size, self.spec.num_classes)

        def compute(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            classes, values = graph(tf.constant(tile[np.newaxis], tf.float32))
            return classes.numpy()[0], values.numpy()[0]

        large_images.warn_of_padding(tiles.size, self.crop_size)
        with large_images.explain_shortage(size, self.crop_size, tiles):
            return large_images.predict_tiles(pixels, tiles, compute, output)

    def _size_in_range(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Height, width of an image as it is brought into the range of sizes."""
        if self.resize.min_resize_value is not None:
            size = transforms.size_in_range(tf.constant(size), self.resize).numpy()
        return int(size[0]), int(size[1])

    def predict_batch(
        self,
        images: tf.Tensor,
        *,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
    ) -> BatchPrediction:
        """As `predict`, of images of one size: for graphs that others trace.

        Args:
            images: RGB in 0...255, any type, `[N, H, W, 3]`.
            scales: See `predict`.
            flip: See `predict`.
        """
        raw, inner = self._predict_with_padding(images, scales, flip, "probabilities")
        cropped = self._crop(raw, inner, tf.shape(images)[1:3])
        return BatchPrediction(*cropped, *raw)

    def predict_any_size(
        self,
        images: tf.Tensor,
        *,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        output: Output = "probabilities",
    ) -> tuple[tf.Tensor, ...]:
        """Class ids `[N, H, W]` and `output` `[N, H, W, C]`: for graphs, as well.

        Args:
            images: RGB in 0...255, any type, `[N, H, W, 3]`.
            scales: See `predict`.
            flip: See `predict`.
            output: See `predict`.
        """
        raw, inner = self._predict_with_padding(images, scales, flip, output)
        return self._crop(raw, inner, tf.shape(images)[1:3])

    def predict_padded(
        self,
        images: tf.Tensor,
        *,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        output: Output = "probabilities",
    ) -> tuple[tf.Tensor, ...]:
        """Class ids `[N, H, W]` and `output` `[N, H, W, C]`: for graphs, as well.

        Confidence, the probability of the class, is `[N, H, W]`.

        Args:
            images: RGB in 0...255, float32 `[N, H, W, 3]`, as of `split_batches`.
            scales: See `predict`.
            flip: See `predict`.
            output: See `predict`.
        """
        views = test_time.MultiScaleFlip(
            scales=scales,
            flip=flip,
            upsample_logits=self.config.prediction_with_upsampled_logits,
            logits_stride=self.config.logits_stride,
            softmax_twice=self.softmax_twice,
        )
        if output == "logits":
            return test_time.predict_logits(self.model, images, views)
        if output == "confidence":
            return test_time.predict_confidence(self.model, images, views)
        classes, values = test_time.predict_probabilities(self.model, images, views)
        return (classes, values) if output == "probabilities" else (classes,)

    def predict_split(
        self,
        records: Records,
        *,
        batch_size: int = 1,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        output: Output = "classes",
        tiles: Tiles | None = None,
    ) -> Iterator[Prediction]:
        """Yields the prediction of every image of a split once, beside its label.

        Where there is a range of sizes, images and labels are brought into it, and
        predictions are of that size.

        Args:
            records: Of the split.
            batch_size: Images at a time.
            scales: See `predict`.
            flip: See `predict`.
            output: See `predict`.
            tiles: See `predict`.

        Raises:
            InputError: A record cannot be read, or memory is short, as of `predict`.
        """
        batches = self.split_batches(records, batch_size)
        for batch in corrupt_records.read_batches(batches, records):
            lengths = batch["height"].numpy(), batch["width"].numpy()
            sizes = list(zip(*map(np.ndarray.tolist, lengths), strict=True))
            whole: list[np.ndarray] = []
            if tiles is None or not all(map(tiles.cut, sizes)):
                graph = self._graph("padded", scales, flip, output)
                with large_images.explain_shortage(max(sizes), self.crop_size, None):
                    whole = [each.numpy() for each in graph(batch["image"])]
            for i, (height, width) in enumerate(sizes):
                self._warn_of_size((height, width), is_resized=True)
                if tiles is not None and tiles.cut((height, width)):
                    pixels = batch["image"][i, :height, :width].numpy()
                    results = self._predict_tiles(pixels, scales, flip, output, tiles)
                else:
                    results = [each[i, :height, :width] for each in whole]
                yield predictions.name_prediction(batch, i, results, output)

    def split_batches(
        self,
        records: Records,
        batch_size: int,
        context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """Every image of a split once, padded as `predict` pads it.

        Args:
            records: Of the split.
            batch_size: Images a batch.
            context: Which part of the records is this machine's; all by default.
        """
        source = pipeline.InputData(
            records=records,
            ignore_label=self.spec.ignore_label,
            mean_pixel=self.mean_pixel,
            resize=self.resize,
        )
        return pipeline.evaluation_batches(
            source,
            batch_size,
            crop_size=self.crop_size,
            multiple=multiple(self.config),
            context=context,
        )

    def padded_size(self, size: transforms.Size) -> tf.Tensor:
        """Height and width that an image of `size` has as the network sees it."""
        return transforms.network_size(
            size, crop_size=self.crop_size, multiple=multiple(self.config)
        )

    @property
    def step(self) -> int:
        """The training step, as far as the checkpoint's name tells; else 0."""
        return reader.step_of(self.checkpoint)

    @property
    def mean_pixel(self) -> tuple[float, float, float]:
        """The color around smaller images."""
        return find_backbone(self.config).mean_pixel

    def _warn_of_size(self, size: tuple[int, ...], *, is_resized: bool = False) -> None:
        """Warns, once, of an image more than twice as large as any of the training."""
        if self.trained_size is None or self._told_of_size.is_set():
            return
        most = 2 * max(self.trained_size)
        if max(size) > most and not is_resized:
            size = self._size_in_range(size)
        if max(size) <= most:
            return
        self._told_of_size.set()
        large_images.warn_of_size((size[0], size[1]), self.trained_size)

    def _predict_with_padding(
        self,
        images: tf.Tensor,
        scales: tuple[float, ...],
        flip: bool,
        output: Output,
    ) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
        """Predictions of padded images, and the size that these have without that."""
        pixels, inner = transforms.to_network(
            images,
            resize=self.resize,
            crop_size=self.crop_size,
            multiple=multiple(self.config),
            mean_pixel=self.mean_pixel,
        )
        raw = self.predict_padded(pixels, scales=scales, flip=flip, output=output)
        return raw, inner

    def _crop(
        self, raw: tuple[tf.Tensor, ...], inner: tf.Tensor, size: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Classes, and values of each, back at the size of the images."""
        classes, *values = (each[:, : inner[0], : inner[1]] for each in raw)
        if self.resize.min_resize_value is not None:
            classes = resizing.nearest(classes[..., tf.newaxis], size)[..., 0]
            values = [resizing.bilinear(each, size) for each in values]
        return (classes, *values)

    def _graph(
        self, source: _Source, scales: tuple[float, ...], flip: bool, output: Output
    ) -> Any:
        """A traced function of images `[N, H, W, 3]` of any number and size."""
        with self._tracing:
            return self._graphs(source, tuple(map(float, scales)), flip, output)

    @functools.cached_property
    def _graphs(self) -> Callable[..., Any]:
        return functools.lru_cache(_GRAPHS)(self._trace)

    def _trace(
        self, source: _Source, scales: tuple[float, ...], flip: bool, output: Output
    ) -> Any:
        predict = self.predict_padded if source == "padded" else self.predict_any_size
        if source == "tiles":
            in_range = dataclasses.replace(self, resize=ResizeConfig())
            predict = in_range.predict_any_size
        images = tf.TensorSpec(
            (None, None, None, 3), tf.uint8 if source == "photographs" else tf.float32
        )
        function = tf.function(
            lambda images: predict(images, scales=scales, flip=flip, output=output),
            autograph=False,
        )
        return function.get_concrete_function(images)
