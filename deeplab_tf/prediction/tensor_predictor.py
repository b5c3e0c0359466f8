"""A network on tensors: range of sizes, padding, views; for graphs of any kind."""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from deeplab_tf import resize as resizing
from deeplab_tf.config import ModelConfig, ResizeConfig
from deeplab_tf.data import pipeline, transforms
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.models.build import find_backbone, multiple
from deeplab_tf.prediction import test_time
from deeplab_tf.prediction.predictions import Output

CROP_SIZE = (513, 513)  # Of the official commands.


class BatchPrediction(NamedTuple):
    """Class ids, int32 `[N, H, W]`, and probabilities, float32 `[N, H, W, C]`.

    The raw ones are those of the padded image, as the network saw it.
    """

    classes: tf.Tensor
    probabilities: tf.Tensor
    raw_classes: tf.Tensor
    raw_probabilities: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TensorPredictor:
    """A network with its weights, what goes with them, and its predictions of tensors.

    Attributes:
        model: Images `[N, H, W, 3]` in 0...255 -> logits.
        config: Of the network.
        spec: What its classes mean.
        resize: Range of sizes into which images are to be brought.
        crop_size: Height, width to which smaller images are to be padded.
        softmax_twice: See `test_time.MultiScaleFlip`.
    """

    model: keras.Model
    config: ModelConfig
    spec: DatasetSpec
    resize: ResizeConfig = ResizeConfig()
    crop_size: tuple[int, int] = CROP_SIZE
    softmax_twice: bool = False

    def predict_batch(
        self,
        images: tf.Tensor,
        *,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
    ) -> BatchPrediction:
        """Predicts images of one size, at that size.

        They are brought into the range of sizes, if there is one, and padded as
        `transforms.network_size` says; results are cropped and resized back.

        Args:
            images: RGB in 0...255, any type, `[N, H, W, 3]`.
            scales: Test-time augmentation: factors of the size to average.
            flip: Average with the mirror image of each, too.
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
        """As `predict_batch`: class ids `[N, H, W]` and `output` `[N, H, W, C]`.

        Args:
            images: RGB in 0...255, any type, `[N, H, W, 3]`.
            scales: See `predict_batch`.
            flip: See `predict_batch`.
            output: What to give beside the classes.
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
        """Class ids `[N, H, W]` and `output` `[N, H, W, C]` of what is padded already.

        Confidence, the probability of the class, is `[N, H, W]`.

        Args:
            images: RGB in 0...255, float32 `[N, H, W, 3]`, as of `split_batches`.
            scales: See `predict_batch`.
            flip: See `predict_batch`.
            output: What to give beside the classes.
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

    def split_batches(
        self,
        records: Records,
        batch_size: int,
        context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """Every image of a split once, padded as `predict_batch` pads it.

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
    def mean_pixel(self) -> tuple[float, float, float]:
        """The color around smaller images."""
        return find_backbone(self.config).mean_pixel

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
