"""Facts of the data sets, and how a folder tells which it is."""

import numpy as np
import pytest

from deeplab_tf.data import spec as specs_module
from deeplab_tf.data import specs
from deeplab_tf.data.spec import DatasetSpec, distinct_colors, load
from deeplab_tf.data.specs import DATASETS, resolve
from deeplab_tf.errors import FlagError, InputError
from tests.recorded import golden

SPEC = DatasetSpec(
    name="own",
    classes=("background", "cat"),
    palette=((0, 0, 0), (200, 10, 10)),
    ignore_label=7,
    split_sizes={"train": 3},
    pixel_counts={"train": (10, 20)},
)


@pytest.mark.parametrize(
    ("name", "classes", "ignored", "split", "size"),
    [
        ("pascal_voc_seg", 21, 255, "train_aug", 10582),
        ("cityscapes", 19, 255, "train_fine", 2975),
        ("ade20k", 151, 0, "train", 20210),
        ("camvid", 11, 255, "val", 101),
        ("shapes", 6, 255, "val", 50),
    ],
)
def test_published_facts(name, classes, ignored, split, size):
    spec = DATASETS[name]
    assert (spec.num_classes, spec.ignore_label) == (classes, ignored)
    assert spec.split_sizes[split] == size
    assert len(set(spec.classes)) == len(spec.palette) == classes


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "recorded"),
    [("pascal_voc_seg", "pascal"), ("cityscapes", "cityscapes"), ("ade20k", "ade20k")],
)
def test_palettes_are_the_official_ones(name, recorded):
    colors = golden("misc_colormaps.npz")[recorded]
    palette = np.array(DATASETS[name].palette)
    np.testing.assert_array_equal(palette, colors[: len(palette)])


@pytest.mark.golden
def test_colours_of_unnamed_classes_are_those_of_voc():
    colors = golden("misc_colormaps.npz")["pascal"]
    np.testing.assert_array_equal(distinct_colors(256), colors[:256])


def test_a_description_survives_its_file(tmp_path):
    SPEC.save(tmp_path)
    assert load(tmp_path) == SPEC
    assert load(tmp_path / "elsewhere") is None


def test_a_damaged_description_names_its_file(tmp_path):
    (tmp_path / "dataset.json").write_text('{"name": "own"}')
    with pytest.raises(InputError, match=r"dataset\.json: not a data set's"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("one",), "palette": ((0, 0, 0),)}, "1 classes; 2 to 256"),
        ({"palette": ((0, 0, 0),)}, "1 colours for 2 classes"),
        ({"classes": ("cat", "cat")}, "class cat is named twice"),
        ({"ignore_label": 256}, "--ignore_label=256: 0 to 255"),
    ],
)
def test_impossible_descriptions_say_why(changes, message):
    facts = {"name": "own", "classes": ("a", "b"), "palette": SPEC.palette} | changes
    with pytest.raises(InputError, match=message):
        DatasetSpec(**facts)


def test_a_folder_that_describes_itself_needs_no_name(tmp_path):
    SPEC.save(tmp_path)
    assert resolve(None, str(tmp_path)) == SPEC
    assert resolve("own", str(tmp_path)) == SPEC


def test_a_name_that_contradicts_the_folder_is_an_error(tmp_path):
    SPEC.save(tmp_path)
    with pytest.raises(FlagError, match=r"--dataset=cityscapes: .* says own"):
        resolve("cityscapes", str(tmp_path))


def test_without_a_description_the_name_decides_then_the_run_then_voc(tmp_path):
    assert resolve("ade20k", str(tmp_path), SPEC).name == "ade20k"
    assert resolve(None, str(tmp_path), SPEC) == SPEC
    assert resolve(None, str(tmp_path)).name == specs.DEFAULT == "pascal_voc_seg"


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(FlagError, match="--dataset=coco: one of pascal_voc_seg, city"):
        resolve("coco", str(tmp_path))


def test_a_missing_folder_is_named():
    with pytest.raises(InputError, match="--dataset_dir=nowhere: no such folder"):
        resolve(None, "nowhere")
    assert specs_module.FILE_NAME == "dataset.json"
