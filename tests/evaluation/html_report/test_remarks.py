"""What asks for a second look is told, and what would do."""

import numpy as np
import pytest

from deeplab_tf.evaluation import metrics
from deeplab_tf.evaluation.html_report import remarks
from deeplab_tf.evaluation.image_counts import ImageCounts
from tests.evaluation.html_report.synthetic import (
    evaluate,
    noisy,
    prediction,
    spec_of,
)


def titles(spec, predictions, split="val"):
    evaluation = evaluate(spec, predictions)
    return [each.title for each in remarks.remarks(evaluation, split)]


def test_a_good_evaluation_of_many_images_has_no_remarks():
    spec = spec_of(4)
    some = noisy(spec, 30, wrong=0.1)
    assert titles(spec, (_calibrated(each) for each in some)) == []


def _calibrated(each):
    each.confidence[:] = 0.92
    return each


def test_a_collapse_is_told():
    spec = spec_of(3)
    label = np.zeros((20, 20), int)
    label[10:] = 2
    told = titles(spec, [prediction(label, 0 * label)] * 2)
    assert told[0] == "Nearly all is predicted as one class"
    assert not any("never" in title for title in told)


@pytest.mark.parametrize(
    "order", [(0, 2, 1, 3), (1, 2, 3, 0), (1, 0, 3, 2)], ids=("swap", "shift", "pairs")
)
def test_permuted_ids_are_told(order):
    spec = spec_of(4)
    some = []
    for each in noisy(spec, 8, wrong=0.1):
        some.append(prediction(each.label, np.array(order)[each.classes]))
    evaluation = evaluate(spec, some)
    moved = remarks.permuted_ids(evaluation.confusion.matrix)
    assert moved == {i: j for i, j in enumerate(order) if i != j}
    assert "The ids of classes are probably permuted" in titles(spec, some)


@pytest.mark.parametrize(
    "matrix",
    [
        [[90, 5, 5], [60, 30, 10], [70, 10, 20]],  # All goes into one class.
        [[99, 1, 0], [10, 90, 0], [4, 80, 16]],  # One class is another's.
        [[50, 50, 0], [50, 50, 0], [0, 0, 9]],
        [[100000, 0, 0], [0, 4, 6], [0, 5, 5]],
    ],
)
def test_mistakes_are_no_permutation(matrix):
    assert remarks.permuted_ids(np.array(matrix)) == {}


def test_one_image_that_decides_a_class_is_the_one_of_brute_force():
    rng = np.random.default_rng(4)
    matrices = rng.integers(0, 30, (7, 4, 4)) + 100 * np.eye(4, dtype=int)
    matrices[:, 3] = matrices[:, :, 3] = 0
    matrices[2, 3, 3], matrices[5, 3, 1] = 400, 300  # Two images have class 3.
    matrices[4, 1, 2] = 2000
    images = [ImageCounts.of(f"image {i}", (9, 9), m) for i, m in enumerate(matrices)]
    lines = remarks.deciding_images(images, 4)
    expected = []
    whole = metrics.class_iou(matrices.sum(axis=0))
    for label in range(4):
        changes = []
        for i in range(7):
            rest = metrics.class_iou(np.delete(matrices, i, axis=0).sum(axis=0))
            changes.append((abs(rest[label] - whole[label]), i, rest[label]))
        change, i, rest = max(changes, key=lambda change: change[0])
        if change >= 0.1:
            expected.append((label, i, whole[label], rest))
    assert len(expected) >= 2
    for line, other in zip(sorted(lines), sorted(expected), strict=True):
        assert line == pytest.approx(other)


def test_a_class_of_one_image_is_told_by_its_name():
    spec = spec_of(3)
    label = np.zeros((20, 20), int)
    other = label.copy()
    other[5:15] = 2
    some = [prediction(label, name=f"photo {i}") for i in range(3)]
    evaluation = evaluate(spec, [*some, prediction(other, name="photo of 2")])
    told = {each.title: each for each in remarks.remarks(evaluation, "val")}
    assert (
        "class 2 (100 %) is in photo of 2 alone"
        in told["One image decides the IoU of 1 class"].what
    )


@pytest.mark.parametrize(
    ("count", "split", "title"),
    [
        (1, "val", "One image"),
        (3, "val", "3 images leave the score uncertain"),
        (3, "train", "These are images of the training"),
    ],
)
def test_what_the_images_are_is_told(count, split, title):
    spec = spec_of(6)
    assert title in titles(spec, noisy(spec, count, wrong=0.5), split)


def test_a_network_that_is_too_sure_is_told():
    spec = spec_of(3)
    told = titles(spec, noisy(spec, 12, wrong=0.6))
    assert "The network is too sure of itself" in told


def test_a_class_that_is_never_predicted_is_told():
    spec = spec_of(3)
    label = np.zeros((20, 20), int)
    label[10:], label[:3] = 1, 2
    told = titles(spec, [prediction(label, np.where(label == 2, 0, label))] * 2)
    assert "1 class is never predicted" in told
