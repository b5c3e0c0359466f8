"""Archives for test servers: what they hold, and what their rules refuse."""

import dataclasses
import io
import tarfile
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.config import ResizeConfig, VisConfig
from deeplab_tf.config.data import DataConfig
from deeplab_tf.data import image_files
from deeplab_tf.data.spec import distinct_colors
from deeplab_tf.data.specs import ade20k, cityscapes, shapes, voc2012
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.visualizing import submission
from deeplab_tf.visualizing.run import visualize
from deeplab_tf.visualizing.submission import SERVERS, Submission, check

NAMES = {
    "voc_comp5": ["2008_000006", "2008_000011"],
    "voc_comp6": ["2008_000006", "2008_000011"],
    "cityscapes": [
        "berlin/berlin_000000_000019_leftImg8bit",
        "munich/munich_000397_000019_leftImg8bit",
    ],
    "ade20k": ["ADE_test_00000001", "ADE_test_00000002"],
}
SIZES = {"cityscapes": [(1024, 2048)] * 2}


@pytest.fixture(autouse=True)
def _two_images(monkeypatch):
    """Test sets of two images each, since those of the servers are not here."""
    few = {name: dataclasses.replace(s, images=2) for name, s in SERVERS.items()}
    monkeypatch.setattr(submission, "SERVERS", few)


def start(server, spec, folder, *, total=2, resize=ResizeConfig(), image="photos"):
    config = VisConfig(
        checkpoint_dir="run",
        vis_logdir=str(folder),
        image=image,
        data=DataConfig(dataset_dir="records"),
        submission=server,
    )
    predictor = types.SimpleNamespace(spec=spec, resize=resize)
    return Submission(config, predictor, total)


def predictions(server, num_classes, names=None, sizes=None):
    sizes = sizes or SIZES.get(server, [(4, 60), (51, 3)])
    for name, size in zip(names or NAMES[server], sizes, strict=False):
        ids = np.arange(size[0] * size[1]).reshape(size) % num_classes
        image = np.zeros((*size, 3), np.uint8)
        yield Prediction(name=name, image=image, classes=ids.astype(np.int32))


def members(path):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path, "r:gz") as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}


COMP5 = "results/VOC2012/Segmentation/comp5_test_cls/"
LABEL_IDS = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


@pytest.mark.parametrize(
    ("server", "spec", "archive", "first", "second", "mode", "ids"),
    [
        (
            *("voc_comp5", voc2012.SPEC, "voc2012_comp5.tgz"),
            *(f"{COMP5}2008_000006.png", f"{COMP5}2008_000011.png", "P", range(21)),
        ),
        (
            *("voc_comp6", voc2012.SPEC, "voc2012_comp6.tgz"),
            f"{COMP5}2008_000006.png".replace("comp5", "comp6"),
            f"{COMP5}2008_000011.png".replace("comp5", "comp6"),
            *("P", range(21)),
        ),
        (
            *("cityscapes", cityscapes.SPEC, "cityscapes.zip"),
            "berlin_000000_000019_pred_labelIds.png",
            "munich_000397_000019_pred_labelIds.png",
            *("L", LABEL_IDS),
        ),
        (
            *("ade20k", ade20k.SPEC, "ade20k.zip"),
            *("ADE_test_00000001.png", "ADE_test_00000002.png", "L", range(151)),
        ),
        (
            *("ade20k", ade20k.SPEC_150, "ade20k.zip"),
            *("ADE_test_00000001.png", "ADE_test_00000002.png", "L", range(1, 151)),
        ),
    ],
)
def test_an_archive_is_what_its_server_takes(
    tmp_path, server, spec, archive, first, second, mode, ids
):
    given = list(predictions(server, spec.num_classes))
    start(server, spec, tmp_path).write(iter(given))
    assert [path.name for path in tmp_path.iterdir()] == [archive]
    written = members(tmp_path / archive)
    assert list(written) == [first, second]
    for content, prediction in zip(written.values(), given, strict=True):
        image = Image.open(io.BytesIO(content))
        assert (image.format, image.mode) == ("PNG", mode)
        expected = np.array(list(ids), np.uint8)[prediction.classes]
        np.testing.assert_array_equal(np.asarray(image), expected)
        if mode == "P":
            colors = np.array(distinct_colors(256)).ravel().tolist()
            assert image.getpalette() == colors


