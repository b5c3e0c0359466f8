"""What builders fetch lands where they read it."""

import dataclasses
import os
import subprocess
import sys
import tarfile

import pytest

from deeplab_tf import download
from deeplab_tf.dataset_builders import archives
from tests.datasets import trees
from tests.recorded import ROOT

STEMS = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}


def pack(path, root, folder):
    with tarfile.open(path, "w") as file:
        file.add(root / folder, folder)


@pytest.fixture
def packed(tmp_path, rng, monkeypatch):
    """VOC and SBD as somebody fetched them by hand, small."""
    home, there = tmp_path / "made", tmp_path / "home"
    there.mkdir()
    voc = home / "VOCdevkit" / "VOC2012"
    sbd = home / "benchmark_RELEASE" / "dataset"
    for split, stems in STEMS.items():
        trees.write_list(voc / "ImageSets" / "Segmentation" / f"{split}.txt", stems)
        for stem in stems:
            trees.write_photo(
                voc / "JPEGImages" / f"{stem}.jpg", trees.photo(rng, 9, 7)
            )
            trees.write_mask(
                voc / "SegmentationClass" / f"{stem}.png", trees.bands(9, 7, [0, 9])
            )
    trees.write_photo(sbd / "img" / "2011_000001.jpg", trees.photo(rng, 9, 7))
    io = pytest.importorskip("scipy.io")
    (sbd / "cls").mkdir()
    content = {"GTcls": {"Segmentation": trees.bands(9, 7, [0, 3]).astype("uint8")}}
    io.savemat(sbd / "cls" / "2011_000001.mat", content)
    for name, folder in (("VOC_2012", "VOCdevkit"), ("SBD", "benchmark_RELEASE")):
        small = dataclasses.replace(getattr(archives, name), digest="")
        monkeypatch.setattr(archives, name, small)
        pack(there / small.name, home, folder)
    return there


def test_voc_and_sbd_are_unpacked_and_built(builder, packed, caplog):
    voc = builder("voc2012")
    root = packed / "VOCdevkit" / "VOC2012"
    config = voc.Voc2012Config(
        download=True,
        image_folder=str(root / "JPEGImages"),
        semantic_segmentation_folder=str(root / "SegmentationClassRaw"),
        list_folder=str(root / "ImageSets" / "Segmentation"),
        sbd_dir=str(packed / "benchmark_RELEASE" / "dataset"),
        output_dir=str(packed / "records"),
    )
    voc.build(config)
    assert trees.names(packed / "records", "val") == STEMS["val"]
    augmented = [*STEMS["train"], "2011_000001"]
    assert trees.names(packed / "records", "train_aug") == augmented
    assert "benchmark.tgz: SHA-256" in caplog.text


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("voc2012", "Voc2012Config", {"VOCtrainval_11-May-2012.tar": "."}),
        ("ade20k", "Ade20kConfig", {"ADEChallengeData2016.zip": "ADE20K"}),
        (
            "pascal_context",
            "PascalContextConfig",
            {
                "VOCtrainval_03-May-2010.tar": ".",
                "trainval.tar.gz": "pascal-context",
                "labels.txt": "pascal-context",
            },
        ),
        (
            "person_part",
            "PersonPartConfig",
            {"VOCtrainval_03-May-2010.tar": ".", "trainval.tar.gz": "pascal-part"},
        ),
    ],
)
def test_each_archive_goes_where_its_files_are_read(
    builder, monkeypatch, name, config, expected
):
    class Asked(Exception):
        pass

    def fetch(wanted):
        raise Asked({archive.name: str(folder) for archive, folder in wanted.items()})

    monkeypatch.setattr(download, "fetch", fetch)
    module = builder(name)
    with pytest.raises(Asked) as asked:
        module.build(getattr(module, config)(download=True))
    assert asked.value.args[0] == expected


@pytest.mark.slow
def test_a_command_without_network_says_what_to_fetch_and_ends(tmp_path):
    nobody = "http://127.0.0.1:9"
    proxies = {"http_proxy": nobody, "https_proxy": nobody, "no_proxy": ""}
    script = ROOT / "datasets" / "build_ade20k_data.py"
    done = subprocess.run(
        [sys.executable, str(script), "--download"],
        cwd=tmp_path,
        env=os.environ | proxies | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    reason, step = done.stderr.splitlines()[-2:]
    assert reason.startswith("ERROR: http://data.csail.mit.edu/")
    assert "put it at ADE20K/ADEChallengeData2016.zip (sha1 219e1696" in step
    assert "Traceback" not in done.stderr
