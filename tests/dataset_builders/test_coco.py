"""COCO's annotations become masks."""

import json
import math
import re
import sys
import weakref

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.dataset_builders import coco
from deeplab_tf.errors import FlagError, InputError

pytest.importorskip("pycocotools", reason="pycocotools is not installed")


def square(top, left, bottom, right):
    """The polygon around rows `top` to `bottom - 1`, and such columns."""
    return [[left, top, right, top, right, bottom, left, bottom]]


def runs(pixels):
    """Lengths of runs down the columns, the first one of zeros."""
    flat = np.concatenate([[0], np.ravel(pixels, order="F"), [2]])
    edges = np.flatnonzero(np.diff(flat))
    lengths = np.diff(np.concatenate([[0], edges])).tolist()
    return {"size": list(pixels.shape), "counts": lengths}


@pytest.fixture
def annotated(tmp_path):
    """Writes photographs of 8x6 pixels and a file of objects; gives their masks."""

    def masks(
        objects, *, wanted=(), categories=((7, "dog"), (3, "cat")), first_image=()
    ):
        facts = {
            "categories": [{"id": i, "name": name} for i, name in categories],
            "images": [
                {"id": 20 + i, "file_name": f"{name}.jpg", "height": 6, "width": 8}
                for i, name in enumerate(("one", "deep/two"))
            ],
            "annotations": [
                {"id": 50 + i, "image_id": 20, **one} for i, one in enumerate(objects)
            ],
        }
        facts["images"][0] |= dict(first_image)
        file = tmp_path / "instances.json"
        file.write_text(json.dumps(facts))
        coco.read_annotations.cache_clear()
        annotations = coco.read_annotations(file)
        (tmp_path / "deep").mkdir(exist_ok=True)
        for one in facts["images"]:
            if not re.search(r"\.\.|^/|:", one["file_name"]):
                Image.new("RGB", (8, 6)).save(tmp_path / one["file_name"])
        source = coco.CocoSource(
            file=file,
            pairs=coco.find_images(annotations, [tmp_path]),
            classes=coco.choose_classes(annotations, wanted, file),
        )
        return source

    return masks


def first(source):
    (sample,) = source.samples(0, 1)
    return sample.label


def test_categories_are_classes_by_order_of_id_and_the_rest_is_background(annotated):
    source = annotated(
        [
            {"category_id": 7, "segmentation": square(1, 1, 3, 4)},
            {"category_id": 3, "segmentation": square(4, 5, 6, 8)},
        ]
    )
    assert source.classes.names == ("background", "cat", "dog")
    expected = np.zeros((6, 8), int)
    expected[1:3, 1:4], expected[4:6, 5:8] = 2, 1
    np.testing.assert_array_equal(first(source), expected)


def test_an_image_without_objects_is_background(annotated):
    source = annotated([])
    _, second = source.samples(0, 2)
    assert second.name == "deep_two"
    assert second.origin.endswith("instances.json image 21 (deep/two.jpg)")
    np.testing.assert_array_equal(second.label, np.zeros((6, 8)))


def test_the_smaller_object_is_on_top_whatever_the_order(annotated):
    large = {"category_id": 3, "segmentation": square(0, 0, 6, 8)}
    small = {"category_id": 7, "segmentation": square(2, 2, 4, 5)}
    expected = np.ones((6, 8), int)
    expected[2:4, 2:5] = 2
    for objects in ([large, small], [small, large]):
        np.testing.assert_array_equal(first(annotated(objects)), expected)


def test_of_equal_objects_the_later_is_on_top(annotated):
    one = {"category_id": 7, "segmentation": square(0, 0, 2, 4)}
    other = {"category_id": 3, "segmentation": square(0, 2, 2, 6)}
    expected = np.zeros((6, 8), int)
    expected[:2, :2], expected[:2, 2:6] = 2, 1
    np.testing.assert_array_equal(first(annotated([one, other])), expected)


def test_crowds_count_nowhere_but_under_an_object(annotated):
    pixels = np.zeros((6, 8), int)
    pixels[1:5, 2:7] = 1
    crowd = {"category_id": 3, "iscrowd": 1, "segmentation": runs(pixels)}
    object_ = {"category_id": 7, "segmentation": square(0, 0, 6, 3)}
    expected = np.where(pixels == 1, 255, 0)
    expected[:, :3] = 2
    np.testing.assert_array_equal(first(annotated([object_, crowd])), expected)


def test_run_lengths_are_read_packed_or_not(rng):
    from pycocotools import mask as coco_mask

    for size in ((1, 1), (40, 30), (75, 200)):
        pixels = np.kron(rng.integers(0, 2, size), np.ones((3, 5), np.int64))
        packed = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
        packed["counts"] = packed["counts"].decode()
        for one in (packed, runs(pixels)):
            decoded = coco.rasterize(one, pixels.shape, "it")
            np.testing.assert_array_equal(decoded, pixels)


