"""Inference, the one way to predict: a network, its weights, what goes with them."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from deeplab_tf import resize as resizing
from deeplab_tf.checkpoints import reader
from deeplab_tf.config import ModelConfig, ResizeConfig
from deeplab_tf.crf import engines
from deeplab_tf.data import corrupt_records, pipeline, tfrecord, transforms
from deeplab_tf.data.pipeline import Sample
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.models.build import find_backbone, multiple
from deeplab_tf.prediction import test_time
from deeplab_tf.prediction.predictions import Prediction, refine
from deeplab_tf.runtime import predict_tiles

CROP_SIZE = (513, 513)  # Of the official commands.
# Beside the classes.
Output = Literal["classes", "confidence", "probabilities", "logits"]
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

    def predict(
        self,
        image: np.ndarray,
        *,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        output: Output = "probabilities",
        crf: engines.Parameters | None = None,
        crf_engine: str = "auto",
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
            tile_size: Height, width of overlapping tiles into which a larger image is
                cut, unless there is a range of sizes, or logits are needed.

        Raises:
            ValueError: The image has another shape or type.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(
                "image: uint8 [H, W, 3] is needed, not "
                f"{image.dtype} {list(image.shape)}"
            )
        if crf:
            output = "logits"
        self._warn_of_size(image.shape[:2])
        if tile_size and self._is_cut(image, tile_size) and output != "logits":
            keep = output == "probabilities"
            return self._predict_tiles(image, tile_size, scales, flip, keep)
        graph = self._graph(False, scales, flip, output)
        results = [each.numpy()[0] for each in graph(tf.constant(image[np.newaxis]))]
        prediction = Prediction(
            image=image, **dict(zip(["classes", output], results, strict=False))
        )
        return refine(prediction, crf, crf_engine) if crf else prediction

    def _is_cut(self, image: np.ndarray, tile_size: tuple[int, int]) -> bool:
        """Whether an image is larger than a tile, and stays so."""
        fits = image.shape[0] <= tile_size[0] and image.shape[1] <= tile_size[1]
        return not fits and self.resize.min_resize_value is None

    def _predict_tiles(
        self,
        image: np.ndarray,
        tile_size: tuple[int, int],
        scales: tuple[float, ...],
        flip: bool,
        keep: bool,
    ) -> Prediction:
        graph = self._graph(False, scales, flip, "probabilities")

        def compute(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            classes, values = graph(tf.constant(tile[np.newaxis]))
            return classes.numpy()[0], values.numpy()[0]

        classes, values = predict_tiles(image, tile_size, compute, keep=keep)
        return Prediction(image=image, classes=classes, probabilities=values)

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
        classes, values = test_time.predict_probabilities(self.model, images, views)
        if output == "confidence":
            return classes, tf.gather(values, classes, axis=-1, batch_dims=3)
        return (classes, values) if output == "probabilities" else (classes,)

    def predict_split(
        self,
        records: Records,
        *,
        batch_size: int = 1,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
        output: Output = "classes",
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

        Raises:
            InputError: A record cannot be read.
        """
        graph = self._graph(True, scales, flip, output)
        batches = self.split_batches(records, batch_size)
        for batch in corrupt_records.read_batches(batches, records):
            results = [each.numpy() for each in graph(batch["image"])]
            for i in range(len(batch["name"])):
                size = int(batch["height"][i]), int(batch["width"][i])
                self._warn_of_size(size, is_resized=True)
                yield _crop_padding(batch, i, [each[i] for each in results], output)

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
        if max(size) > most and self.resize.min_resize_value and not is_resized:
            size = transforms.size_in_range(tf.constant(size), self.resize).numpy()
        if max(size) <= most:
            return
        self._told_of_size.set()
        (height, width), (least, longest) = size, sorted(self.trained_size)
        logging.warning(
            "an image of %dx%d (width x height), more than twice the largest of the "
            "training, %dx%d: things look larger there than the network knows them, "
            "and it takes long. --min_resize_value=%d --max_resize_value=%d bring "
            "images to the size of the training; build_folder_data.py --max_side=%d "
            "makes records of it",
            width,
            height,
            *reversed(self.trained_size),
            least,
            longest,
            longest,
        )

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
        self, is_padded: bool, scales: tuple[float, ...], flip: bool, output: Output
    ) -> Any:
        """A traced function of images `[N, H, W, 3]` of any number and size."""
        with self._tracing:
            return self._graphs(is_padded, tuple(map(float, scales)), flip, output)

    @functools.cached_property
    def _graphs(self) -> Callable[..., Any]:
        return functools.lru_cache(_GRAPHS)(self._trace)

    def _trace(
        self, is_padded: bool, scales: tuple[float, ...], flip: bool, output: Output
    ) -> Any:
        predict = self.predict_padded if is_padded else self.predict_any_size
        images = tf.TensorSpec(
            (None, None, None, 3), tf.float32 if is_padded else tf.uint8
        )
        function = tf.function(
            lambda images: predict(images, scales=scales, flip=flip, output=output),
            autograph=False,
        )
        return function.get_concrete_function(images)


def _crop_padding(
    batch: Sample, i: int, results: list[np.ndarray], output: Output
) -> Prediction:
    """The prediction of one image of a batch."""
    window = np.s_[: int(batch["height"][i]), : int(batch["width"][i])]
    return Prediction(
        image=np.round(batch["image"][i].numpy()[window]).astype(np.uint8),
        name=tfrecord.decode_name(batch["name"][i]),
        label=batch["label"][i].numpy()[..., 0][window],
        **{
            name: values[window]
            for name, values in zip(["classes", output], results, strict=False)
        },
    )
