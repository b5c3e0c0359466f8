"""Curves of a run: one picture, of whatever its log says."""

import json
import math
import re
import xml.etree.ElementTree as ET

import pytest

from deeplab_tf.checkpoints import run_curves

SVG = "{http://www.w3.org/2000/svg}"


def drawn(folder, lines, metric="miou"):
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    run_curves.write(folder, metric)
    return ET.parse(folder / "curves.svg").getroot()


def titles(root):
    texts = root.iter(f"{SVG}text")
    return [text.text for text in texts if text.get("class") == "heading"]


def paths(root, kind):
    """Of the lines of a kind, the places of their points."""
    found = [p for p in root.iter(f"{SVG}path") if p.get("class") == kind]
    return [
        [tuple(map(float, place.split())) for place in path.get("d")[1:].split("L")]
        for path in found
    ]


def test_losses_rates_and_scores_are_drawn_over_the_steps(tmp_path):
    lines = [
        {"step": step, "loss": 4 - step / 10, "regularization": 1, "learning_rate": 0.1}
        for step in (10, 20, 30)
    ]
    lines += [{"step": 20, "miou": 0.25}, {"step": 30, "miou": 0.5}]
    root = drawn(tmp_path, lines)
    assert titles(root) == [
        "Loss; regularization in gray",
        "Learning rate",
        "mIoU, best 50.00 % at step 30",
    ]
    loss, rate, score = paths(root, "main")
    assert loss[0][1] < loss[1][1] < loss[2][1]  # Downwards, that is.
    assert loss[1][0] - loss[0][0] == pytest.approx(loss[2][0] - loss[1][0], abs=0.1)
    assert len({top for _, top in rate}) == 1
    (left, low), (right, high) = score
    assert (left, right) == (loss[1][0], loss[2][0])
    # Scores go from 0 to 1: half is in the middle.
    bottom, top = low + (low - high), high - 2 * (low - high)
    assert 0 < top < high < low < bottom < 240


def test_another_metric_stands_before_the_miou(tmp_path):
    name = "class:a<b&c"
    lines = [
        {"step": step, "miou": 0.5, "iou": {"a<b&c": step / 10}} for step in (1, 2)
    ]
    root = drawn(tmp_path, lines, name)
    assert titles(root) == ["IoU of a<b&c, best 20.00 % at step 2; mIoU in gray"]
    assert len(paths(root, "main")) == len(paths(root, "other")) == 1


def test_a_long_run_is_drawn_as_means(tmp_path):
    lines = [{"step": step, "loss": step % 2} for step in range(1, 4001)]
    (line,) = paths(drawn(tmp_path, lines), "main")
    assert len(line) == 400
    assert len({top for _, top in line}) == 1  # Of ten, each mean is a half.


@pytest.mark.parametrize(
    "lines",
    [
        [{"step": 1, "loss": None}],
        [{"step": 1, "loss": 1.0}, {"step": 2, "loss": None}, {"step": 3, "loss": 2}],
        [{"step": 0, "loss": 0.0, "learning_rate": 0.0}],
        [{"step": 1, "miou": None}],
        [{"step": 1, "loss": 1e30, "learning_rate": 1e-30}],
    ],
)
def test_whatever_there_is_is_drawn(tmp_path, lines):
    root = drawn(tmp_path, lines)
    assert titles(root)
    numbers = re.findall(r'"(-?nan|-?inf)', ET.tostring(root, "unicode"))
    assert not numbers
    assert math.isfinite(float(root.get("height")))


def test_without_a_log_nothing_is_drawn_and_a_full_disk_is_told(tmp_path, caplog):
    run_curves.write(tmp_path)
    assert not (tmp_path / "curves.svg").exists()
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    (tmp_path / "curves.svg").mkdir()  # Nothing can be written there.
    run_curves.write(tmp_path)
    assert "curves.svg could not be written" in caplog.text


def test_the_file_is_readable_in_light_and_dark_and_needs_nothing_else(tmp_path):
    drawn(tmp_path, [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}])
    text = (tmp_path / "curves.svg").read_text()
    assert "prefers-color-scheme: dark" in text
    assert "<script" not in text
    assert re.findall(r"https?://[^\"' ]+", text) == ["http://www.w3.org/2000/svg"]
