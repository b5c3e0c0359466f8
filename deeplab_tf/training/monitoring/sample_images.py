"""Pictures of a run: images beside their labels and predictions."""

import keras

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
    looks = test_time.Looks(logits_stride=config.model.logits_stride)
    # Without the logits of single scales.
    merged = keras.Model(trainer.model.input, trainer.model.outputs[-1])
    classes, _ = test_time.predict(merged, batch["image"], looks)
    logs.samples(step, batch, classes.numpy(), trainer.spec)
