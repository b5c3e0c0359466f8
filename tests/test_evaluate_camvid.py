"""A training folder on a tree as CamVid, by one command."""

import json
import runpy

import numpy as np
import pytest
from PIL import Image

from deeplab_tf import flags
from deeplab_tf.data.specs import camvid
from deeplab_tf.errors import FlagError, InputError
from tests.datasets import trees
from tests.recorded import ROOT, TINY
from tests.trained import write_run

SCRIPT = runpy.run_path(
    str(ROOT / "examples" / "evaluate_camvid.py"), run_name="evaluate_camvid"
)
SIZE = (33, 49)
LAYOUTS = {
    "folders": ("images/test/{}.jpg", "labels/test/{}.png"),
    "segnet": ("test/{}.png", "testannot/{}.png"),
}


@pytest.fixture(scope="module")
def camvid_run(tmp_path_factory, shapes):
    """A run of CamVid's classes; nobody had to train it."""
    return write_run(tmp_path_factory.mktemp("run"), shapes, TINY, camvid.SPEC)


@pytest.fixture
def tree(tmp_path):
    return tmp_path / "tree"


@pytest.fixture
def evaluate(camvid_run, tree, tmp_path):
    def run(*more, checkpoint=camvid_run):
        line = [
            *("evaluate_camvid.py", f"--checkpoint_dir={checkpoint}"),
            *(f"--camvid_root={tree}", f"--eval_logdir={tmp_path / 'eval'}", *more),
        ]
        return SCRIPT["evaluate"](flags.parse(SCRIPT["CamvidEvalConfig"], line))

    return run


def write(tree, rng, layout="folders", ids=range(12)):
    """Three images and masks, of all ids in bands."""
    image, mask = LAYOUTS[layout]
    for stem in "abc":
        trees.write_photo(tree / image.format(stem), trees.photo(rng, *SIZE))
        trees.write_mask(tree / mask.format(stem), trees.bands(*SIZE, list(ids)))


def test_a_tree_is_scored_as_it_is(evaluate, tree, rng, tmp_path):
    write(tree, rng)
    scores = evaluate("--add_flipped_images", "--output_stride=16")
    assert scores["num_images"] == 3
    assert list(scores["iou"]) == list(camvid.SPEC.classes)
    assert scores == json.loads((tmp_path / "eval" / "metrics.json").read_text())
    # Each of 12 bands has 33 / 12 rows of 49 pixels, in the order of the ids; the last
    # one is void, and counts nowhere.
    matrix = np.loadtxt(tmp_path / "eval" / "confusion_matrix.csv", int, delimiter=",")
    rows = [sum(row % 12 == band for row in range(SIZE[0])) for band in range(11)]
    np.testing.assert_array_equal(matrix.sum(axis=1), 3 * SIZE[1] * np.array(rows))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_labels(tree, rng, tmp_path, layout):
    write(tree, rng, layout)
    SCRIPT["build_records"](tree, "test", camvid.SPEC, tmp_path / "records")
    expected = trees.bands(*SIZE, [*range(11), 255])
    examples = trees.examples(tmp_path / "records", "test")
    assert len(examples) == 3
    for features in examples:
        np.testing.assert_array_equal(trees.label(features), expected)


def test_a_list_of_the_same_classes_is_that_of_camvid(tree):
    tree.mkdir()
    assert SCRIPT["read_classes"](tree) is camvid.SPEC
    (tree / "classes.txt").write_text("\n".join([*camvid.SPEC.classes, "Void"]) + "\n")
    assert SCRIPT["read_classes"](tree) is camvid.SPEC


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("Void\n", r"classes\.txt: void alone"),
        ("Sky\n\nPole\n", r"classes\.txt: class 1 has no name"),
    ],
)
def test_a_list_that_is_none_is_named(tree, listed, message):
    tree.mkdir()
    (tree / "classes.txt").write_text(listed)
    with pytest.raises(InputError, match=message):
        SCRIPT["read_classes"](tree)


def test_a_folder_that_cannot_be_written_is_told_before_records_are(
    evaluate, tree, rng
):
    write(tree, rng)
    (tree / "file").write_text("")
    with pytest.raises(InputError, match=r"--eval_logdir=.*file/eval: .* is a file"):
        evaluate(f"--eval_logdir={tree / 'file' / 'eval'}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda names: [*names, "Dog"], r"not on tree \(12 classes\): their numbers"),
        (
            lambda names: [*names[1::-1], *names[2:]],
            r'class 0 is "Sky" there, "Building',
        ),
        (
            lambda names: ["Heaven", *names[1:]],
            r'"Heaven" here, and so 1; take a run of',
        ),
    ],
)
def test_other_classes_are_refused_before_anything_is_read(
    evaluate, tree, rng, change, message, tmp_path
):
    write(tree, rng)
    (tree / "classes.txt").write_text("\n".join(change([*camvid.SPEC.classes])))
    with pytest.raises(InputError, match=message):
        evaluate()
    assert not (tmp_path / "eval").exists()


def test_a_run_of_other_classes_is_refused(evaluate, tree, rng, run):
    write(tree, rng)
    with pytest.raises(
        InputError, match=r"was trained on shapes \(6 classes\), not on"
    ):
        evaluate(checkpoint=run)


def test_ids_beyond_void_are_named(evaluate, tree, rng):
    write(tree, rng, ids=[0, 3, 13])
    with pytest.raises(InputError, match=r"a\.png: .*\b13\b"):
        evaluate()


def test_what_is_missing_or_of_another_size_is_named(evaluate, tree, rng):
    with pytest.raises(InputError, match=r"--camvid_root=.*tree: no such folder"):
        evaluate()
    write(tree, rng)
    with pytest.raises(InputError, match=r"neither images/night and labels/night, nor"):
        evaluate("--split=night")
    mask = tree / "labels" / "test" / "b.png"
    Image.open(mask).resize((48, 33)).save(mask)
    with pytest.raises(InputError, match=r"b\.png: the mask is 48x33, its image 49x33"):
        evaluate()
    mask.unlink()
    with pytest.raises(InputError, match=r"b\.jpg: no mask .*b\.png; so of 1 of 3"):
        evaluate()


def test_flags_of_a_crf_need_one(evaluate, tree, rng):
    write(tree, rng)
    with pytest.raises(FlagError, match="--crf_iterations"):
        evaluate("--crf_iterations=3")
