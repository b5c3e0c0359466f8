"""Likely label errors: whole objects, and neither boundaries nor specks."""

import csv
import dataclasses

import numpy as np
import pytest

from deeplab_tf.config import DataConfig, EvalConfig
from deeplab_tf.evaluation.html_report import label_errors
from deeplab_tf.evaluation.html_report.label_errors import LabelErrors, find
from deeplab_tf.evaluation.image_counts import ImageCounts
from deeplab_tf.evaluation.run import evaluate
from tests.evaluation.html_report import planted
from tests.evaluation.html_report.synthetic import prediction, spec_of

SIZE = 60, 80


def square(top, left, side, value=1, size=SIZE):
    ids = np.zeros(size, int)
    ids[top : top + side, left : left + side] = value
    return ids


def sure(label, classes, p=0.95, q=0.05, count=4):
    """Probabilities: p of the predicted class, q of the labeled one."""
    values = np.zeros((*np.shape(label), count), np.float32)
    np.put_along_axis(values, np.minimum(label, 3)[..., None], q, axis=-1)
    np.put_along_axis(values, np.asarray(classes)[..., None], p, axis=-1)
    return values


def test_an_object_of_another_class_is_found_with_its_box():
    label, classes = square(10, 20, 16, 1), square(10, 20, 16, 2)
    worst, region = find(label, classes, sure(label, classes), 255)
    assert worst.score == pytest.approx(0.9)
    assert (worst.label, worst.predicted, worst.pixels) == (1, 2, 256)
    assert worst.box == (20, 10, 36, 26)
    assert np.array_equal(region, label == 1)


def test_an_object_that_is_not_labeled_is_found():
    label, classes = square(0, 0, 0), square(10, 20, 16, 2)
    worst, _ = find(label, classes, sure(label, classes), 255)
    assert worst.score == pytest.approx(0.9)
    assert (worst.label, worst.predicted) == (0, 2)


def test_a_boundary_that_is_moved_is_none():
    label, classes = square(10, 20, 16), square(7, 17, 22)
    assert find(label, classes, sure(label, classes), 255)[0] is None


def test_specks_and_what_does_not_count_are_none():
    classes = square(10, 20, 4) + square(30, 40, 3)
    label = np.zeros(SIZE, int)
    assert find(label, classes, sure(label, classes), 255)[0] is None
    label, classes = np.full(SIZE, 255), square(10, 20, 16)
    assert find(label, classes, sure(label, classes), 255)[0] is None
    label = square(10, 20, 16, 3)  # As a class that is ignored.
    assert find(label, classes, sure(label, classes), 3)[0] is None


def test_what_is_unsure_or_a_part_has_a_lower_score():
    label, classes = square(10, 20, 16, 1), square(10, 20, 16, 2)
    unsure, _ = find(label, classes, sure(label, classes, 0.6, 0.3), 255)
    assert unsure.score == pytest.approx(1 / 3)
    half = classes.copy()
    half[10:18, 20:36] = 1
    half[18:26, 36:52] = 2  # Half of the predicted object is right.
    other = label.copy()
    other[18:26, 36:52] = 2
    part, _ = find(other, half, sure(other, half), 255)
    assert part.label == 1
    assert part.score == pytest.approx(0.9 / 2)
    assert find(label, classes, sure(label, classes, 0.5, 0.45), 255)[0] is None


def test_the_worst_of_several_is_told():
    label = square(5, 5, 16, 1) + square(35, 50, 16, 2)
    classes = square(5, 5, 16, 3) + square(35, 50, 16, 1)
    probabilities = sure(label, classes, 0.8, 0.2)
    probabilities[30:] = sure(label, classes, 0.8, 0.1)[30:]
    worst, _ = find(label, classes, probabilities, 255)
    assert (worst.label, worst.predicted) == (2, 1)
    assert worst.certainty == pytest.approx(0.7 / 0.9)


def test_small_regions_come_later():
    label, classes = square(10, 20, 6, 1), square(10, 20, 6, 2)
    worst, _ = find(label, classes, sure(label, classes), 255)
    assert worst.score == pytest.approx(0.9 * (36 / 48) ** 0.5)


def test_large_images_are_looked_at_from_afar(monkeypatch):
    label, classes = square(10, 20, 16, 1), square(10, 20, 16, 2)
    monkeypatch.setattr(label_errors, "_LONGEST", 40)
    worst, region = find(label, classes, sure(label, classes), 255)
    assert worst.pixels == 256
    assert worst.box == (20, 10, 36, 26)
    assert region.shape == (30, 40)


def test_a_table_names_images_the_worst_first():
    spec = spec_of(3)
    errors = LabelErrors(spec, side=64)
    label, classes = square(10, 20, 16, 1), square(10, 20, 16, 2)
    for name, q in (("a", 0.2), ("b, c", 0.05), ("right", None)):
        predicted = label if q is None else classes
        each = prediction(label, predicted, name=name)
        probabilities = sure(label, predicted, 1 - (q or 0), q or 0)
        each = dataclasses.replace(each, probabilities=probabilities)
        errors(each, each.classes, ImageCounts(name, SIZE, np.zeros(0), np.zeros(0)))
    rows = list(csv.DictReader(errors.table().splitlines()))
    assert [row["name"] for row in rows] == ["b, c", "a"]
    assert rows[0] == {
        "name": "b, c",
        "score": "0.9000",
        "label": "class 1",
        "predicted": "class 2",
        "certainty": "0.9000",
        "pixels": "256",
        "left": "20",
        "top": "10",
        "right": "36",
        "bottom": "26",
    }
    assert [error.name for error in errors.pictured()] == ["b, c", "a"]


@pytest.mark.nightly
@pytest.mark.slow
def test_planted_label_errors_come_first(tmp_path):
    """Of 300 scenes, 20 have an object that is labeled as another."""
    names = planted.build(tmp_path / "data", size=300, planted=20)
    records = str(tmp_path / "data" / "records")
    planted.train(records, tmp_path / "run")
    evaluate(
        EvalConfig(
            checkpoint_dir=str(tmp_path / "run"),
            eval_logdir=str(tmp_path / "eval"),
            eval_split="train",
            data=DataConfig(dataset_dir=records),
            report=True,
        )
    )
    with (tmp_path / "eval" / "label_errors.csv").open() as file:
        first = [row["name"] for row in csv.DictReader(file)][:30]
    assert len(names & set(first)) >= 15
