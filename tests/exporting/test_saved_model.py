"""Signatures of a SavedModel: classes alone, files of any sizes, no images at all."""

import dataclasses
import datetime
import importlib.util
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf.config import InferenceConfig
from deeplab_tf.data import image_files
from deeplab_tf.errors import InputError
from deeplab_tf.exporting import model_card, warmup
from deeplab_tf.exporting import run as exporting
from deeplab_tf.prediction import load
from tests.exporting.test_run import config


@pytest.fixture(scope="module")
def signatures(exported):
    return tf.saved_model.load(str(exported)).signatures


def test_classes_alone_are_those_of_the_whole_answer(signatures, rng):
    images = tf.constant(rng.integers(0, 256, (2, 70, 90, 3)).astype(np.uint8))
    alone = signatures["serving_classes"](images)
    whole = signatures["serving_default"](images)
    assert list(alone) == ["SemanticPredictions"]
    assert alone["SemanticPredictions"].dtype == tf.uint8
    np.testing.assert_array_equal(
        alone["SemanticPredictions"], whole["SemanticPredictions"]
    )


def encode(image, kind):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()


def test_each_of_several_files_has_the_answer_that_it_has_alone(signatures, rng):
    sizes = [(50, 90), (70, 40), (1, 1), (120, 33)]
    images = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    files = [encode(image, "PNG") for image in images[:3]]
    files.append(encode(images[3], "JPEG"))
    answer = signatures["serving_files"](tf.constant(files))
    classes = answer["SemanticPredictions"].numpy()
    assert classes.dtype == np.uint8
    assert classes.shape == (4, 120, 90)
    measured = zip(answer["heights"].numpy(), answer["widths"].numpy(), strict=True)
    assert list(measured) == sizes
    for padded, file, (height, width) in zip(classes, files, sizes, strict=True):
        alone = signatures["serving_bytes"](tf.constant([file]))
        np.testing.assert_array_equal(
            padded[:height, :width], alone["SemanticPredictions"][0]
        )
        assert np.all(padded[height:] == 255)
        assert np.all(padded[:, width:] == 255)


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("serving_default", np.zeros((0, 50, 60, 3), np.uint8)),
        ("serving_classes", np.zeros((0, 50, 60, 3), np.uint8)),
        ("serving_bytes", np.zeros(0, object)),
        ("serving_files", np.zeros(0, object)),
    ],
)
def test_no_images_are_an_answer_for_none(signatures, name, images):
    kind = tf.uint8 if images.ndim > 1 else tf.string
    usual = signatures[name].structured_outputs
    answer = signatures[name](tf.constant(images, kind))
    for output, value in answer.items():
        assert value.shape[0] == 0
        assert value.dtype == usual[output].dtype
        assert value.shape.rank == usual[output].shape.rank


def test_a_file_that_is_no_image_fails(signatures):
    good = image_files.png(np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["serving_files"](tf.constant([good, b"no image"]))


@pytest.mark.nightly
def test_a_version_is_a_folder_of_its_number(run, tmp_path):
    exporting.export(config(run, tmp_path / "shapes", export_version=3))
    assert (tmp_path / "shapes" / "3" / "saved_model.pb").exists()
    assert [path.name for path in (tmp_path / "shapes").iterdir()] == ["3"]
    with pytest.raises(InputError, match="--export_version=3 is there already"):
        exporting.export(config(run, tmp_path / "shapes", export_version=3))


@pytest.fixture(scope="module")
def messages():
    if importlib.util.find_spec("tensorflow_serving") is None:
        pytest.skip("tensorflow-serving-api is not installed (pip install --no-deps)")
    from tensorflow_serving.apis import prediction_log_pb2

    return prediction_log_pb2


def test_warm_up_requests_are_answered_by_the_signatures(
    exported, signatures, messages
):
    file = exported / "assets.extra" / "tf_serving_warmup_requests"
    asked = []
    for record in tf.data.TFRecordDataset(str(file)):
        log = messages.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        asked.append(request.model_spec.signature_name)
        (given,) = request.inputs
        value = tf.make_ndarray(request.inputs[given])
        answer = signatures[asked[-1]](**{given: tf.constant(value)})
        assert answer["SemanticPredictions"].shape == (1, 65, 65)
    assert sorted(asked) == sorted(signatures)


def test_warm_up_requests_are_whole_records(exported):
    records = list(tf.data.TFRecordDataset(str(exported / warmup.FILE_NAME)))
    assert len(records) == 4
    assert sum(len(record.numpy()) for record in records) < 10_000


def test_the_model_card_says_what_it_is(exported, run):
    card = (exported / "README.md").read_text()
    assert f"* Weights: `{run}/model.ckpt-100`" in card
    assert "* Data set: shapes" in card
    assert "| 1 | ball | 214, 39, 40 |" in card
    assert "* `--model_variant=segnet_basic`" in card
    assert "Apache 2.0" in card
    assert "* `--crop_size=65,65`" in card


def test_the_model_card_has_the_scores_of_its_step(run, tmp_path):
    predictor = load.load(str(run))
    folder = tmp_path / "run"
    folder.mkdir()
    predictor = dataclasses.replace(
        predictor, checkpoint=str(folder / "model.ckpt-100")
    )

    def scores():
        card = model_card.card(predictor, InferenceConfig(), datetime.date(2026, 1, 31))
        assert "* Exported: 2026-01-31" in card
        return card.partition("## Scores")[2].partition("##")[0]

    assert "None are known" in scores()
    lines = ['{"step": 100, "loss": 0.5}', '{"step": 100, "miou": 0.5}']
    (folder / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 2']))
    assert "mIoU: 50.00%" in scores()
    best = '{"step": 100, "miou": 0.512, "pixel_accuracy": 0.875, "num_images": 12}'
    (folder / "metrics.json").write_text(best)
    assert "mIoU: 51.20%" in scores()
    assert "Images: 12" in scores()
    (folder / "metrics.json").write_text(best.replace("100", "90"))
    assert "mIoU: 50.00%" in scores()


def test_the_model_card_has_the_scores_of_an_evaluation(run, tmp_path):
    predictor = load.load(str(run))
    folder = tmp_path / "run"
    (folder / "eval").mkdir(parents=True)
    checkpoint = str(folder / "model.ckpt-100")
    predictor = dataclasses.replace(predictor, checkpoint=checkpoint)

    def card(**changes):
        scores = {"miou": 0.512, "step": 100, "checkpoint": checkpoint} | changes
        (folder / "eval" / "metrics.json").write_text(json.dumps(scores))
        date = datetime.date(2026, 1, 31)
        return model_card.card(predictor, InferenceConfig(), date)

    assert "mIoU: 51.20%" in card(num_images=12)
    assert "at step 100, by `run/eval/metrics.json`:" in card()
    for other in (
        {"step": 90},
        {"checkpoint": str(folder / "best" / "model.ckpt-100")},
        {"checkpoint": "model.ckpt-90"},
        {"miou": None},
    ):
        assert "None are known" in card(**other)
