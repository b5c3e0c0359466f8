"""Scores that one can do on paper, and the official ones."""

import numpy as np
import pytest

from deeplab_tf.evaluation import metrics
from tests.recorded import golden, settings

# Rows are the truth: class 0 has 4 pixels, 1 has 5, 2 has 1, 3 none.
CONFUSION = np.array([[3, 1, 0, 0], [1, 4, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def test_a_confusion_matrix_counts_pairs_and_leaves_out_the_ignored():
    label = np.array([[0, 1, 255], [1, 2, 0]])
    predicted = np.array([[0, 2, 1], [1, 2, 1]])
    found = metrics.confusion_matrix(label, predicted, 3, 255)
    assert found.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert found.dtype == np.int64


def test_the_ignore_label_may_be_that_of_a_class():
    found = metrics.confusion_matrix(np.array([0, 1]), np.array([1, 1]), 2, 0)
    assert found.tolist() == [[0, 0], [0, 1]]


def test_labels_that_are_no_class_are_an_error():
    with pytest.raises(ValueError, match=r"ids \[7\] are no classes \(0 to 2\)"):
        metrics.confusion_matrix(np.array([0, 7]), np.array([0, 0]), 3, 255)


def test_iou_of_a_class_that_occurs_nowhere_is_not_a_number():
    found = metrics.class_iou(CONFUSION)
    np.testing.assert_allclose(found, [3 / 6, 4 / 6, 0, np.nan])


def test_means_by_hand():
    assert metrics.mean_iou(CONFUSION) == pytest.approx((3 / 6 + 4 / 6 + 0) / 3)
    assert metrics.pixel_accuracy(CONFUSION) == pytest.approx(7 / 10)
    assert metrics.mean_accuracy(CONFUSION) == pytest.approx((3 / 4 + 4 / 5 + 0) / 3)
    weighted = (4 * 3 / 6 + 5 * 4 / 6 + 1 * 0) / 10
    assert metrics.frequency_weighted_iou(CONFUSION) == pytest.approx(weighted)
    np.testing.assert_allclose(
        metrics.class_precision(CONFUSION), [3 / 5, 4 / 5, np.nan, np.nan]
    )


def test_a_class_that_is_predicted_and_absent_counts_as_zero():
    confusion = np.array([[1, 1], [0, 0]])
    np.testing.assert_allclose(metrics.class_iou(confusion), [0.5, 0.0])
    assert metrics.mean_iou(confusion) == 0.25


def test_no_pixels_give_no_score_and_no_warning():
    nothing = np.zeros((3, 3), np.int64)
    assert np.isnan(metrics.mean_iou(nothing))
    assert np.isnan(metrics.pixel_accuracy(nothing))
    assert np.isnan(metrics.frequency_weighted_iou(nothing))


@pytest.mark.golden
@pytest.mark.parametrize("ignored", [255, 0])
def test_scores_are_the_official_ones(ignored):
    data = golden("misc_metrics.npz")
    recorded = settings(data, "result_json")[f"ignore{ignored}"]
    # With ignore label 0, the recorded run had void pixels as 0, too.
    label = np.where(data["labels"] == 255, ignored, data["labels"])
    classes = int(data["num_classes"])
    confusion = metrics.confusion_matrix(label, data["predictions"], classes, ignored)
    assert metrics.mean_iou(confusion) == pytest.approx(recorded["mean_iou"], abs=1e-6)
    iou = metrics.class_iou(confusion)
    occurs = ~np.isnan(recorded["per_class"])
    np.testing.assert_allclose(
        iou[occurs], np.array(recorded["per_class"])[occurs], atol=1e-6
    )
