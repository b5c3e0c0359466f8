"""The newcomer's page, followed to the letter on twenty small pictures."""

import json
import re
import runpy
import shlex
import sys

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.checkpoints import reader
from deeplab_tf.data import image_files
from deeplab_tf.data import spec as specs
from tests.recorded import ROOT, SHARED

CHECKPOINT = "deeplabv3_mnv2_pascal_train_aug"
# What makes minutes of hours: added to what the page says, and nothing else is changed.
SMALLER = {
    "train.py": (
        "--training_number_of_steps=4 --train_batch_size=2 --train_crop_size=65 "
        "--min_resize_value=64 --max_resize_value=96 --log_steps=2"
    )
}
NARROWER = {"train.py": f"{SMALLER['train.py']} --depth_multiplier=0.25"}


def commands():
    """Those of the page, in order, as lists of words."""
    text = (ROOT / "docs" / "own_data.md").read_text().replace("\\\n", " ")
    lines = re.findall(r"^    (python .*)$", text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


def draw(folder):
    """Twenty scenes: ground, and on it a red or a green thing with an outline."""
    (folder / "photos").mkdir()
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    for number in range(1, 21):
        label = np.zeros((48, 64), np.uint8)
        top, left = rng.integers(4, 20, 2)
        label[top - 1 : top + 21, left - 1 : left + 25] = 255
        label[top : top + 20, left : left + 24] = 1 + number % 2
        colors = np.array([[90, 90, 90], [200, 60, 60], [60, 180, 60]])
        pixels = colors[np.where(label == 255, 0, label)] + rng.integers(
            -40, 40, (48, 64, 3)
        )
        photo = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        photo.save(folder / "photos" / f"{number:04d}.jpg")
        (folder / "masks" / f"{number:04d}.png").write_bytes(image_files.png(label))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A checkout with photographs and masks in it, as the current folder."""
    for name in ("datasets", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("train", "eval", "vis", "export"):
        (tmp_path / f"{name}.py").symlink_to(ROOT / f"{name}.py")
    draw(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def follow(command, monkeypatch, more):
    """Runs a command as `python` would; it may not fail."""
    script, *arguments = command
    arguments += shlex.split(more.get(script, ""))
    is_module = script == "-m"
    if is_module:
        script, *arguments = arguments
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    # Another test may have imported it, which `runpy` warns of.
    monkeypatch.delitem(sys.modules, "deeplab_tf.data.__main__", raising=False)
    run = runpy.run_module if is_module else runpy.run_path
    run(script, run_name="__main__")


def of(script):
    return [command for command in commands() if script in command[:2]]


def test_the_page_has_five_steps_with_the_commands_of_each():
    page = (ROOT / "docs" / "own_data.md").read_text()
    assert [int(n) for n in re.findall(r"^## (\d)\. ", page, re.MULTILINE)] == [
        *range(1, 6)
    ]
    assert [name_of(command) for command in commands()] == [
        "datasets/build_folder_data.py",
        "deeplab_tf.data",
        "train.py",
        "train.py",
        "eval.py",
        "vis.py",
        "export.py",
        "examples/predict.py",
    ]


def name_of(command):
    return command[1] if command[0] == "-m" else command[0]


@pytest.mark.nightly
def test_the_page_leads_from_a_folder_to_a_model_without_a_checkpoint(
    place, monkeypatch
):
    with_checkpoint, _ = of("train.py")
    for command in commands():
        if command != with_checkpoint:
            follow(command, monkeypatch, NARROWER)
    spec = specs.load(place / "records")
    assert spec.classes == ("background", "cat", "dog")
    assert spec.split_sizes == {"train": 16, "val": 4}
    assert "<html" in (place / "records" / "check.html").read_text()
    assert reader.newest("run").endswith("model.ckpt-4")
    scores = json.loads((place / "run" / "eval" / "metrics.json").read_text())
    assert scores["num_images"] == 4
    assert list(scores["iou"]) == ["background", "cat", "dog"]
    assert len(list((place / "pictures").rglob("*_overlay.png"))) == 4
    labels = (place / "exported" / "assets" / "labels.txt").read_text().split()
    assert labels == ["background", "cat", "dog"]
    with Image.open(place / "prediction.png") as prediction:
        assert prediction.size == (64, 48)


@pytest.mark.nightly
def test_training_starts_from_the_checkpoint_of_the_page(place, monkeypatch, caplog):
    weights = SHARED / "weights" / "mobilenet_v2_voc"
    if not weights.is_dir():
        pytest.skip("../shared, with Google's checkpoint, is not on this machine")
    (place / CHECKPOINT).symlink_to(weights)
    with_checkpoint, _ = of("train.py")
    follow(commands()[0], monkeypatch, SMALLER)
    follow(with_checkpoint, monkeypatch, SMALLER)
    assert re.search(r"Restored \d{3}/\d{3} weights", caplog.text)
    assert reader.newest("run").endswith("model.ckpt-4")
