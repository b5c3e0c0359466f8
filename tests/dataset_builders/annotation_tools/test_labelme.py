"""Exports of labelme: shapes, labels, photographs, and what is wrong with them."""

import base64
import io
import itertools
import json

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.errors import FlagError, InputError
from tests.dataset_builders.annotation_tools.exports import (
    HEIGHT,
    SIZE,
    WIDTH,
    X,
    Y,
    labelme,
    masks,
    photo,
    read,
    shape,
    write,
)

LABELS = "__ignore__\n_background_\ncar\ntree\nball\n"
BOX = [[5, 5], [25, 5], [25, 20], [5, 20]]


def drawn(tmp_path, *shapes, labels=LABELS, **options):
    """The mask of one photograph."""
    labelme(tmp_path / "p0.json", shapes)
    if labels:
        write(tmp_path / "labels.txt", labels)
    (mask,) = masks(read(tmp_path, **options)).values()
    return mask


def segment_distance(start, end):
    """Of each pixel's center, sampled along the segment."""
    along = np.linspace(0, 1, 501)[:, None, None]
    x = start[0] + along * (end[0] - start[0])
    y = start[1] + along * (end[1] - start[1])
    return np.sqrt(((X - x) ** 2 + (Y - y) ** 2).min(axis=0))


# Shapes


def test_a_polygon_is_the_pixels_whose_centers_lie_in_it(tmp_path):
    expected = np.where((X > 5) & (X < 25) & (Y > 5) & (Y < 20), 1, 0)
    np.testing.assert_array_equal(drawn(tmp_path, shape("car", BOX)), expected)
    assert expected.sum() == 20 * 15


def test_a_slanted_polygon_is_what_lies_on_one_side_of_all_its_edges(tmp_path):
    corners = [[3.2, 2.1], [40.7, 11.9], [22.4, 38.3]]
    inside = np.ones(SIZE, bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        inside &= (x1 - x0) * (Y - y0) - (y1 - y0) * (X - x0) > 0
    mask = drawn(tmp_path, shape("tree", corners))
    np.testing.assert_array_equal(mask, np.where(inside, 2, 0))
    np.testing.assert_array_equal(drawn(tmp_path, shape("tree", corners[::-1])), mask)


def test_a_concave_polygon_leaves_its_notch(tmp_path):
    notched = [
        [4, 4],
        [30, 4],
        [30, 30],
        [20, 30],
        [20, 12],
        [14, 12],
        [14, 30],
        [4, 30],
    ]
    inside = (X > 4) & (X < 30) & (Y > 4) & (Y < 30)
    inside &= ~((X > 14) & (X < 20) & (Y > 12))
    np.testing.assert_array_equal(drawn(tmp_path, shape("car", notched)), inside)


@pytest.mark.parametrize(
    "corners",
    [
        [[30, 10], [45, 35]],
        [[45, 35], [30, 10]],
        [[30, 35], [45, 10]],
        [[30, 10], [45, 10], [45, 35], [30, 35]],
    ],
)
def test_a_rectangle_is_told_by_any_two_opposite_corners_or_all(tmp_path, corners):
    expected = np.where((X > 30) & (X < 45) & (Y > 10) & (Y < 35), 2, 0)
    mask = drawn(tmp_path, shape("tree", corners, "rectangle"))
    np.testing.assert_array_equal(mask, expected)


def test_a_circle_is_told_by_its_center_and_a_point_on_it(tmp_path):
    expected = np.where(np.hypot(X - 20, Y - 30) <= 5, 3, 0)
    mask = drawn(tmp_path, shape("ball", [[20, 30], [23, 34]], "circle"))
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("line", [[3.5, 8.5], [40.5, 30.5]]),
        ("linestrip", [[3.5, 8.5], [30.5, 8.5], [30.5, 33.5]]),
    ],
)
@pytest.mark.parametrize("width", [5, 1.7])
def test_lines_are_as_wide_as_asked(tmp_path, kind, points, width):
    away = np.minimum.reduce(
        [segment_distance(*ends) for ends in itertools.pairwise(points)]
    )
    mask = drawn(tmp_path, shape("car", points, kind), line_width=width)
    sure = np.abs(away - width / 2) > 0.02  # It is sampled.
    np.testing.assert_array_equal(mask[sure], (away <= width / 2)[sure])


def test_a_point_is_a_disc_and_that_is_told(tmp_path, caplog):
    mask = drawn(tmp_path, shape("ball", [[20, 10]], "point"))
    np.testing.assert_array_equal(mask, np.where(np.hypot(X - 20, Y - 10) <= 2.5, 3, 0))
    assert "1 points drawn as discs of --line_width=5" in caplog.text


def test_a_mask_is_laid_where_its_box_begins(tmp_path):
    blob = np.array([[0, 1, 1], [1, 1, 0]], np.uint8)
    stream = io.BytesIO()
    Image.fromarray(blob * 255).save(stream, "PNG")
    encoded = base64.b64encode(stream.getvalue()).decode()
    expected = np.zeros(SIZE)
    expected[7:9, 11:14] = blob
    mask = drawn(tmp_path, shape("car", [[11, 7], [13, 8]], "mask", mask=encoded))
    np.testing.assert_array_equal(mask, expected)


