"""What is handed on: wheel and sdist hold the package, and nobody's photographs."""

import io
import re
import runpy
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.recorded import ROOT

PICTURE = "deeplab_tf/exporting/picture.jpg"
IMAGES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".ppm"}
PACKED = {".npz", ".npy", ".tfrecord", ".zip", ".tar", ".keras", ".h5"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Path in the package -> content, of the sdist and of the wheel made from it."""
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(sdist) as tar:
        inside = {
            member.name.split("/", 1)[1]: tar.extractfile(member).read()
            for member in tar.getmembers()
            if member.isfile()
        }
    with zipfile.ZipFile(wheel) as archive:
        return {
            "sdist": inside,
            "wheel": {name: archive.read(name) for name in archive.namelist()},
        }


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_no_photograph_of_a_data_set_is_handed_on(packages, kind):
    suffixes = {name: f".{name.rpartition('.')[2]}" for name in packages[kind]}
    images = [n for n, s in suffixes.items() if s in IMAGES]
    assert images == [PICTURE]
    assert not [n for n, s in suffixes.items() if s in PACKED]
    assert [
        *(n for n, content in packages[kind].items() if content[:3] == b"\xff\xd8\xff"),
        *(n for n, content in packages[kind].items() if content[:4] == b"\x89PNG"),
    ] == [PICTURE]


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_packages_hold_license_notice_and_what_modules_read(packages, kind):
    names = set(packages[kind])
    for name in ("LICENSE", "NOTICE"):
        assert any(path.split("/")[-1] == name for path in names), name
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "deeplab_tf").rglob("*")
        if path.is_file()
        and path.suffix != ".py"
        and "__pycache__" not in path.parts  # Where numba keeps what it compiled, too.
    }
    assert data <= names


@pytest.mark.nightly
def test_the_description_is_that_of_an_index_page(packages):
    (metadata,) = (
        content.decode()
        for name, content in packages["wheel"].items()
        if name.endswith(".dist-info/METADATA")
    )
    head, _, text = metadata.partition("\n\n")
    assert "Description-Content-Type: text/markdown" in head
    assert not re.search("^(Home-page|Project-URL|Author-email): ", head, re.MULTILINE)
    assert text.startswith("# deeplab_tf")
    assert {"docs/own_data.md", "examples/predict.py"} <= packages["sdist"].keys()


def test_the_description_points_at_nothing_that_an_index_has_not():
    text = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")["description"]()
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert all(target.startswith("https://") for target in targets)
    for path in re.findall(r"`((?:docs|examples)/[^`]+)`", text):
        assert (ROOT / path).exists(), path
    assert "deeplab-build-folder --image_dir=photos" in text


def test_the_picture_of_the_package_is_drawn_by_us(builder):
    shapes = builder("shapes")
    drawn, _ = shapes.draw_scene(np.random.default_rng(7), (240, 320))
    saved = np.asarray(Image.open(io.BytesIO((ROOT / PICTURE).read_bytes())))
    difference = np.abs(saved.astype(float) - drawn)
    assert difference.mean() < 4  # JPEG; another scene differs by 37 and more.
