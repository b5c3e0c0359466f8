"""Scores as tables and files."""

import dataclasses
import json
import re

import numpy as np
import pytest

from deeplab_tf.data.specs import cityscapes, shapes
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


def rows(confusion, spec=SPEC):
    """Cells of the table, and numbers of the lines below it by title."""
    table = [
        re.split(r"  +", line.strip())
        for line in report.table(confusion, spec).splitlines()
    ]
    return table[: spec.num_classes + 1], dict(table[spec.num_classes + 1 :])


def test_the_table_has_named_columns_in_percent_and_marks_what_is_undefined():
    lines, _ = rows(CONFUSION)
    scores = ["IoU %", "precision %", "recall %", "F1 %", "share %"]
    assert lines[0] == ["id", "class", *scores]
    assert lines[1] == ["0", "ground", "60.00", "75.00", "75.00", "75.00", "44.44"]
    assert lines[3] == ["2", "box", "-", "-", "-", "-", "0.00"]
    # Of the first class, 3 of 5 predicted pixels are right, and 3 of 4 are there.
    lines, _ = rows(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    assert lines[1][2:6] == ["50.00", "60.00", "75.00", "66.67"]


def test_the_header_stands_over_its_columns():
    lines = report.table(CONFUSION, SPEC).splitlines()[:4]
    assert len({len(line) for line in lines}) == 1


def test_means_are_over_all_classes_where_all_occur():
    _, means = rows(np.array([[3, 1, 0], [1, 4, 0], [0, 0, 2]]))
    assert means == {
        "mIoU over all 3 classes": "75.56",  # Of 3/5, 4/6 and 1.
        "pixel accuracy": "81.82",
        "mean recall": "85.00",
        "frequency weighted IoU": "70.30",
        "mean F1": "85.00",  # Of 6/8, 8/10 and 1.
        "Cohen's kappa": "71.05",  # 99/121 agree, 45/121 by chance: 54/76.
    }


@pytest.mark.parametrize(
    ("confusion", "ignored", "expected"),
    [
        # Absent, and never predicted.
        (
            CONFUSION,
            255,
            {"the 2 classes that occur": 63.33, "all 3, absent ones as 0": 42.22},
        ),
        # Absent, and predicted: 0, as the official evaluation has it.
        (
            [[3, 1, 0], [1, 4, 1], [0, 0, 0]],
            255,
            {"the 2 classes that occur": 58.57, "all 3": 39.05},
        ),
        # One of each.
        (
            [[3, 1, 0], [0, 0, 0], [0, 0, 0]],
            255,
            {
                "the 1 class that occurs": 75.0,
                "the 2 that occur or are predicted": 37.5,
                "all 3, absent ones as 0": 25.0,
            },
        ),
        # The ignore label is the id of a class, which is none of them.
        ([[0, 0, 0], [0, 4, 1], [0, 0, 5]], 0, {"all 2 classes": 81.67}),
    ],
)
def test_where_classes_are_absent_each_mean_is_told(confusion, ignored, expected):
    spec = dataclasses.replace(SPEC, ignore_label=ignored)
    _, means = rows(np.array(confusion), spec)
    told = {t.removeprefix("mIoU over "): v for t, v in means.items() if "mIoU" in t}
    assert told == {title: f"{value:.2f}" for title, value in expected.items()}


def test_no_pixel_has_no_score():
    _, means = rows(np.zeros((3, 3), int))
    assert set(means.values()) == {"-"}


def test_the_summary_has_names_and_null_for_what_is_undefined():
    scores = report.summary(counted(CONFUSION))
    assert "trimap_miou" not in scores
    assert scores["miou"] == pytest.approx((3 / 5 + 4 / 6) / 2)
    assert scores["miou_of_occurring"] == scores["miou"]
    assert scores["pixel_accuracy"] == pytest.approx(7 / 9)
    assert scores["iou"]["ground"] == pytest.approx(0.6)
    assert scores["iou"]["box"] is None
    assert scores["num_images"] == 7


def test_details_are_those_of_each_class_by_name():
    scores = report.details(counted(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]])))
    assert scores["precision"] == {"ground": 0.6, "ball": 0.8, "box": None}
    assert scores["recall"] == {"ground": 0.75, "ball": 4 / 6, "box": None}
    f1 = {"ground": pytest.approx(6 / 9), "ball": pytest.approx(8 / 11), "box": None}
    assert scores["f1"] == f1
    assert scores["share"] == {"ground": 0.4, "ball": 0.6, "box": 0}
    assert scores["mean_f1"] == pytest.approx((6 / 9 + 8 / 11) / 2)
    # 7 of 10 agree; by chance (4 * 5 + 6 * 5) / 100.
    assert scores["kappa"] == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert "categories" not in scores


def test_cityscapes_has_categories():
    """Road taken for sidewalk is right as flat; pole for wall is wrong."""
    matrix = np.zeros((19, 19), int)
    names = cityscapes.SPEC.classes
    road, sidewalk, pole, wall = (
        names.index(name) for name in ("road", "sidewalk", "pole", "wall")
    )
    matrix[road, sidewalk] = 3
    matrix[pole, wall], matrix[pole, pole] = 1, 1
    confusion = Confusion(cityscapes.SPEC)
    confusion.matrix = matrix
    categories = report.details(confusion)["categories"]
    assert list(categories["iou"]) == [
        *("flat", "construction", "object", "nature", "sky", "human", "vehicle")
    ]
    assert categories["iou"]["flat"] == 1
    assert categories["iou"]["construction"] == 0
    assert categories["iou"]["object"] == 0.5
    assert categories["iou"]["human"] is None
    assert categories["miou"] == 0.5
    table = report.table(matrix, cityscapes.SPEC)
    assert re.search(r"^mIoU over the 7 categories +50\.00$", table, re.MULTILINE)


def test_what_is_beside_the_table_is_told_as_far_as_it_is_known():
    scores = {"num_images": 10, "miou_interval": [0.5, 0.625]}
    assert report.beside_table(scores) == (
        "95 % interval of the mIoU: 50.00 to 62.50, by bootstrap over 10 images"
    )
    few = report.beside_table(scores | {"num_images": 9})
    assert few == "mIoU of 9 images: too few for an interval, which 10 give"
    scores |= {
        "boundary_miou": 0.0,
        "calibration": {"ece": 0.0125, "risk_coverage_area": 0.25},
    }
    assert report.beside_table(scores).splitlines()[1:] == [
        "boundary mIoU: 0.00",
        "calibration error (ECE): 1.25; area below the risk-coverage curve: 25.00",
    ]
    one = report.beside_table({"num_images": 1, "miou_interval": [0.5, 0.5]})
    assert one == "mIoU of one image: others could have any"


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
    assert lines[0] == ["in", "percent", "without", "CRF", "with", "CRF"]
    # With: rows 4 2 1, 2 5 1, 1 1 1.
    assert lines[1][-2:] == ["63.33", f"{100 * (4 / 10 + 5 / 11 + 1 / 5) / 3:.2f}"]
    assert lines[2][-2:] == ["77.78", "55.56"]
    # Within 2, with: no hit of 2 in the first class, 1 of 3 in the second.
    assert " ".join(lines[3]) == (
        "mIoU within 2 of a boundary (33.3 % of the pixels) 50.00 16.67"
    )


def test_files_are_written_and_parse(tmp_path):
    scores = report.summary(counted(CONFUSION))
    report.write(tmp_path / "eval", scores, counted(CONFUSION), step=5, tag="miou_1.0")
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
