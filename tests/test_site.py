"""The site has every page once, is whole without a network, and its notebooks run."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.recorded import ROOT

HOOK = runpy.run_path(str(ROOT / "docs/outside_pages.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def entries(nav):
    """Pages of a navigation, in order."""
    for item in nav:
        for value in item.values() if isinstance(item, dict) else [item]:
            yield from [value] if isinstance(value, str) else entries(value)


def test_every_page_stands_in_the_navigation_once():
    nav = list(entries(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert pages - set(nav) == set(), "give these a place in the nav of mkdocs.yml"
    assert set(nav) - pages == set(HOOK["PAGES"].values())
    assert len(nav) == len(set(nav))
    assert all((ROOT / path).exists() for path in HOOK["PAGES"])


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("docs/gpu.md", "training.md", "training.md"),
        ("docs/api.md", "../CHANGELOG.md", "changelog.md"),
        ("CHANGELOG.md", "docs/api.md", "api.md"),
        ("CONTRIBUTING.md", "CHANGELOG.md", "changelog.md"),
        ("examples/quickstart.ipynb", "fine_tune.ipynb", "fine_tune.md"),
        (
            "docs/client.md",
            "../deeplab_tf/runtime.py",
            "source/deeplab_tf/runtime.py.md",
        ),
        ("docs/serving.md", "../serving", "source/serving.md"),
    ],
)
def test_links_of_a_checkout_become_links_of_the_site(page, link, expected):
    assert HOOK["site_path"](page, link) == expected


def test_no_link_goes_to_a_heading_of_a_file_that_the_site_shows_as_code():
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / page for page in HOOK["PAGES"])]
    names = {page.relative_to(ROOT).as_posix(): page for page in pages}
    headings = [
        (name, link)
        for name, page in names.items()
        for link in re.findall(r"\]\(([^)\s#:]+)#", page.read_text())
    ]
    assert headings
    assert not [
        each for each in headings if HOOK["site_path"](*each).startswith("source/")
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_what_a_run_leaves(path):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert not [c for c in code if c["outputs"] or c["execution_count"] is not None]


@pytest.mark.nightly
def test_the_site_builds_strictly_and_fetches_nothing(tmp_path):
    for module in ("material", "mkdocstrings"):
        pytest.importorskip(module, reason="make docs installs it")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    subprocess.run([*command, f"--site-dir={tmp_path}"], cwd=ROOT, check=True)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").glob("*.md")))
    fetched = (
        r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//"
    )
    assert not [page for page in pages if re.search(fetched, page.read_text())]
    fetched = r"(?:url\(|@import\s+)[\"']?(?:https?:)?//"
    styles = list(tmp_path.rglob("*.css"))
    assert styles
    assert not [style for style in styles if re.search(fetched, style.read_text())]


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    for module in ("nbclient", "ipykernel"):
        pytest.importorskip(module, reason="make docs installs it")
    import nbclient
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=900, resources=place).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    printed = "".join(o.get("text", "") for o in outputs)
    assert "ERROR" not in printed
    assert "Traceback" not in printed
    assert [o for o in outputs if "image/png" in o.get("data", {})]
    assert (Path(tmp_path, path.stem, "mask.png")).exists()