def test_without_pycocotools_the_extra_is_named(annotated, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    source = annotated([{"category_id": 3, "segmentation": square(0, 0, 2, 2)}])
    with pytest.raises(InputError, match=r"50 .*pip install 'deeplab-tf\[coco\]'$"):
        first(source)
    source = annotated([{"category_id": 3, "segmentation": runs(np.ones((6, 8)))}])
    assert first(source).all()


def test_an_object_of_several_polygons_is_their_union(annotated):
    parts = square(0, 0, 2, 2) + square(4, 4, 6, 6)
    expected = np.zeros((6, 8), int)
    expected[:2, :2] = expected[4:6, 4:6] = 1
    source = annotated([{"category_id": 3, "segmentation": parts}])
    np.testing.assert_array_equal(first(source), expected)


def test_the_classes_wanted_are_chosen_by_name(annotated):
    objects = [
        {"category_id": 7, "segmentation": square(0, 0, 2, 2)},
        {"category_id": 3, "segmentation": square(4, 4, 6, 6)},
    ]
    source = annotated(objects, wanted=("other", "dog"))
    expected = np.zeros((6, 8), int)
    expected[:2, :2] = 1  # The cat is background.
    np.testing.assert_array_equal(first(source), expected)


@pytest.mark.parametrize(
    ("object_", "message"),
    [
        ({"bbox": [0, 0, 2, 2]}, "annotation 50 has no segmentation; a box alone"),
        ({"segmentation": [[1, 1, 2, 2]]}, "a polygon of 4 numbers; x, y, x, y, x, y"),
        ({"segmentation": [["a"] * 6]}, "annotation 50 cannot be drawn: could not"),
        (
            {"segmentation": [[1, 1, math.nan, 2, 3, 3]]},
            "annotation 50 cannot be drawn: a coordinate of nan, in 8x6 pixels",
        ),
        ({"segmentation": [[1, 1, 1e9, 2, 3, 3]]}, r"a coordinate of 1e\+09, in 8x6 p"),
        ({"segmentation": [[-1e9, 1, 1, 2, 3, 3]]}, r"a coordinate of -1e\+09, in 8x6"),
        (
            {"segmentation": {"size": [6, 8], "counts": [3, 4]}},
            "annotation 50 cannot be drawn: runs of 7 pixels, of 48 in the image",
        ),
        (
            {"segmentation": {"size": [8, 6], "counts": [48]}},
            r"drawn: it is 6x8, its image 8x6 \(width x height\)",
        ),
    ],
)
def test_what_cannot_be_drawn_is_named(annotated, object_, message):
    source = annotated([{"category_id": 3, **object_}])
    with pytest.raises(InputError, match=rf"instances\.json: .*{message}"):
        first(source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_id": 9}, "annotation 50 has category_id 9, which is not there"),
        ({"image_id": 9}, "annotation 50 has image_id 9, which is not there"),
    ],
)
def test_objects_of_nothing_are_named(annotated, change, message):
    with pytest.raises(InputError, match=message):
        annotated([{"category_id": 3, "segmentation": square(0, 0, 2, 2)} | change])


def test_a_wanted_class_that_is_no_category_is_told(annotated):
    with pytest.raises(InputError, match=r"cow is no category of .*; it has cat, dog"):
        annotated([], wanted=("background", "cow"))


def test_categories_of_one_name_are_refused(annotated):
    with pytest.raises(InputError, match=r"class .* is named twice"):
        annotated([], categories=((1, "cat"), (2, "cat")))


def test_an_id_that_occurs_twice_is_named(annotated):
    with pytest.raises(InputError, match=r"json: two categories have the id 3$"):
        annotated([], categories=((3, "cat"), (3, "dog")))
    with pytest.raises(InputError, match=r"json: two images have the id 21$"):
        annotated([], first_image={"id": 21})


def test_the_first_class_is_what_no_object_covers(annotated):
    said = r"--class_names=dog,cat: the first name is .* as background,dog,cat$"
    with pytest.raises(FlagError, match=said):
        annotated([], wanted=("dog", "cat"))
    categories = ((1, "background"), (2, "cat"))
    source = annotated([], wanted=("background", "cat"), categories=categories)
    assert source.classes.ids == {1: 0, 2: 1}


