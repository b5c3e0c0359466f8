"""Recipes of CONTRIBUTING.md and docs/extending.md are followed to the letter."""

import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.data import spec
from tests.recorded import ROOT

PAGES = "".join(
    (ROOT / page).read_text() for page in ("CONTRIBUTING.md", "docs/extending.md")
)
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
TITLES = {
    "A backbone": "toy",
    "A head": "toy_head",
    "A data set": "toy",
    "A loss": "toy",
    "An export format": "toy",
}
COPIED = ("deeplab_tf", "datasets", "docs", "tests", "setup.cfg")


class Edit(NamedTuple):
    """A numbered step: a file, and its content (python) or a change of it (diff)."""

    path: str
    kind: str
    text: str


class Recipe(NamedTuple):
    """A section of the page, its edits, and the files of tests that it names.

    Those of `at_night` take a minute.
    """

    section: str
    edits: list[Edit]
    tests: list[str]
    at_night: list[str]


def recipe(title):
    section = PAGES.split(f"\n## {title}\n")[1].split("\n## ")[0]
    steps = re.findall(
        r"^\d\. `([^`]+)`:.*?^```(\w+)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE
    )
    last = section[section.index("Then these run:") :]
    return Recipe(
        section=section,
        edits=[Edit(*step) for step in steps],
        tests=re.findall(r"`(tests/[\w/]+\.py)`", last.split("; and")[0]),
        at_night=re.findall(r"; and\n?.*?`(tests/[\w/]+\.py)`", last),
    )


def make(edit, root):
    """Makes one edit; a file must be new, and a change must fit in one place."""
    path = root / edit.path
    if edit.kind == "python":
        assert not path.exists()
        path.write_text(edit.text)
        return
    for hunk in edit.text.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        text = path.read_text()
        assert text.count(before) == 1, (edit.path, before)
        path.write_text(text.replace(before, after))


@pytest.fixture
def extended(tmp_path):
    """A copy of the project in which all recipes were followed."""
    for name in (*COPIED, *(script.name for script in ROOT.glob("*.py"))):
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy(source, target)
    for title in TITLES:
        for edit in recipe(title).edits:
            make(edit, tmp_path)
    return tmp_path


def run(root, *command):
    """Runs Python in the copy, which is the project there; gives what it prints."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def passed(root, tests):
    """Ids of the tests of what was added that ran, and passed, in the copy."""
    options = ["-p", "no:xdist", "-p", "no:cacheprovider", "-vk", "toy"]
    options += ["-o", "addopts=--import-mode=importlib"]  # One process does.
    printed = run(root, "-m", "pytest", *options, *tests)
    return re.findall(r"^(\S+::.*?) PASSED", printed, re.MULTILINE)


@pytest.mark.parametrize("title", TITLES)
def test_a_recipe_has_as_many_edits_as_it_says(title):
    edits = recipe(title).edits
    number = re.search(r"^(\w+) edits:", recipe(title).section, re.MULTILINE)[1]
    assert len(edits) == NUMBERS.index(number.lower())
    assert len({edit.path for edit in edits}) == len(edits)


@pytest.mark.nightly
@pytest.mark.slow
def test_every_file_that_a_recipe_names_tests_what_it_adds(extended):
    # All at once: TensorFlow takes as long to start as the tests take.
    tests = passed(extended, {path for title in TITLES for path in recipe(title).tests})
    for title, name in TITLES.items():
        for path in recipe(title).tests:
            ids = [test.split("::")[1] for test in tests if test.startswith(path)]
            assert any(re.search(rf"(\b|_){name}(\b|_data)", test) for test in ids), (
                title,
                path,
            )


@pytest.mark.nightly
@pytest.mark.parametrize("title", [t for t in TITLES if recipe(t).at_night])
def test_what_a_recipe_adds_passes_what_runs_at_night(title, extended):
    (path,) = recipe(title).at_night
    assert passed(extended, [path])


@pytest.mark.slow
def test_the_builder_of_the_recipe_makes_records(extended, rng):
    for split, count in {"train": 4, "val": 2}.items():
        for folder in ("images", "labels"):
            (extended / "toy" / folder / split).mkdir(parents=True)
        for i in range(count):
            image = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
            mask = np.resize(np.arange(3, dtype=np.uint8), (20, 30))
            for folder, pixels in (("images", image), ("labels", mask)):
                path = extended / "toy" / folder / split / f"{split}_{i}.png"
                Image.fromarray(pixels).save(path)
    run(extended, "-m", "deeplab_tf.datasets.build_toy_data", "--output_dir=records")
    described = spec.load(extended / "records")
    assert described.name == "toy"
    assert described.pixel_counts == {"train": (800, 800, 800), "val": (400, 400, 400)}
