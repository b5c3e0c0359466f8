"""What is kept of a step whose loss is not finite, and what is held to be the cause."""

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    OptimizerConfig,
    TrainConfig,
)
from deeplab_tf.data import image_files, pipeline
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.training.diagnostics import nan_dump
from deeplab_tf.training.diagnostics.nan_dump import BadStep

SPEC = shapes_spec.SPEC
CONFIG = TrainConfig(
    train_logdir="run",
    train_batch_size=4,
    data=DataConfig(dataset_dir="records"),
    augment=AugmentConfig(train_crop_size=(33, 33)),
    optimizer=OptimizerConfig(base_learning_rate=0.05),
)
BAD = BadStep(
    step=7,
    what="the loss is nan",
    rate=0.04,
    metrics={"loss": [1.5, math.nan], "gradient_norm": [2.0, math.inf]},
    has_batch_norm=True,
    replicas=1,
)


@pytest.fixture(scope="module")
def source(shapes):
    data = DataConfig(dataset_dir=str(shapes))
    _, records = open_split(data, CONFIG.tfds, "train")
    return pipeline.InputData(
        records=records,
        ignore_label=255,
        mean_pixel=(127.5,) * 3,
        resize=CONFIG.resize,
    )


def test_the_first_bad_step_is_found():
    assert nan_dump.first_bad_step({"loss": [1.0, math.inf, math.nan]}, 20) == 19
    assert nan_dump.first_bad_step({"loss": [1.0, 2.0]}, 20) is None


def test_the_very_batch_is_kept(source, tmp_path):
    whole = pipeline.training_batches(source, CONFIG.augment, 4, seed=CONFIG.seed)
    (batch,) = whole.skip(6).take(1)  # That of step 7: here over the end of an epoch.
    explained = nan_dump.write(tmp_path, source, CONFIG, SPEC, BAD)
    place = tmp_path / "nan_dump" / "step_7"
    assert explained[1] == f"The batch of step 7: {place}"
    info = json.loads((place / "info.json").read_text())
    names = [name.decode() for name in batch["name"].numpy()]
    assert [one["name"] for one in info["images"]] == names
    for i, one in enumerate(info["images"]):
        image, label = batch["image"][i].numpy(), batch["label"][i].numpy()[..., 0]
        kept = image_files.read_image(place / f"{one['file']}_image.png")
        np.testing.assert_array_equal(kept, image.astype(np.uint8))
        ids = image_files.read_mask(place / f"{one['file']}_label.png")
        np.testing.assert_array_equal(ids, label)
        assert one["pixels"].get("0", 0) == (label == 0).sum()
        assert sum(one["pixels"].values()) == 33 * 33
        assert (one["min"], one["max"]) == (image.min(), image.max())
    assert (info["step"], info["rate"], info["checkpoint"]) == (7, 0.04, None)
    assert info["metrics"]["loss"] == [1.5, "nan"]


def test_more_than_sixteen_pictures_are_of_no_use(source, tmp_path):
    config = dataclasses.replace(CONFIG, train_batch_size=20)
    nan_dump.write(tmp_path, source, config, SPEC, dataclasses.replace(BAD, step=1))
    place = tmp_path / "nan_dump" / "step_1"
    assert len(list(place.glob("*_image.png"))) == 16
    assert len(json.loads((place / "info.json").read_text())["images"]) == 20


def test_a_checkpoint_that_is_broken_already_is_told(source, tmp_path):
    weights = {"a/weights": tf.Variable([1.0]), "b/weights": tf.Variable([np.inf])}
    state = {name: Weight(value) for name, value in weights.items()}
    CheckpointManager(tmp_path, {"weights": state}, keep=1).save(6)
    explained = nan_dump.write(tmp_path, source, CONFIG, SPEC, BAD)
    assert f"b/weights is not finite in {tmp_path}/model.ckpt-6 already" in explained[0]


@dataclasses.dataclass
class Weight:
    value: tf.Variable


def test_a_full_disk_hides_no_cause(source, tmp_path, caplog):
    (tmp_path / "nan_dump").write_text("a file, where a folder should be")
    explained = nan_dump.write(tmp_path, source, CONFIG, SPEC, BAD)
    (line,) = explained
    assert line.startswith("Likeliest: ")
    assert "step_7 could not be written" in caplog.text