@pytest.mark.parametrize(
    "name",
    ["../one.jpg", "deep/../../one.jpg", "/data/one.jpg", "C:\\one.jpg", "..\\a.jpg"],
)
def test_a_photograph_outside_of_its_folder_is_refused(annotated, name):
    said = rf"json: image 20 has the file_name {re.escape(name)}, which leaves the fold"
    with pytest.raises(InputError, match=said):
        annotated([], first_image={"file_name": name})


def test_two_photographs_of_one_name_are_both_named(annotated):
    said = r"json: images 20 and 21 have one name, deep/two\.png and deep/two\.jpg; re"
    with pytest.raises(InputError, match=said):
        annotated([], first_image={"file_name": "deep/two.png"})
    said = r"deep_two\.jpg and .*deep/two\.jpg: two images of one name, deep_two in rec"
    with pytest.raises(InputError, match=said):
        annotated([], first_image={"file_name": "deep_two.jpg"})


NOTHING = "objects that draw no pixel: outside the image, without an area, or too small"


@pytest.mark.parametrize(
    ("segmentation", "what"),
    [
        (square(0, 0, 3, 3), None),
        (square(-2, -2, 3, 12), None),  # As people draw over an edge.
        (square(0, 9, 6, 12), NOTHING),
        (square(-4, 0, -1, 8), NOTHING),
        ([[1, 1, 5, 1, 3, 1]], NOTHING),
        ([[0.2, 0.2, 0.3, 0.2, 0.3, 0.3]], NOTHING),
        ({"size": [6, 8], "counts": [48]}, NOTHING),
        (
            square(0, 0, 3, 3) + square(0, 9, 6, 12),
            "objects that have a part outside the image",
        ),
    ],
)
def test_objects_that_vanish_are_named(annotated, segmentation, what):
    source = annotated([{"category_id": 3, "segmentation": segmentation}])
    (sample,) = source.samples(0, 1)
    told = [(f"{source.file}: {what}", "annotation 50 (one.jpg)")] if what else []
    assert list(sample.remarks) == told


def test_an_image_of_another_size_is_told_before_anything_is_drawn(annotated):
    source = annotated([], first_image={"height": 10**6, "width": 10**6})
    with pytest.raises(InputError, match="the mask is 1000000x1000000, its image 8x6"):
        first(source)


def test_annotations_of_one_id_are_all_drawn_and_told(annotated, caplog):
    objects = [
        {"id": 7, "category_id": 3, "segmentation": square(0, 0, 2, 2)},
        {"id": 7, "category_id": 3, "segmentation": square(4, 4, 6, 6)},
    ]
    assert first(annotated(objects)).sum() == 8
    assert "1 ids are of several annotations, as 7; all of these are drawn" in (
        caplog.text
    )


@pytest.mark.parametrize("side", ["height", "width"])
def test_an_image_without_its_size_is_named(annotated, side):
    with pytest.raises(InputError, match=rf"image 20 \(one\.jpg\) has no {side}$"):
        annotated([], first_image={side: None})


def test_objects_are_not_in_memory_all_at_once(annotated, monkeypatch):
    seen, alive = [], []

    class Watched(np.ndarray):
        pass

    plain = coco.rasterize

    def rasterize(*args):
        pixels = plain(*args).view(Watched)
        seen.append(weakref.ref(pixels))
        alive.append(sum(one() is not None for one in seen))
        return pixels

    objects = [
        {"category_id": 3, "segmentation": square(0, i, 6, i + 1)} for i in range(8)
    ]
    source = annotated(objects)
    monkeypatch.setattr(coco, "rasterize", rasterize)
    np.testing.assert_array_equal(first(source), np.ones((6, 8)))
    assert max(alive) <= 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"a\.json: not COCO's objects \("),
        ("[]", r"a\.json: not COCO's objects \("),
        ('{"categories": []}', r"a\.json: not COCO's objects \(it lacks 'images'\)"),
        ('{"categories": [], "images": []}', "it lacks 'annotations'"),
    ],
)
def test_a_file_of_something_else_is_told(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        coco.read_annotations(path)


def test_an_image_that_is_not_there_is_told(tmp_path):
    annotations = coco.Annotations(
        categories={1: "cat"}, images={"a": {"file_name": "a.jpg"}}, objects={}
    )
    with pytest.raises(InputError, match=r"a\.jpg: no such image; the annotations"):
        coco.find_images(annotations, [tmp_path])


def test_the_identity_follows_annotations_and_classes(annotated):
    objects = [{"category_id": 3, "segmentation": square(0, 0, 2, 2)}]
    source, other = annotated(objects), annotated(objects, wanted=("b", "cat"))
    before = source.identity()  # Of the same files as the other's.
    assert before == source.identity() != other.identity()
    source.file.write_text(source.file.read_text().replace("cat", "cow"))
    assert source.identity() != before
