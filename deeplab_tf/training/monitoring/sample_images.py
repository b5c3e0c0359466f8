"""Sample images of a run, beside their labels and predictions, in TensorBoard."""

import keras
import tensorflow as tf

from deeplab_tf.config import TrainConfig
from deeplab_tf.data import corrupt_records, pipeline
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.prediction import test_time
from deeplab_tf.training.monitoring.logs import Logs
from deeplab_tf.training.step import Trainer

_COUNT = 3


def show(
    trainer: Trainer, source: InputData, config: TrainConfig, step: int, logs: Logs
) -> None:
    """Draws images of the steps to come; the run's own batches stay as they are.

    Raises:
        InputError: A record cannot be read.
    """
    batches = pipeline.training_batches(
        source,
        config.augment,
        _COUNT,
        seed=config.seed,
        start=step * config.train_batch_size,
    )
    with corrupt_records.translate_read_errors(source.records):
        (batch,) = batches.take(1)
    # Without the logits of single scales.
    merged = keras.Model(trainer.model.input, trainer.model.outputs[-1])
    views = test_time.MultiScaleFlip(logits_stride=config.model.logits_stride)
    images = tf.cast(batch["image"], tf.float32)  # Of --uint8_images.
    classes, _ = test_time.predict_probabilities(merged, images, views)
    logs.samples(step, batch, classes.numpy(), trainer.spec)
