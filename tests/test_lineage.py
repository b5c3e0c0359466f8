"""Every architecture from the first step to the export, at reduced width."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    EvalConfig,
    ExportConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)
from deeplab_tf.config.architectures import ARCHITECTURES
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.exporting import saved_model
from deeplab_tf.exporting.run import export
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import HEADS
from deeplab_tf.training.run import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shallow")]


def test_every_architecture_has_a_head():
    assert ARCHITECTURES.keys() == HEADS.keys()


def small(name):
    """The network of the architecture, as narrow as it can be had."""
    return ModelConfig(
        architecture=name,
        depth_multiplier=1 / 16,
        aspp_convs_filters=16,
        decoder_filters=16,
    )


def train_config(model, shapes, folder):
    return TrainConfig(
        train_logdir=str(folder),
        train_batch_size=2,
        model=model,
        data=DataConfig(dataset_dir=str(shapes)),
        augment=AugmentConfig(train_crop_size=(65, 65)),
        loss=LossConfig(upsample_logits=False),
        optimizer=OptimizerConfig(training_number_of_steps=2, base_learning_rate=1e-6),
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_trains_evaluates_and_is_exported(name, shapes, tmp_path):
    run = tmp_path / "run"
    train(train_config(small(name), shapes, run))
    scores = evaluate(
        EvalConfig(
            checkpoint_dir=str(run),
            eval_logdir=str(tmp_path / "eval"),
            data=DataConfig(dataset_dir=str(shapes)),
        )
    )
    assert 0 <= scores["miou"] <= 1
    saved = json.loads((run / "config.json").read_text())["model"]
    assert saved["architecture"] == name
    # It compares what is written with the network, or fails.
    config = ExportConfig(
        checkpoint_path=str(run), export_path=str(tmp_path / "exported")
    )
    export(config)
    predict = saved_model.load(tmp_path / "exported")[0]
    found = predict(np.full((1, 50, 70, 3), 200, np.uint8))
    assert found["SemanticPredictions"].shape == (1, 50, 70)


STRIPES = ((220, 40, 30), (40, 200, 60), (30, 60, 230))


def stripes(size=65):
    """A picture of three upright rectangles, and their classes."""
    label = np.repeat(np.arange(size)[np.newaxis] * 3 // size, size, axis=0)
    image = np.array(STRIPES, np.float32)[label]
    return image[np.newaxis], label[np.newaxis].astype(np.int32)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_learns_one_picture_by_heart(name):
    image, label = stripes()
    # Statistics as they are from the start: one picture is no sample of any.
    model = build(small(name), 3, frozen_batch_norm=True)
    optimizer = keras.optimizers.Adam(0.003)
    if any(layer.name == "context.final" for layer in model.layers):
        # ReLUs of a context module cut scores below zero, and a class of few channels
        # does not come back: it begins above zero, as after a front end that learned.
        model.get_layer("logits.final").bias.assign([3.0] * 3)
        optimizer.learning_rate = 1e-4
    weights = model.trainable_variables
    optimizer.build(weights)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = resize.bilinear(model(image, training=False), label.shape[1:])
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)
            )
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        optimizer.apply(gradients, weights)
        return tf.reduce_mean(tf.cast(tf.argmax(logits, -1) == label, tf.float32))

    assert any(float(step()) == 1.0 for _ in range(300))
