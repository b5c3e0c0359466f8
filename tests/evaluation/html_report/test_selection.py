"""The images that a report shows are the worst and the best of all."""

import numpy as np
import pytest

from deeplab_tf.evaluation import metrics
from deeplab_tf.evaluation.html_report import pictures
from deeplab_tf.evaluation.html_report.pictures import Picture
from deeplab_tf.evaluation.html_report.top import Top
from tests.evaluation.html_report.synthetic import noisy, observe, spec_of


@pytest.mark.parametrize("most", [0, 1, 3, 50])
def test_the_best_few_are_those_of_sorting(most, rng):
    scores = rng.integers(0, 9, 40).tolist()
    top = Top(most)
    for i, score in enumerate(scores):
        top.put(score, i)
    order = sorted(range(40), key=lambda i: (-scores[i], i))
    assert top.ranked() == order[:most]
    if 0 < most < 40:
        least = scores[order[most - 1]]
        assert not top.takes(least)
        assert top.takes(least + 1)


@pytest.fixture
def undrawn(monkeypatch):
    """Leaves out what takes long."""
    empty = Picture(panels=(), classes=())
    monkeypatch.setattr(pictures, "draw", lambda *args, **settings: empty)


def test_worst_and_best_images_are_those_of_all(undrawn):
    spec = spec_of(4)
    evaluation, observers = observe(spec, noisy(spec, 40))
    matrices = [each.matrix(4) for each in evaluation.images]
    wrong = [1 - np.trace(matrix) / matrix.sum() for matrix in matrices]
    order = sorted(range(40), key=lambda i: (-wrong[i], i))
    selection = observers.selection
    assert [each.number for each in selection.worst] == order[:12]
    mious = [metrics.mean_iou(matrix) for matrix in matrices]
    order = sorted(range(40), key=lambda i: (-mious[i], wrong[i], i))
    assert [each.number for each in selection.best] == order[:6]
    for label in range(4):
        iou = [metrics.class_iou(matrix)[label] for matrix in matrices]
        worst, best = selection.of_class(label)
        assert [i.iou(label, 4) for i in worst] == sorted(iou)[:2]
        assert best[0].iou(label, 4) == max(iou)


def test_a_picture_shows_image_truth_prediction_and_errors():
    spec = spec_of(4)
    _, observers = observe(spec, noisy(spec, 3))
    picture = observers.selection.worst[0].picture
    titles = [panel.title for panel in picture.panels]
    assert titles == ["image", "truth", "prediction", "errors"]
    assert all(panel.size == (256, 183) for panel in picture.panels)
    assert all(panel.content.startswith(b"\xff\xd8") for panel in picture.panels)


def test_pictures_do_not_grow_with_the_images(undrawn):
    spec = spec_of(3)
    kept = set()
    for count in (30, 60):
        _, observers = observe(spec, noisy(spec, count))
        selection = observers.selection
        shown = {each.number for each in (*selection.worst, *selection.best)}
        for label in range(3):
            for some in selection.of_class(label):
                shown |= {each.number for each in some}
        kept.add(len(shown) <= 12 + 6 + 3 * 3)
    assert kept == {True}
