"""Every architecture from the first step to the export, at reduced width.

By a recipe of it, where there is one: each network is trained once, as its recipe says.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf import flags, resize
from deeplab_tf.checkpoints import reader
from deeplab_tf.config import (
    DataConfig,
    EvalConfig,
    ExportConfig,
    ModelConfig,
    TrainConfig,
)
from deeplab_tf.config.architectures import ARCHITECTURES
from deeplab_tf.data import image_files, specs, tfrecord
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.exporting import saved_model
from deeplab_tf.exporting.run import export
from deeplab_tf.files import RECIPES
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import HEADS
from deeplab_tf.training.run import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shallow")]

SIZE = 120, 160  # Height, width of the images.
EVALUATED = {"deeplab_v3plus", "fcn8s", "pspnet"}  # The export's check predicts, too.
# What others differ in, tests/models/test_networks.py looks at by day.
BY_DAY = {"deeplab_v3plus"}
SMALLER = (
    "--training_number_of_steps=2",
    "--train_batch_size=2",
    "--slow_start_step=0",
    "--train_crop_size=65,65",
    "--log_steps=1",
)


def parse(*args):
    return flags.parse(TrainConfig, ["train", "--dataset_dir=x", *args])


def of_recipe(name):
    return parse(f"--recipe={name}", "--train_logdir=x")


NAMES = sorted(path.stem for path in RECIPES.glob("*.flags"))
# Architecture -> the last of its recipes.
RECIPE_OF = {of_recipe(name).model.head: name for name in NAMES}
OTHERS = [name for name in NAMES if name not in RECIPE_OF.values()]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Makes a data set of two pictures of chance, with the classes of the real one."""

    def make(name, split):
        folder = tmp_path_factory.mktemp("records")
        spec = specs.DATASETS[name or "shapes"]
        spec.save(folder)
        examples = [_record(spec, seed) for seed in range(2)]
        tfrecord.write_shards(examples, folder, split, per_shard=[2])
        return folder

    return functools.cache(make)


def _record(spec, seed):
    """Noise whose labels are stripes of all classes."""
    image = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    ids = [i for i in range(spec.num_classes) if i != spec.ignore_label]
    label = np.resize(np.array(ids, np.uint8), SIZE)
    return tfrecord.Record(
        name=str(seed),
        image=image_files.png(image),
        image_format="png",
        size=SIZE,
        label=image_files.png(label),
    )


def take_two_steps(network, records, folder):
    """On small crops, two at a time, and as narrow as the network can be had."""
    asked = parse(network, "--train_logdir=x")
    data = records(asked.data.dataset, asked.train_split)
    narrower = []
    if asked.model.depth_multiplier == 1:
        narrower = ["--depth_multiplier=0.0625"]
    # Rates are for trained weights. Values of others grow from unit to unit where
    # nothing normalizes them, and two steps make them infinite.
    rate = 1e-9 if HEADS[asked.model.head].frozen_batch_norm else 1e-6
    config = parse(
        network,
        *SMALLER,
        *narrower,
        f"--base_learning_rate={rate}",
        "--aspp_convs_filters=16",
        "--decoder_filters=16",
        f"--dataset_dir={data}",
        f"--train_logdir={folder}",
    )
    train(config)
    assert reader.step_of(reader.find_checkpoint(str(folder))) == 2
    return config


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in BY_DAY else pytest.mark.nightly)
        for name in ARCHITECTURES
    ],
)
def test_a_network_trains_and_is_exported(name, records, tmp_path):
    recipe = RECIPE_OF.get(name)
    network = f"--recipe={recipe}" if recipe else f"--architecture={name}"
    config = take_two_steps(network, records, tmp_path / "run")
    assert config.model.head == name
    if name in EVALUATED:
        scores = evaluate(
            EvalConfig(
                checkpoint_dir=str(tmp_path / "run"),
                eval_logdir=str(tmp_path / "eval"),
                eval_split=config.train_split,
                data=DataConfig(dataset_dir=config.data.dataset_dir),
            )
        )
        assert 0 <= scores["miou"] <= 1
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    # It compares what is written with the network, or fails.
    export(
        ExportConfig(
            checkpoint_path=str(tmp_path / "run"),
            export_path=str(tmp_path / "exported"),
            check_image=str(tmp_path / "image.png"),
        )
    )
    predict = saved_model.load(tmp_path / "exported")[0]
    output = predict(pixels[np.newaxis])
    assert output["SemanticPredictions"].shape == (1, 50, 70)


@pytest.mark.nightly
@pytest.mark.parametrize("name", OTHERS)
def test_a_further_recipe_takes_two_steps(name, records, tmp_path):
    take_two_steps(f"--recipe={name}", records, tmp_path)


STRIPES = ((220, 40, 30), (40, 200, 60), (30, 60, 230))


def stripes(size=65):
    """A picture of three upright rectangles, and their classes."""
    label = np.repeat(np.arange(size)[np.newaxis] * 3 // size, size, axis=0)
    image = np.array(STRIPES, np.float32)[label]
    return image[np.newaxis], label[np.newaxis].astype(np.int32)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_learns_one_picture_by_heart(name):
    image, label = stripes()
    # Statistics as they are from the start: one picture is no sample of any.
    config = ModelConfig(
        architecture=name,
        depth_multiplier=1 / 16,
        aspp_convs_filters=16,
        decoder_filters=16,
    )
    model = build(config, 3, frozen_batch_norm=True)
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
