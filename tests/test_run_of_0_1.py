"""What users of version 0.1 have is evaluated, exported, loaded, and trained further.

tests/golden/run_0_1/README.md tells how the recorded numbers came about.
"""

import importlib
import json
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import commands
from deeplab_tf.data import image_files
from tests.recorded import ROOT

pytestmark = pytest.mark.slow

FOLDER = ROOT / "tests" / "golden" / "run_0_1"
REACHED = json.loads((FOLDER / "reached.json").read_text())


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs a command in a folder that holds the old run and its records."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def call(function, *args):
        monkeypatch.setattr(sys, "argv", ["command", *args])
        function()
        return tmp_path

    return call


@pytest.fixture
def image():
    return image_files.read_image(FOLDER / "image.png")


def test_it_has_the_scores_it_had(command):
    folder = command(
        commands.evaluate,
        "--checkpoint_dir=run",
        "--dataset_dir=records",
        "--eval_logdir=scores",
    )
    scores = json.loads((folder / "scores" / "metrics.json").read_text())
    before = REACHED["scores"]
    assert scores["num_images"] == before["num_images"]
    # One pixel in ten thousand may change sides on another processor.
    assert scores["miou"] == pytest.approx(before["miou"], abs=1e-4)
    assert scores["iou"] == pytest.approx(before["iou"], abs=1e-4)


def test_training_goes_on_as_it_would_have(command, caplog):
    folder = command(
        commands.train,
        "--dataset_dir=records",
        "--train_logdir=run",
        "--flagfile=train.flags",
        "--training_number_of_steps=205",
        "--log_steps=1",
    )
    assert "no effect" not in caplog.text
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    steps = {line["step"]: line for line in map(json.loads, lines)}
    assert len(steps) == 10 + 5  # Every twentieth of 200, and each further one.
    for name in ("losses", "regularization"):
        key = "loss" if name == "losses" else name
        for step, value in REACHED[name].items():
            # On another processor, kernels add up in another order.
            assert steps[int(step)][key] == pytest.approx(value, rel=1e-4), (step, key)


@pytest.mark.skipif(
    tuple(map(int, keras.__version__.split(".")[:2])) < (3, 15),
    reason="Keras wrote keywords that an older Keras does not know",
)
def test_its_keras_file_is_loaded(image):
    importlib.import_module("deeplab_tf.models.build")  # Registers our layers.
    model = keras.saving.load_model(FOLDER / "network.keras")
    logits = model(np.float32(image[np.newaxis, :65, :65]), training=False)
    logits = keras.ops.convert_to_numpy(logits)[0, ::4, ::4]
    np.testing.assert_allclose(logits, REACHED["logits"]["values"], atol=1e-4)


def test_its_export_predicts_what_it_predicted(command, image):
    folder = command(commands.export, "--checkpoint_path=run", "--export_path=exported")
    exported = tf.saved_model.load(str(folder / "exported"))
    predict = exported.signatures["serving_default"]
    output = predict(ImageTensor=tf.constant(image[np.newaxis]))
    classes = output["SemanticPredictions"].numpy()[0, ::8, ::8]
    probabilities = output["SemanticProbabilities"].numpy()[0, ::32, ::32]
    before = REACHED["export"]
    np.testing.assert_array_equal(classes, before["classes"])
    np.testing.assert_allclose(probabilities, before["probabilities"], atol=1e-5)
