"""What README and documents point at is there."""

import re

import pytest

import deeplab_tf
from deeplab_tf.files import RECIPES, find_recipe_file
from tests.recorded import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(RECIPES.rglob("*.flags")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_and_named_files_are_there(page):
    # What the recipes of CONTRIBUTING.md add is not there: tests/test_extending.py.
    text = re.sub(r"\w+(/\w+)*/(build_|to_)?toy\w*\.py", "", page.read_text())
    links = re.findall(r"\]\(([^)#]+)", text)
    for link in links:
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link
    for name in re.findall(
        r"(?:recipes|datasets|benchmarks|tests|docs)/[\w/]+\.\w+", text
    ):
        assert (ROOT / name).exists() or find_recipe_file(name).exists(), name
    for name in re.findall(r"--recipe=([\w/]+)", text):
        assert (RECIPES / f"{name}.flags").exists() or name.endswith("NAME"), name
    for name in re.findall(r"`([a-z]\w*/[\w/]+\.py)", text):
        assert (ROOT / name).exists() or (ROOT / "deeplab_tf" / name).exists(), name


def test_citation_and_changelog_name_the_version():
    assert (
        f"\nversion: {deeplab_tf.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    )
    assert f"\n## [{deeplab_tf.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_notice_names_every_photograph():
    named = re.findall(r"^docs/\S+\.jpg$", (ROOT / "NOTICE").read_text(), re.MULTILINE)
    photographs = (ROOT / "docs").rglob("*.jpg")
    assert sorted(named) == sorted(p.relative_to(ROOT).as_posix() for p in photographs)