@pytest.mark.parametrize(
    ("server", "spec", "changes", "kind", "said"),
    [
        (
            *("cityscapes", voc2012.SPEC, {}, FlagError),
            "--submission=cityscapes: the classes are not those of Cityscapes, but the "
            "21 of pascal_voc_seg",
        ),
        (
            *("voc_comp6", voc2012.SPEC, {"total": 7}, InputError),
            "--image=photos: 7 images; the server takes the whole test set of PASCAL "
            "VOC 2012, 2",
        ),
        (
            *("ade20k", ade20k.SPEC, {"total": 7, "image": None}, InputError),
            "--vis_split=val: 7 images",
        ),
        (
            "ade20k",
            ade20k.SPEC,
            {"image": None, "resize": ResizeConfig(min_resize_value=512)},
            InputError,
            r"predicted in the range of sizes \(--min_resize_value=512\)",
        ),
    ],
)
def test_what_no_server_takes_is_told_first(
    tmp_path, server, spec, changes, kind, said
):
    with pytest.raises(kind, match=said):
        start(server, spec, tmp_path, **changes)


@pytest.mark.parametrize(
    ("server", "names", "sizes", "said"),
    [
        (
            "voc_comp6",
            ["a", "b"],
            None,
            "--image=photos: a is no image of the test set",
        ),
        ("voc_comp6", ["2008_000006"] * 2, None, "two images are called 2008_000006"),
        ("cityscapes", None, [(512, 1024)], "is 1024x512; the server takes 2048x1024"),
        (
            "voc_comp6",
            ["2008_000006"],
            None,
            r"tgz: 1 predictions; the test set of PAS",
        ),
    ],
)
def test_images_of_another_test_set_leave_no_archive(
    tmp_path, server, names, sizes, said
):
    spec = cityscapes.SPEC if server == "cityscapes" else voc2012.SPEC
    with pytest.raises(InputError, match=said):
        start(server, spec, tmp_path).write(predictions(server, 19, names, sizes))
    assert list(tmp_path.iterdir()) == []


def png(ids, palette=()):
    return image_files.png(np.array(ids, np.uint8), palette)


COLORS = distinct_colors(256)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"2008_000006": png([[1, 2]])}, r"'L', \(1, 2\)\); the server takes .*'P'"),
        ({"2008_000006": png([[1], [2]], COLORS)}, r"\('PNG', 'P', \(2, 1\)\)"),
        ({"2008_000006": png([[1, 21]], COLORS)}, "holds the id 21, which PASCAL VOC"),
        ({"2008_000006": png([[1, 255]], COLORS)}, "holds the id 255, which PASCAL"),
        ({"2008_000006": None}, "1 predictions are missing: .*2008_000006.png"),
        ({"2009_000001": png([[1, 2]], COLORS)}, "2009_000001.png is none of the test"),
    ],
)
def test_the_reader_refuses_what_the_server_would(tmp_path, changes, said):
    """Archives made by hand, each with one thing wrong."""
    server = submission.SERVERS["voc_comp6"]
    contents = dict.fromkeys(NAMES["voc_comp6"], png([[1, 2]], COLORS))
    expected = {server.member.format(name): (1, 2) for name in contents}
    path = tmp_path / "made.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (contents | changes).items():
            if content is not None:
                member = tarfile.TarInfo(server.member.format(name))
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match=said):
        check(path, server, expected)


def test_vis_writes_the_archive_instead_of_pictures(run, tmp_path, monkeypatch, caplog):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("2008_000006.jpg", "2008_000011.png"):
        Image.new("RGB", (30, 20)).save(photos / name)
    made = dataclasses.replace(
        submission.SERVERS["voc_comp6"], ids={shapes.SPEC.classes: tuple(range(6))}
    )
    monkeypatch.setitem(submission.SERVERS, "voc_comp6", made)
    config = VisConfig(
        checkpoint_dir=str(run),
        vis_logdir=str(tmp_path / "vis"),
        image=str(photos),
        submission="voc_comp6",
    )
    visualize(config)
    (archive,) = Path(tmp_path / "vis").iterdir()
    assert len(members(archive)) == 2
    assert "2 predictions, each read again; upload it at http://host" in caplog.text
