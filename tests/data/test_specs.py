"""Facts of the data sets, and how a folder tells which it is."""

import json
import re

import numpy as np
import pytest

from deeplab_tf.data import spec as specs_module
from deeplab_tf.data import specs
from deeplab_tf.data.spec import DatasetSpec, distinct_colors, load
from deeplab_tf.data.specs import DATASETS, resolve
from deeplab_tf.errors import FlagError, InputError
from tests.recorded import ROOT, golden

SPEC = DatasetSpec(
    name="own",
    classes=("background", "cat"),
    palette=((0, 0, 0), (200, 10, 10)),
    ignore_label=7,
    split_sizes={"train": 3},
    pixel_counts={"train": (10, 20)},
)


def published():
    """Name -> classes, ignore label and images by split: the table of docs/data.md."""
    facts = {}
    for row in re.findall(r"^\| (`\w+`.*)", (ROOT / "docs/data.md").read_text(), re.M):
        names, classes, splits = row.split(" | ")
        images = re.findall(r"(\w+) (\d[\d,]*)", splits)
        sizes = {split: int(size.replace(",", "")) for split, size in images}
        counts = re.findall(r"(\d+); (\d+)", classes)
        for name, count in zip(re.findall(r"`(\w+)`", names), counts, strict=True):
            facts[name] = (*map(int, count), sizes)
    return facts


def test_the_page_has_a_row_for_every_data_set():
    assert published().keys() == DATASETS.keys()


@pytest.mark.parametrize("name", DATASETS)
def test_facts_are_the_published_ones_of_the_page(name):
    spec = DATASETS[name]
    assert spec.name == name
    facts = (spec.num_classes, spec.ignore_label, dict(spec.split_sizes))
    assert facts == published()[name]


@pytest.mark.parametrize("name", DATASETS)
def test_every_class_has_a_name_and_a_color_of_its_own(name):
    spec = DATASETS[name]
    assert len(set(spec.classes)) == len(spec.palette) == spec.num_classes
    # ADE20K's official palette gives plant and monitor, at 18 and 144, one color.
    assert len(set(spec.palette)) == spec.num_classes - name.startswith("ade20k")
    assert all(0 <= value <= 255 for color in spec.palette for value in color)


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_is_found_by_its_name_and_survives_its_file(name, tmp_path):
    assert resolve(name, str(tmp_path)) == DATASETS[name]
    DATASETS[name].save(tmp_path)
    assert load(tmp_path) == DATASETS[name]


def test_colors_by_hand():
    person, context = DATASETS["pascal_person_part"], DATASETS["pascal_context"]
    assert person.palette[1:4] == ((128, 0, 0), (0, 128, 0), (128, 128, 0))
    # 59 is 111011 in bits: red, green and not blue at 128; all three at 64.
    assert context.palette[59] == (192, 192, 64)
    reduced = DATASETS["pascal_context_59"]
    assert (reduced.classes[0], reduced.palette[0]) == ("aeroplane", (128, 0, 0))
    reduced = DATASETS["ade20k_150"]
    assert (reduced.classes[0], reduced.palette[0]) == ("wall", (120, 120, 120))
    assert (reduced.classes[149], reduced.palette[149]) == ("flag", (92, 0, 255))


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
def test_colors_of_unnamed_classes_are_those_of_voc():
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
        ({"palette": ((0, 0, 0),)}, "1 colors for 2 classes"),
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


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"classes": "abc"}, "'abc' is no list of class names"),
        ({"classes": {"a": 0}}, "{'a': 0} is no list of class names"),
        ({"classes": [1, 2]}, "1 is no name of a class"),
        ({"classes": ["a", "b\nc"]}, r'class 1, "b\\nc", has a control character'),
        ({"palette": [[0, 0], [1, 1]]}, r'"palette" is \[\[0, 0\], \[1, 1\]\]'),
        ({"palette": None}, '"palette" is null'),
        ({"ignore_label": "255"}, '"ignore_label" is "255"'),
        ({"split_sizes": [4]}, r'"split_sizes" is \[4\]'),
        ({"pixel_counts": {"train": 3}}, '"pixel_counts" is {"train": 3}'),
        ({"schema": "1"}, "not a data set's description"),
        ({"name": None}, '"name" is null'),
        ({"shards": {"../../x": "0"}}, r"../../x"),
    ],
)
def test_a_description_of_another_shape_is_one_line(tmp_path, change, why):
    facts = {"name": "x", "classes": ["a", "b"], "palette": [[0, 0, 0], [1, 1, 1]]}
    (tmp_path / "dataset.json").write_text(json.dumps(facts | change))
    with pytest.raises(InputError, match=rf"dataset\.json: .*{why}"):
        load(tmp_path)


@pytest.mark.parametrize("content", ["[]", "null", "3", '"x"', "{"])
def test_a_description_that_is_no_object_is_one_line(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(InputError, match="not a data set's description"):
        load(tmp_path)


def test_facts_that_a_later_version_adds_are_no_matter(tmp_path):
    facts = {"name": "x", "classes": ["a", "b"], "palette": [[0, 0, 0], [1, 1, 1]]}
    (tmp_path / "dataset.json").write_text(json.dumps(facts | {"later": 1}))
    assert load(tmp_path).classes == ("a", "b")
