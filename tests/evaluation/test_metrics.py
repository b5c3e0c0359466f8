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


def test_f1_and_kappa_are_those_of_all_pixels_one_by_one(rng):
    """F1 of precision and recall; kappa of pairs of raters drawn at random."""
    confusion = rng.integers(1, 9, (4, 4))
    confusion[3] = confusion[:, 3] = 0
    pixels = [
        (i, j) for i in range(4) for j in range(4) for _ in range(confusion[i, j])
    ]
    for label in range(3):
        both = sum(pair == (label, label) for pair in pixels)
        precision = both / sum(j == label for _, j in pixels)
        recall = both / sum(i == label for i, _ in pixels)
        expected = 2 * precision * recall / (precision + recall)
        assert metrics.f1(confusion)[label] == pytest.approx(expected)
    assert np.isnan(metrics.f1(confusion)[3])
    assert metrics.mean_f1(confusion) == pytest.approx(metrics.f1(confusion)[:3].mean())
    agree = sum(i == j for i, j in pixels) / len(pixels)
    chance = sum(i == j for i, _ in pixels for _, j in pixels) / len(pixels) ** 2
    assert metrics.kappa(confusion) == pytest.approx((agree - chance) / (1 - chance))


def test_kappa_of_a_guess_is_nothing_and_of_one_class_alone_not_defined():
    assert metrics.kappa(np.array([[1, 3], [2, 6]])) == pytest.approx(0)
    assert metrics.kappa(np.eye(3)) == 1
    assert np.isnan(metrics.kappa(np.array([[5, 0], [0, 0]])))


def test_groups_of_classes_are_summed():
    found = metrics.merge_classes(CONFUSION, np.array([1, 0, 1, 1]))
    assert found.tolist() == [[4, 1], [1, 4]]


def test_predictions_of_ignored_pixels_may_be_anything():
    found = metrics.confusion_matrix(np.array([255, 1]), np.array([255, 0]), 2, 255)
    assert found.tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("bad", [-1, 2, 1 << 40])
def test_bad_labels_are_told_whatever_is_predicted(bad):
    with pytest.raises(ValueError, match=rf"ids \[{bad}\] are no classes \(0 to 1\)"):
        metrics.confusion_matrix(np.array([bad, 0]), np.array([1, 0]), 2, 255)
    with pytest.raises(ValueError, match="are no classes"):
        metrics.confusion_matrix(np.array([bad, 0]), np.array([0, 0]), 2, 255)


def test_a_class_that_is_predicted_and_absent_counts_as_zero():
    confusion = np.array([[1, 1], [0, 0]])
    np.testing.assert_allclose(metrics.class_iou(confusion), [0.5, 0.0])
    assert metrics.mean_iou(confusion) == 0.25


def test_no_pixels_give_no_score_and_no_warning():
    nothing = np.zeros((3, 3), np.int64)
    assert np.isnan(metrics.mean_iou(nothing))
    assert np.isnan(metrics.pixel_accuracy(nothing))
    assert np.isnan(metrics.frequency_weighted_iou(nothing))
    assert np.isnan(metrics.mean_f1(nothing))
    assert np.isnan(metrics.kappa(nothing))


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
