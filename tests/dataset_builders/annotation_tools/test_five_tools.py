"""Exports of five annotation tools, from the folder to a trained network.

The exports are those of `make.py` of the cases that people had trouble with. What masks
they hold is worked out here, from what that file draws.
"""

import importlib.util
import sys

import numpy as np
import pytest

from deeplab_tf.dataset_report.run import check
from deeplab_tf.training.run import train
from tests.dataset_builders.annotation_tools.exports import X, Y, folder_config
from tests.datasets.trees import described, examples, label
from tests.recorded import TINY
from tests.training.test_run import config

BALL = np.where((X > 5) & (X < 25) & (Y > 5) & (Y < 20), 1, 0)
SHAPES = np.where(
    np.hypot(X - 20, Y - 30) <= 4,
    3,
    np.where((X > 30) & (X < 45) & (Y > 10) & (Y < 35), 2, BALL),
)
TAGS = np.where((X > 30) & (Y > 30), 2, BALL)
HALVES = {"train": 3, "val": 1}
# Tool -> classes, the mask of every photograph, and sizes of splits.
EXPORTS = {
    "labelme": (["_background_", "car", "tree", "ball"], SHAPES, HALVES),
    "roboflow": (["background", "ball"], BALL, {"train": 4, "val": 2, "test": 2}),
    "cvat": (["background", "ball"], BALL, HALVES),
    "label_studio": (["background", "ball", "tree"], TAGS, HALVES),
    "superannotate": (["background", "ball"], BALL, HALVES),
}


@pytest.fixture(scope="module")
def make(shared):
    """The cases' functions, by name."""
    path = shared / "cases" / "make.py"
    if not path.is_file():
        pytest.skip(f"{path} is not on this machine")
    spec = importlib.util.spec_from_file_location("cases", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["cases"] = module
    spec.loader.exec_module(module)
    return module.CASES


@pytest.fixture
def built(make, builder, tmp_path):
    def build(tool, **changes):
        make[tool](tmp_path)
        given = {
            "annotation_dir": str(tmp_path),
            "output_dir": str(tmp_path / "records"),
        }
        module = builder("folder")
        module.build(folder_config(module, **given | changes))
        return tmp_path / "records"

    return build


@pytest.mark.parametrize("tool", EXPORTS)
def test_every_pixel_is_what_was_drawn(built, tool, caplog):
    classes, mask, sizes = EXPORTS[tool]
    records = built(tool)
    assert described(records)["classes"] == classes
    assert described(records)["split_sizes"] == sizes
    assert f"an export of {tool} (" in caplog.text
    for split, size in sizes.items():
        found = [label(features) for features in examples(records, split)]
        assert len(found) == size
        for ids in found:
            np.testing.assert_array_equal(ids, mask)
    report = check(records)
    assert not report.faults


@pytest.mark.parametrize("tool", EXPORTS)
@pytest.mark.nightly
def test_a_network_trains_on_it(built, tool, tmp_path):
    train(config(tmp_path / "run", built(tool), 2, model=TINY))
    assert (tmp_path / "run" / "model.ckpt-2.index").is_file()


def test_tools_that_are_named_need_not_be_recognized(built):
    records = built("superannotate", annotation_tool="superannotate")
    assert described(records)["classes"] == ["background", "ball"]


def test_transparent_pixels_are_ignored_if_asked(built):
    records = built("superannotate", transparent="ignore")
    for features in examples(records, "train"):
        np.testing.assert_array_equal(label(features), np.where(BALL, 1, 255))
