"""The one door to a trained network, for all that use it."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf
from absl import logging

from deeplab_tf import resize as resizing
from deeplab_tf.checkpoints import reader, restore, run_folder
from deeplab_tf.config import (
    CompatibilityConfig,
    InferenceConfig,
    ModelConfig,
    ResizeConfig,
)
from deeplab_tf.config.fields import Overrides
from deeplab_tf.data import corrupt_records, pipeline, transforms
from deeplab_tf.data.records import Records
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.models.build import build, find_backbone, multiple
from deeplab_tf.prediction import test_time

CROP_SIZE = (513, 513)  # Of the official commands.


class Segmentation(NamedTuple):
    """Class ids, int32 `[N, H, W]`, and probabilities, float32 `[N, H, W, C]`.

    The raw ones are those of the padded image, as the network saw it.
    """

    classes: tf.Tensor
    probabilities: tf.Tensor
    raw_classes: tf.Tensor
    raw_probabilities: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained:
    """A network with its weights, and what it was trained for.

    Attributes:
        model: Images `[N, H, W, 3]` in 0...255 -> logits.
        config: Of the network.
        spec: What its classes mean.
        resize: Range of sizes into which images are to be brought.
        crop_size: Height, width to which smaller images are to be padded.
        checkpoint: Prefix of the file.
        softmax_twice: See `test_time.Looks`.
    """

    model: keras.Model
    config: ModelConfig
    spec: DatasetSpec
    resize: ResizeConfig
    crop_size: tuple[int, int]
    checkpoint: str
    softmax_twice: bool = False

    @property
    def mean_pixel(self) -> tuple[float, float, float]:
        """The colour around smaller images."""
        return find_backbone(self.config).mean_pixel

    @property
    def multiple(self) -> int:
        """Corners stay aligned where a side is a multiple of it plus one."""
        return multiple(self.config)

    def _looks(self, scales: tuple[float, ...], flipped: bool) -> test_time.Looks:
        return test_time.Looks(
            scales=scales,
            flipped=flipped,
            upsample_logits=self.config.prediction_with_upsampled_logits,
            logits_stride=self.config.logits_stride,
            softmax_twice=self.softmax_twice,
        )

    def predict(
        self, images: tf.Tensor, scales: tuple[float, ...], *, flipped: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Class ids `[N, H, W]` and probabilities `[N, H, W, C]` of padded images.

        Args:
            images: RGB in 0...255, float32 `[N, H, W, 3]`.
            scales: Of the looks to average.
            flipped: Look at mirror images, too.
        """
        return test_time.predict(self.model, images, self._looks(scales, flipped))

    def segment(
        self, images: tf.Tensor, scales: tuple[float, ...], *, flipped: bool
    ) -> Segmentation:
        """As `predict`, of images of any size, at that size.

        Images are brought into the range of sizes, if there is one, and padded as
        `transforms.network_size` says; what is found is cropped and resized back.
        """
        pixels, inner = self._padded(images)
        raw = self.predict(pixels, scales, flipped=flipped)
        return Segmentation(*self._cropped(raw, inner, tf.shape(images)[1:3]), *raw)

    def score(
        self, images: tf.Tensor, scales: tuple[float, ...], *, flipped: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As `segment`: class ids, and scores as of `test_time.score`."""
        pixels, inner = self._padded(images)
        raw = test_time.score(self.model, pixels, self._looks(scales, flipped))
        return self._cropped(raw, inner, tf.shape(images)[1:3])

    def _padded(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Images as the network wants them, and their size without padding."""
        return transforms.to_network(
            images,
            resize=self.resize,
            crop_size=self.crop_size,
            multiple=self.multiple,
            mean_pixel=self.mean_pixel,
        )

    def _cropped(
        self, raw: tuple[tf.Tensor, tf.Tensor], inner: tf.Tensor, size: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Classes, and what belongs to each, back at the size of the images."""
        classes, values = (found[:, : inner[0], : inner[1]] for found in raw)
        if self.resize.min_resize_value is not None:
            classes = resizing.nearest(classes[..., tf.newaxis], size)[..., 0]
            values = resizing.bilinear(values, size)
        return classes, values

    def batches(self, records: Records, batch_size: int) -> Iterator[pipeline.Sample]:
        """Yields every image of a split once, padded as `segment` pads it.

        Raises:
            InputError: A record cannot be read.
        """
        source = pipeline.InputData(
            records=records,
            ignore_label=self.spec.ignore_label,
            mean_pixel=self.mean_pixel,
            resize=self.resize,
        )
        batches = pipeline.evaluation_batches(
            source, batch_size, crop_size=self.crop_size, multiple=self.multiple
        )
        return corrupt_records.read_batches(batches, records)

    def finder(
        self, looks: InferenceConfig, *, scores: bool
    ) -> Callable[[tf.Tensor], tuple[tf.Tensor, ...]]:
        """A compiled function: padded images -> class ids and, if wanted, scores."""
        averaged = self._looks(looks.eval_scales, looks.add_flipped_images)
        find = test_time.score if scores else test_time.predict
        return tf.function(
            lambda images: find(self.model, images, averaged)[: 1 + scores],
            input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)],
        )

    @property
    def step(self) -> int:
        """The training step, as far as the file's name tells; else 0."""
        return reader.step_of(self.checkpoint)


def rounds(path: str, count: int, seconds: float) -> Iterator[str]:
    """Yields the newest checkpoint, and each newer one that appears.

    Args:
        path: Folder of a run, or a checkpoint, which cannot become newer.
        count: How many in all; 0 or less for no end. One is not waited for.
        seconds: Between two looks at the folder.

    Raises:
        InputError: There is no checkpoint, and only one was asked for.
    """
    if count == 1 or reader.is_file(path):
        yield reader.find(path)
        return
    last, remaining = None, count if count > 0 else math.inf
    while remaining:
        newest = reader.newest(path)
        if newest in (None, last):
            logging.info("Waiting for a new checkpoint in %s", path)
            time.sleep(seconds)
            continue
        yield newest
        last, remaining = newest, remaining - 1


def find_run(path: str) -> run_folder.Run:
    """What the folder of a checkpoint says of its training.

    Raises:
        InputError: There is no checkpoint.
    """
    return run_folder.read(Path(reader.find(path)).parent)


def load(
    path: str,
    run: run_folder.Run,
    spec: DatasetSpec,
    *,
    model: Overrides[ModelConfig],
    resize: Overrides[ResizeConfig],
    crop_size: tuple[int, int] | None = None,
    compatibility: CompatibilityConfig = CompatibilityConfig(),
) -> Trained:
    """Builds a network and takes its weights from a checkpoint.

    Args:
        path: Training folder, or folder, prefix or `.index` of a checkpoint.
        run: What `find_run` says of it; settings given by hand win.
        spec: The classes it is used for; those that `run` learned.
        model: Settings of the network.
        resize: Settings of the resizing.
        crop_size: Or that of the run, or 513, 513.
        compatibility: Which mistakes to make.

    Raises:
        InputError: The checkpoint is not of this network.
    """
    config = model.onto(run.model)
    network = build(config, spec.num_classes)
    report = restore.restore(network, path)
    prefix = reader.find(path)
    logging.info("%s: %s", prefix, report)
    return Trained(
        model=network,
        config=config,
        spec=spec,
        resize=compatibility.resize(resize.onto(run.resize)),
        crop_size=crop_size or run.crop_size or CROP_SIZE,
        checkpoint=prefix,
        softmax_twice=compatibility.official_bugs,
    )