def test_shapes_that_reach_out_of_the_photograph_are_cut(tmp_path, caplog):
    shapes = (
        shape("car", [[-9, -9], [10, -9], [10, 6], [-9, 6]]),
        shape("tree", [[44, 36], [90, 80]], "rectangle"),
    )
    expected = np.where((X < 10) & (Y < 6), 1, 0) + np.where((X > 44) & (Y > 36), 2, 0)
    np.testing.assert_array_equal(drawn(tmp_path, *shapes), expected)
    assert "left out" not in caplog.text


def test_the_later_shape_lies_on_top_and_that_is_told(tmp_path, caplog):
    tree = shape("tree", [[15, 10], [35, 30]], "rectangle")
    car = np.where((X > 5) & (X < 25) & (Y > 5) & (Y < 20), 1, 0)
    in_tree = (X > 15) & (X < 35) & (Y > 10) & (Y < 30)
    mask = drawn(tmp_path, shape("car", BOX), tree)
    np.testing.assert_array_equal(mask, np.where(in_tree, 2, car))
    said = (
        f"1 files whose shapes overlap; the later one lies on top: {tmp_path}/p0.json"
    )
    assert said in caplog.messages
    mask = drawn(tmp_path, tree, shape("car", BOX))
    np.testing.assert_array_equal(mask, np.where(car, 1, np.where(in_tree, 2, 0)))


def test_ignored_and_background_shapes_have_their_ids(tmp_path):
    mask = drawn(
        tmp_path,
        shape("car", BOX),
        shape("__ignore__", [[10, 5], [15, 20]], "rectangle"),
        shape("_background_", [[20, 5], [25, 20]], "rectangle"),
    )
    inside = (X > 5) & (X < 25) & (Y > 5) & (Y < 20)
    expected = np.where(inside, 1, 0)
    expected[inside & (X > 10) & (X < 15)] = 255
    expected[inside & (X > 20)] = 0
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (shape("car", [[1, 1], [9, 9]]), "which have too few points"),
        (
            shape("car", [[1, 1], [float("nan"), 9], [4, 4]]),
            "whose coordinates are no places",
        ),
        (shape("car", [[1, 1], [1e9, 9], [4, 4]]), "whose coordinates are no places"),
        (
            shape("car", [[100, 100], [120, 100], [120, 130]]),
            "which lie outside or cover no pixel",
        ),
        (
            shape("car", [[3.1, 3.1], [3.2, 3.1], [3.2, 3.2]]),
            "which lie outside or cover no pixel",
        ),
    ],
)
def test_shapes_that_are_none_are_counted_aloud(tmp_path, caplog, bad, said):
    mask = drawn(tmp_path, bad, shape("tree", [[1, 1], [9, 9]], "rectangle"))
    assert set(np.unique(mask)) == {0, 2}
    assert f"1 shapes left out, {said}: {tmp_path}/p0.json (car)" in caplog.messages


# Classes


def test_ids_follow_the_list_of_labels(tmp_path):
    labelme(tmp_path / "p0.json", [shape("tree", BOX)])
    write(
        tmp_path / "labels.txt", "\ufeff__ignore__\r\n_background_\r\ntree\r\ncar\r\n"
    )
    export = read(tmp_path)
    assert export.classes == ("_background_", "tree", "car")
    assert set(np.unique(masks(export)["p0"])) == {0, 1}


def test_without_a_list_ids_follow_the_names_and_that_is_told(tmp_path, caplog):
    labelme(tmp_path / "p0.json", [shape("tree", BOX), shape("__ignore__", BOX)])
    labelme(tmp_path / "p1.json", [shape("car", BOX)])
    export = read(tmp_path)
    assert export.classes == ("background", "car", "tree")
    assert "--class_names=background,car,tree gives another order" in caplog.text
    assert {name: int(mask[10, 10]) for name, mask in masks(export).items()} == {
        "p0": 255,
        "p1": 1,
    }


def test_the_users_names_win(tmp_path):
    mask = drawn(tmp_path, shape("car", BOX), class_names=("ground", "tree", "car"))
    assert mask[10, 10] == 2
    with pytest.raises(FlagError, match="and car is a label of the export; as backgr"):
        read(tmp_path, class_names=("car", "tree"))


def test_a_label_that_is_not_listed_is_named_with_its_file(tmp_path):
    labelme(tmp_path / "p1.json", [shape("bike", BOX)])
    said = rf"p1\.json: label bike is not in {tmp_path}/labels\.txt; add what"
    with pytest.raises(InputError, match=said):
        drawn(tmp_path, shape("car", BOX))


# Photographs


def test_photographs_lie_where_the_files_say_on_whatever_system(tmp_path):
    for i, place in enumerate(
        ("../photos/p0.jpg", "..\\photos\\p1.jpg", "D:\\x\\p2.jpg")
    ):
        photo(tmp_path / "photos" / f"p{i}.jpg")
        labelme(tmp_path / "labels" / f"p{i}.json", [shape("car", BOX)], place)
    assert [*masks(read(tmp_path))] == ["p0", "p1", "p2"]
    assert [*masks(read(tmp_path / "labels", photos=tmp_path / "photos"))] == [
        "p0",
        "p1",
        "p2",
    ]


