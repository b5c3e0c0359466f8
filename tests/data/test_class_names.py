"""Class names are checked where they enter, since an id is the place of a name."""

import pytest

from deeplab_tf.data import class_names
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError, InputError


def test_blanks_and_a_byte_order_mark_are_no_part_of_a_name(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffground\r\n ball \r\n\r\n".encode())
    assert class_names.resolve([str(path)]) == ("ground", "ball")
    spec = DatasetSpec(
        name="x", classes=("\ufeffground", "ball "), palette=((0, 0, 0), (1, 1, 1))
    )
    assert spec.classes == ("ground", "ball")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["a", "", "c"], "class 1 has no name"),
        (["a", " ", "c"], "class 1 has no name"),
        (["a", "b\nc"], r'class 1, "b\\nc", has a control character'),
        (["\x1b[31ma", "b"], r'class 0, "\\x1b\[31ma", has a control character'),
        (["a", "b\u202ec"], r'class 1, "b\\u202ec", has a control character'),
        (["a", "caf\udce9"], r'class 1, "caf\\xe9", has a control character'),
        (["a", "b", "a "], "class a is named twice"),
        (["a", 3], "3 is no name of a class"),
    ],
)
def test_what_is_no_name_is_told_wherever_it_comes_from(names, why):
    with pytest.raises(InputError, match=f"^here: {why}"):
        class_names.check(names, "here")
    with pytest.raises(InputError, match=f"^data set x: {why}"):
        DatasetSpec(name="x", classes=tuple(names), palette=((0, 0, 0),) * len(names))


@pytest.mark.parametrize(
    "name",
    ["Straße", "人行道", "\u0645\u06cc\u200c\u062e\u0648", "a b", "traffic-light"],
)
def test_names_of_any_language_are_names(name):
    assert class_names.check(["a", name], "here") == ("a", name)


def test_one_name_is_told_what_one_object_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text("cat\n")
    with pytest.raises(InputError, match=r"^--class_names=cat: one class, and no file"):
        class_names.resolve(["cat"])
    with pytest.raises(
        InputError, match=r"^one.txt: one class, cat; one object is two"
    ):
        class_names.resolve(["one.txt"])
    with pytest.raises(InputError, match=r"^names.txt: no such file"):
        class_names.resolve(["names.txt"])
    with pytest.raises(InputError, match=r"names.csv is a file, not a class"):
        class_names.resolve(["a", "names.csv"])


OTHERS = {
    "labelmap of CVAT": "# label:color_rgb:parts:actions\nball:250,50,83::\n",
    "the same without a heading": "ground:0,0,0::\nball:250,50,83::\n",
    "classes of Roboflow": "Pixel Value, Class\n0, background\n1, ball\n",
    "annotations of COCO": '{"images": [], "categories": []}',
    "the same, pretty": '{\n "images": [],\n "categories": []\n}\n',
    "YAML of YOLO": "names:\n  0: ground\n  1: ball\n",
    "a list in YAML": "- ground\n- ball\n",
    "data.yaml": "train: ../train/images\nnc: 2\nnames: ['a', 'b']\n",
    "colors": "128 64 128 road\n0 0 0 sky\n",
    "colors as #rrggbb": "#804080 road\n#000000 sky\n",
    "ImageSets of VOC": "2007_000032\n2007_000039\n",
    "ImageSets of a class": "2008_000002 -1\n2008_000003 1\n",
    "a list of files": "images/a.jpg masks/a.png\nimages/b.jpg masks/b.png\n",
    "weights": "ground 0.5\nball 1.25\n",
    "boxes of YOLO": "0 0.5 0.5 0.1 0.2\n1 0.5 0.4 0.1 0.2\n",
    "numbered names": "0: ground\n1: ball\n",
    "XML": "<annotation>\n<object/>\n</annotation>\n",
    "flags": "--image_dir=a\n--label_dir=b\n",
    "one line": "ground,ball\n",
    "a line left empty": "ground\n\nball\n",
    "nothing": "\n\n",
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_a_file_of_something_else_is_not_taken_for_names(tmp_path, content):
    path = tmp_path / "names.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=r"names\.txt") as raised:
        class_names.resolve([str(path)])
    assert "\n" not in str(raised.value)


def test_a_list_of_the_photographs_is_not_taken_for_names(tmp_path):
    for name in ("p0", "p1"):
        (tmp_path / f"{name}.jpg").touch()
    (tmp_path / "train.txt").write_text("p0\np1\n")
    with pytest.raises(
        InputError, match=r"p0, p1, \.\.\. are images in .*, not classes"
    ):
        class_names.resolve([str(tmp_path / "train.txt")], photos=tmp_path)


def test_the_first_line_of_labelme_is_no_class(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("__ignore__\n_background_\ncar\n")
    assert class_names.resolve([str(path)]) == ("_background_", "car")
    path.write_text("_background_\n__ignore__\ncar\n")
    with pytest.raises(InputError, match="__ignore__ is no class; leave it out"):
        class_names.resolve([str(path)])


def test_names_with_blanks_between_are_to_be_joined():
    with pytest.raises(FlagError, match="by commas: --class_names=ground,car,sky"):
        class_names.resolve(["ground car sky"])
