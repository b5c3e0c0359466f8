"""The newcomer's page, followed to the letter on twenty small pictures."""

import configparser
import importlib
import json
import re
import shlex
import sys

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.checkpoints import reader
from deeplab_tf.data import image_files
from deeplab_tf.data import spec as specs
from tests.recorded import ROOT, SHARED
from tests.serving import Server, tar

README, PAGE = ROOT / "README.md", ROOT / "docs" / "own_data.md"
ARCHIVE = "deeplabv3_mnv2_pascal_train_aug_2018_01_29.tar.gz"
# What makes minutes of hours: added to what the page says, and nothing else is changed.
SMALLER = {
    "deeplab-train": (
        "--training_number_of_steps=4 --train_batch_size=2 --train_crop_size=65 "
        "--min_resize_value=64 --max_resize_value=96 --log_steps=2"
    )
}
NARROWER = {"deeplab-train": f"{SMALLER['deeplab-train']} --depth_multiplier=0.25"}


def commands(page=PAGE, section=""):
    """Those of a page, or of a section of it, in order, as lists of words."""
    text = page.read_text().replace("\\\n", " ")
    if section:
        text = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = re.findall(
        r"^    ((?:python|deeplab-[\w-]+) .*?)(?: +#.*)?$", text, re.MULTILINE
    )
    return [shlex.split(line.removeprefix("python ")) for line in lines]


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
    """A folder with photographs and masks in it, as the current one."""
    draw(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def entry_points():
    """Command -> module and function."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options.entry_points"]["console_scripts"].strip().splitlines()
    return dict(line.split(" = ") for line in lines)


def follow(command, monkeypatch, more):
    """Runs a command as a shell would; it may not fail."""
    script, *arguments = command
    arguments += shlex.split(more.get(script, ""))
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    if script == "-m":
        module, *arguments = arguments
        assert not importlib.import_module(module).main(arguments)
        return
    module, function = entry_points()[script].split(":")
    getattr(importlib.import_module(module), function)()


def of(script):
    return [command for command in commands() if command[0] == script]


def test_the_page_has_five_steps_with_the_commands_of_each():
    page = (ROOT / "docs" / "own_data.md").read_text()
    assert [int(n) for n in re.findall(r"^## (\d)\. ", page, re.MULTILINE)] == [
        *range(1, 6)
    ]
    assert [name for name, *_ in commands()] == [
        "deeplab-build-folder",
        "deeplab-data",
        "deeplab-train",
        "deeplab-train",
        "deeplab-eval",
        "deeplab-vis",
        "deeplab-export",
        "-m",
    ]


def test_readme_and_page_have_the_same_commands():
    of_page = [c for c in commands() if c[0].startswith("deeplab-")]
    from_nothing = of("deeplab-train")[1]
    of_page.remove(from_nothing)
    assert commands(README, "Your own photographs: fine-tuning") == of_page
    assert {c[0] for c in of_page} <= entry_points().keys()


@pytest.mark.nightly
def test_the_page_leads_from_a_folder_to_a_model_without_a_checkpoint(
    place, monkeypatch
):
    with_checkpoint, _ = of("deeplab-train")
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
    files = [(f"voc/{path.name}", path.read_bytes()) for path in weights.iterdir()]
    server = Server()
    server.files[f"/{ARCHIVE}"] = tar("w:gz", *files)
    monkeypatch.setenv("DEEPLAB_TF_ZOO_URL", server.url)
    monkeypatch.setenv("DEEPLAB_TF_CACHE", str(place / "cache"))
    with_checkpoint, _ = of("deeplab-train")
    follow(commands()[0], monkeypatch, SMALLER)
    try:
        follow(with_checkpoint, monkeypatch, SMALLER)
    finally:
        server.close()
    assert re.search(r"Restored \d{3}/\d{3} weights", caplog.text)
    assert reader.newest("run").endswith("model.ckpt-4")
