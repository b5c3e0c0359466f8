"""All that one pass counts, against what can be counted from its predictions."""

import csv
import json

import numpy as np
import pytest

from deeplab_tf import parallel
from deeplab_tf.config import CrfConfig
from deeplab_tf.crf import engines
from deeplab_tf.errors import FlagError
from deeplab_tf.evaluation import csv_tables, image_counts, metrics
from deeplab_tf.evaluation.boundary import BoundaryIou
from deeplab_tf.evaluation.calibration import Calibration
from deeplab_tf.evaluation.run import evaluate, evaluate_split
from deeplab_tf.prediction import load
from tests.evaluation.test_run import config


@pytest.fixture(scope="module")
def evaluated(run, shapes, tmp_path_factory):
    """Scores, and the folder of an evaluation with all counts."""
    folder = tmp_path_factory.mktemp("eval")
    settings = config(run, shapes, folder, boundary_iou=True, calibration=True)
    return evaluate(settings), folder


@pytest.fixture(scope="module")
def opened(run, shapes):
    """The network and the records of an evaluation."""
    settings = config(run, shapes, "eval")
    return load.load_with_records(
        settings.checkpoint_dir,
        settings,
        split="val",
        crop_size=None,
        validate_labels="off",
    )


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_beside_the_scores_changes_none_of_them(opened, evaluated):
    scores, _ = evaluated
    plain = evaluate_split(*opened).scores
    assert plain.items() <= scores.items()
    more = {"boundary_iou", "boundary_miou", "calibration", "checkpoint", "step"}
    assert scores.keys() - plain.keys() == more


def test_files_of_an_evaluation_agree(evaluated):
    scores, folder = evaluated
    matrix = np.loadtxt(folder / "confusion_matrix.csv", int, delimiter=",")
    stored = image_counts.load(folder / image_counts.FILE)
    assert stored.checkpoint.endswith("model.ckpt-100")
    assert stored.classes == tuple(scores["iou"])
    np.testing.assert_array_equal(sum(c.matrix(6) for c in stored.counts), matrix)
    images = rows(folder / csv_tables.PER_IMAGE)
    assert [row["name"] for row in images] == [f"val_{i:04}" for i in range(7)]
    for row, counts in zip(images, stored.counts, strict=True):
        own = counts.matrix(6)
        assert (int(row["height"]), int(row["width"])) == counts.size
        assert float(row["miou"]) == pytest.approx(metrics.mean_iou(own), abs=1e-6)
        wrong = 1 - np.trace(own) / own.sum()
        assert float(row["share_wrong"]) == pytest.approx(wrong, abs=1e-6)
    for row in rows(folder / csv_tables.PER_CLASS):
        name = row["class"]
        for key in ("iou", "precision", "recall", "f1", "share", "boundary_iou"):
            value = scores[key][name]
            expected = "" if value is None else pytest.approx(value, abs=1e-6)
            assert (float(row[key]) if row[key] else "") == expected
        if scores["iou_intervals"][name]:
            low, high = scores["iou_intervals"][name]
            assert float(row["iou_low"]) == pytest.approx(low, abs=1e-6)
            assert low <= scores["iou"][name] <= high
    low, high = scores["miou_interval"]
    assert low <= scores["miou"] <= high
    assert json.loads((folder / "metrics.json").read_text()) == scores


def test_observers_see_every_image_with_its_probabilities_and_counts(opened, evaluated):
    seen = []
    evaluation = evaluate_split(
        *opened,
        batch_size=3,
        observers=[lambda *arguments: seen.append(arguments)],
        needs_probabilities=True,
    )
    assert evaluation.boundary is evaluation.calibration is None
    boundary, calibration = BoundaryIou(6, 255), Calibration(255)
    for (prediction, classes, counts), image in zip(
        seen, evaluation.images, strict=True
    ):
        assert counts is image
        assert counts.name == prediction.name
        probabilities = prediction.probabilities
        np.testing.assert_array_equal(classes, probabilities.argmax(axis=-1))
        np.testing.assert_array_equal(prediction.confidence, probabilities.max(axis=-1))
        matrix = metrics.confusion_matrix(prediction.label, classes, 6, 255)
        np.testing.assert_array_equal(counts.matrix(6), matrix)
        boundary.add(prediction.label, classes)
        calibration.add(prediction.label, classes, prediction.confidence)
    scores, _ = evaluated
    assert scores["boundary_miou"] == boundary.miou
    assert scores["calibration"]["ece"] == pytest.approx(calibration.ece, abs=1e-6)


@pytest.mark.nightly
def test_with_a_crf_all_counts_are_of_its_classes_and_marginals(opened, monkeypatch):
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 1)
    parameters = engines.parameters_of(
        CrfConfig(
            crf_w1=4.0, crf_sigma_alpha=10.0, crf_sigma_beta=8.0, crf_iterations=1
        )
    )
    calibration, boundary = Calibration(255), BoundaryIou(6, 255)
    predictor, records = opened

    def observe(prediction, classes, counts):
        marginals = engines.mean_field(
            prediction.logits, prediction.image, parameters, "tensorflow"
        )
        np.testing.assert_array_equal(classes, marginals.argmax(axis=-1))
        calibration.add(prediction.label, classes, marginals.max(axis=-1))
        boundary.add(prediction.label, classes)
        np.testing.assert_array_equal(
            counts.matrix(6),
            metrics.confusion_matrix(prediction.label, classes, 6, 255),
        )

    evaluation = evaluate_split(
        predictor,
        records,
        crf=parameters,
        crf_engine="tensorflow",
        boundary=True,
        calibration=True,
        observers=[observe],
    )
    total = sum(image.matrix(6) for image in evaluation.images)
    np.testing.assert_array_equal(evaluation.confusion.matrix, total)
    assert evaluation.calibration.ece == pytest.approx(calibration.ece, abs=1e-6)
    np.testing.assert_array_equal(evaluation.boundary.union, boundary.union)


def test_a_report_has_all_counts(run, shapes, tmp_path):
    settings = config(run, shapes, tmp_path, report=True)
    assert settings.widths == (2, 4, 8, 16, 32)
    given = config(run, shapes, tmp_path, report=True, trimap_widths=(3,))
    assert given.widths == (3,)
    assert config(run, shapes, tmp_path).widths == ()


@pytest.mark.parametrize("name", ["report", "boundary_iou", "calibration"])
def test_a_search_has_no_other_scores(run, shapes, tmp_path, name):
    with pytest.raises(FlagError, match=rf"--{name}=True: --crf_search does not eval"):
        config(run, shapes, tmp_path, crf_search=True, **{name: True})