def test_a_path_does_not_lead_out_of_the_export(tmp_path):
    photo(tmp_path / "secret.jpg")
    labelme(tmp_path / "export/p0.json", [shape("car", BOX)], "../secret.jpg")
    labelme(tmp_path / "export/p1.json", [shape("car", BOX)])
    said = (
        r"p0\.json: no photograph \.\./secret\.jpg below .*export; so of 1 of 2 "
        "annotations; --image_dir says where they are"
    )
    with pytest.raises(InputError, match=said):
        read(tmp_path / "export")


def test_photographs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for folder, label in (("a", "car"), ("b", "tree")):
        labelme(tmp_path / folder / "p.json", [shape(label, BOX)])
    found = {name: int(mask[10, 10]) for name, mask in masks(read(tmp_path)).items()}
    assert found == {"a_p": 1, "b_p": 2}
    labelme(tmp_path / "c.json", [shape("car", BOX)], "p.jpg")
    with pytest.raises(
        InputError, match=r"a/p\.jpg and .*b/p\.jpg: either may be p\.jpg"
    ):
        read(tmp_path)


def test_an_embedded_photograph_does_where_there_is_no_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode()
    for i in range(2):
        labelme(
            tmp_path / f"p{i}.json", [shape("car", BOX)], f"p{i}.jpg", imageData=data
        )
    source = read(tmp_path).splits[""]
    for sample in source.samples(0, 2):
        assert sample.image == stream.getvalue()
        assert (sample.image_format, sample.size) == ("png", SIZE)
    labelme(tmp_path / "p0.json", [], "p0.jpg", imageData=data[:400])
    with pytest.raises(InputError, match=r"p0\.json: imageData: a damaged image"):
        list(read(tmp_path).splits[""].samples(0, 2))


def test_photographs_without_a_file_are_counted_aloud(tmp_path, caplog):
    photo(tmp_path / "p7.jpg")
    photo(tmp_path / ".ipynb_checkpoints" / "p0.jpg")
    drawn(tmp_path, shape("car", BOX))
    said = f"1 of 2 photographs have no shapes and are left out: {tmp_path}/p7.jpg"
    assert said in caplog.messages


def test_two_files_of_one_photograph_are_refused(tmp_path):
    labelme(tmp_path / "copy.json", [shape("car", BOX)], "p0.jpg")
    with pytest.raises(
        InputError, match=r"p0\.json and .*copy\.json: both are of .*p0"
    ):
        drawn(tmp_path, shape("car", BOX))


# What can be wrong with files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"shapes": [', r"p1\.json: not JSON \(Expecting value"),
        ('{"shapes": 3, "imagePath": "p1.jpg"}', "lacks 'imageHeight'"),
        (
            '{"shapes": [], "imagePath": "", "imageHeight": null, "imageWidth": 4}',
            "an image of height None and width 4",
        ),
        (
            '{"shapes": [], "imagePath": "", "imageHeight": 90000, "imageWidth":90000}',
            "an image of 90000x90000 pixels: more than 178956970",
        ),
        ('{"shapes": [3], "imagePath": "", "imageHeight": 4, "imageWidth": 4}', "p1"),
        ("[" * 100000, "nested too deeply"),
    ],
)
def test_a_file_that_is_none_of_labelme_is_named(tmp_path, text, said):
    write(tmp_path / "p1.json", text)
    with pytest.raises(InputError, match=said):
        drawn(tmp_path, shape("car", BOX))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            shape("car", BOX, "cuboid"),
            r"a shape of car is a cuboid, which is none of po",
        ),
        (shape("car", [["a", 1], [2, 3], [4, 5]]), "points that are not pairs of numb"),
        (shape("car", [1, 2, 3]), "points that are not pairs of numbers"),
        (shape(None, BOX), "the label of a shape is None"),
        ({"points": BOX}, "lacks 'label'"),
    ],
)
def test_a_shape_that_cannot_be_drawn_names_its_file(tmp_path, wrong, said):
    with pytest.raises(InputError, match=rf"p0\.json: .*{said}"):
        drawn(tmp_path, wrong)


def test_other_files_of_json_are_passed_over_aloud(tmp_path, caplog):
    write(tmp_path / "package.json", {"name": "x"})
    drawn(tmp_path, shape("car", BOX))
    said = f"1 files of JSON without shapes passed over: {tmp_path}/package.json"
    assert said in caplog.messages


def test_identity_changes_with_shapes_and_with_the_width_of_lines(tmp_path):
    drawn(tmp_path, shape("car", BOX))
    before = read(tmp_path).splits[""].identity()
    assert read(tmp_path).splits[""].identity() == before
    assert read(tmp_path, line_width=7).splits[""].identity() != before
    facts = json.loads((tmp_path / "p0.json").read_text())
    facts["shapes"][0]["points"][0] = [4.5, 4.5]
    write(tmp_path / "p0.json", facts)
    assert read(tmp_path).splits[""].identity() != before
