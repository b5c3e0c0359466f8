"""What a run's log says: which evaluation scored best, and whether patience is lost."""

import dataclasses

import pytest

from deeplab_tf.checkpoints import best_metric, run_log
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import FlagError


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([0.1, 0.2, 0.2, 0.1], 2, True),  # As good is not better.
        ([0.1, 0.2, 0.2, 0.1], 3, False),
        ([0.3, 0.2, 0.4], 2, False),
        ([0.3, 0.2, 0.1], 2, True),
        ([0.3, 0.2, 0.1], 0, False),
        ([None, None, None], 2, False),  # No score is no score that is not better.
        ([0.3, None, None], 2, False),
        ([0.3, None, 0.2, None, 0.1], 2, True),
        ([None, 0.0], 1, False),
        ([], 1, False),
    ],
)
def test_patience_counts_evaluations_since_the_best(scores, patience, expected):
    by_step = {100 * (i + 1): miou for i, miou in enumerate(scores)}
    assert run_log.is_out_of_patience(by_step, patience) == expected
    shuffled = dict(reversed(by_step.items()))
    assert run_log.is_out_of_patience(shuffled, patience) == expected


def test_the_best_is_the_first_of_equal_ones():
    assert run_log.best({300: 0.2, 100: 0.1, 200: 0.2}) == (200, 0.2)
    assert run_log.best({100: None, 200: 0.0, 300: None}) == (200, 0.0)
    assert run_log.best({100: None}) is None


LINES = (
    b'{"step": 2, "loss": 1.5}\n'
    b'{"step": 2, "miou": 0.5, "iou": {"ball": 0.1, "box": null}}\n'
    b"\x00\x00\n"
    b'{"step": 4, "miou": 0.4, "iou": {"ball": 0.7, "box": 0.0}, '
    b'"boundary_miou": 0.2}\n'
    b'{"step": "five"}\n'
    b'{"step": 6, "mi'
)


@pytest.mark.parametrize(
    ("metric", "expected", "top"),
    [
        ("miou", {2: 0.5, 4: 0.4}, (2, 0.5)),
        ("class:ball", {2: 0.1, 4: 0.7}, (4, 0.7)),
        ("class:box", {2: None, 4: 0.0}, (4, 0.0)),
        ("class:cone", {2: None, 4: None}, None),
        ("boundary_iou", {2: None, 4: 0.2}, (4, 0.2)),
    ],
)
def test_each_metric_has_its_own_best(tmp_path, metric, expected, top):
    (tmp_path / run_log.FILE).write_bytes(LINES)
    assert run_log.scores(tmp_path, metric) == expected
    assert run_log.best(expected) == top


def test_damaged_lines_are_counted_and_half_of_the_last_is_not():
    assert len(run_log.parse(LINES)) == 3
    assert run_log.count_damaged(LINES) == 2
    assert run_log.count_damaged(b"") == 0


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            "class:bal",
            r"--best_metric=class:bal: no class of shapes; did you mean class:ball",
        ),
        (
            "class:zebra",
            r"no class of shapes; it has ground, ball, box, ring, cone, star$",
        ),
    ],
)
def test_a_class_that_there_is_not_is_told(metric, message):
    for known in ("miou", "boundary_iou", "class:ball"):
        best_metric.check(known, shapes_spec.SPEC)
    with pytest.raises(FlagError, match=message):
        best_metric.check(metric, shapes_spec.SPEC)


def test_a_class_that_is_ignored_has_no_score():
    spec = dataclasses.replace(shapes_spec.SPEC, ignore_label=0)
    with pytest.raises(
        FlagError, match="its id 0 is the ignore label, which has no IoU"
    ):
        best_metric.check("class:ground", spec)
