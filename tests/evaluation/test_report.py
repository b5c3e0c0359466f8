"""Scores as tables and files."""

import dataclasses
import json

import numpy as np
import pytest

from deeplab_tf.data.specs import shapes
from deeplab_tf.evaluation import report
from deeplab_tf.evaluation.confusion import Confusion

SPEC = dataclasses.replace(
    shapes.SPEC, classes=("ground", "ball", "box"), palette=shapes.SPEC.palette[:3]
)
CONFUSION = np.array([[3, 1, 0], [1, 4, 0], [0, 0, 0]])


def counted(matrix, **trimaps):
    confusion = Confusion(SPEC)
    confusion.matrix, confusion.num_images = matrix, 7
    confusion.trimaps = {int(w[1:]): np.array(near) for w, near in trimaps.items()}
    return confusion


def test_the_table_names_the_classes_and_marks_what_is_undefined():
    lines = report.table(CONFUSION, SPEC).splitlines()
    assert lines[1].split() == ["0", "ground", "60.00", "75.00", "75.00", "44.44"]
    assert lines[3].split() == ["2", "box", "-", "-", "-", "0.00"]
    assert lines[4].startswith("mIoU 0.6333 over 2 classes, pixel accuracy 0.7778")


def test_the_summary_has_names_and_null_for_what_is_undefined():
    scores = report.summary(counted(CONFUSION))
    assert "trimap_miou" not in scores
    assert scores["miou"] == pytest.approx((3 / 5 + 4 / 6) / 2)
    assert scores["pixel_accuracy"] == pytest.approx(7 / 9)
    assert scores["iou"]["ground"] == pytest.approx(0.6)
    assert scores["iou"]["box"] is None
    assert scores["num_images"] == 7


def test_trimaps_have_a_score_each_or_null():
    none = np.zeros((3, 3), int)
    scores = report.summary(
        counted(CONFUSION, w2=[[1, 1, 0], [0, 2, 0], [0] * 3], w4=none)
    )
    assert scores["trimap_miou"] == {"2": pytest.approx((1 / 2 + 2 / 3) / 2), "4": None}


def test_confusions_are_compared_line_by_line():
    band = [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    worse = [[0, 1, 0], [1, 1, 0], [0, 0, 0]]
    text = report.comparison(
        {
            "without CRF": counted(CONFUSION, w2=band),
            "with CRF": counted(CONFUSION.T + 1, w2=worse),
        }
    )
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["without", "CRF", "with", "CRF"]
    # With: rows 4 2 1, 2 5 1, 1 1 1.
    assert lines[1][-2:] == ["0.6333", f"{(4 / 10 + 5 / 11 + 1 / 5) / 3:.4f}"]
    assert lines[2][-2:] == ["0.7778", f"{10 / 18:.4f}"]
    # Within 2, with: no hit of 2 in the first class, 1 of 3 in the second.
    assert " ".join(lines[3]) == (
        "mIoU within 2 of a boundary (33.3 % of the pixels) 0.5000 0.1667"
    )


def test_files_are_written_and_parse(tmp_path):
    scores = report.summary(counted(CONFUSION))
    report.write(tmp_path / "eval", scores, CONFUSION, step=5, tag="miou_1.0")
    folder = tmp_path / "eval"
    assert json.loads((folder / "metrics.json").read_text()) == scores
    read = np.loadtxt(folder / "confusion_matrix.csv", int, delimiter=",")
    np.testing.assert_array_equal(read, CONFUSION)
    assert list(folder.glob("events*"))


@pytest.mark.parametrize(
    ("confusion", "warns"),
    [
        ([[90, 0, 0], [10, 0, 0], [0, 0, 0]], True),
        ([[90, 0, 0], [9, 1, 0], [0, 0, 0]], False),
        ([[90, 0, 0], [0, 0, 0], [0, 0, 0]], False),
    ],
)
def test_predictions_of_one_class_are_warned_of(confusion, warns, caplog):
    report.warn_of_collapse(np.array(confusion), SPEC)
    assert ("predicted as 0 ground, and 90.0 % are that" in caplog.text) == warns
