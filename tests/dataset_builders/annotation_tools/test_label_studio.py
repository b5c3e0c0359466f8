"""Exports of Label Studio: masks of tags, and regions in the JSON of a project."""

import numpy as np
import pytest

from deeplab_tf.errors import InputError
from tests.dataset_builders.annotation_tools.exports import (
    HEIGHT,
    SIZE,
    WIDTH,
    X,
    Y,
    box,
    masks,
    photo,
    read,
    save,
    write,
)


def task(number, photo_, *annotations):
    return {"id": number, "data": {"image": photo_}, "annotations": [*annotations]}


# Masks of tags


def tag(folder, name, ids, task_=1, annotation=7):
    name = f"task-{task_}-annotation-{annotation}-by-1-tag-{name}-0.png"
    save(folder / "masks" / name, np.asarray(ids) * 255)


@pytest.fixture
def export(tmp_path):
    """Two tasks with the tags ball and tree, which do not overlap."""
    for i in range(2):
        photo(tmp_path / f"photos/p{i}.jpg")
        tag(tmp_path, "ball", box(1 - i, 0), i + 1, i + 7)
        tag(tmp_path, "tree", box(0, 1), i + 1, i + 7)
    tasks = [
        {"id": i + 1, "data": {"image": f"/data/upload/1/p{i}.jpg"}} for i in range(2)
    ]
    write(tmp_path / "project.json", tasks)
    return tmp_path


def test_each_tag_is_a_class(export, caplog):
    found = read(export)
    assert found.classes == ("background", "ball", "tree")
    drawn = masks(found)
    np.testing.assert_array_equal(drawn["p0"], box(1, 2))
    np.testing.assert_array_equal(drawn["p1"], box(0, 2))
    assert "--class_names=background,ball,tree gives another order" in caplog.text
    assert "1 masks without a pixel" in caplog.text


def test_the_user_orders_the_classes(export):
    found = read(export, class_names=("nothing", "tree", "ball"))
    np.testing.assert_array_equal(masks(found)["p0"], box(2, 1))


def test_where_tags_overlap_the_smaller_lies_on_top_and_that_is_told(export, caplog):
    on_ball = (X > 8) & (X < 12) & (Y > 8) & (Y < 12)
    tag(export, "tree", on_ball)
    expected = np.where(on_ball, 2, box(1, 0))
    np.testing.assert_array_equal(masks(read(export))["p0"], expected)
    assert "1 tasks whose tags overlap; the smaller lies on top" in caplog.text


def test_tags_may_have_dashes_blanks_and_several_masks(export):
    tag(export, "traffic-light on", box(0, 1))
    path = export / "masks/task-1-annotation-7-by-1-tag-ball-1.png"
    second = np.where((X > 40) & (Y < 5), 255, 0)
    save(path, second)
    found = read(export)
    assert found.classes == ("background", "ball", "traffic-light on", "tree")
    assert masks(found)["p0"][2, 45] == 1


def test_the_last_annotation_of_a_task_counts_and_that_is_told(export, caplog):
    tag(export, "ball", box(0, 1), annotation=12)
    np.testing.assert_array_equal(masks(read(export))["p0"], box(0, 1))
    assert "1 tasks annotated more than once; the last counts: task 1" in caplog.text


def test_soft_edges_belong_to_the_tag_from_half_on(export, caplog):
    soft = np.zeros(SIZE, np.uint8)
    soft[0, :4] = (1, 127, 128, 255)
    save(export / "masks/task-1-annotation-7-by-1-tag-ball-0.png", soft)
    mask = masks(read(export))["p0"]
    assert mask[0, :5].tolist() == [0, 0, 1, 1, 0]
    assert "1 masks with soft edges, drawn from 128 of 255 on" in caplog.text


def test_masks_of_0_and_1_are_refused(export):
    save(export / "masks/task-1-annotation-7-by-1-tag-ball-0.png", box(1, 0))
    with pytest.raises(InputError, match=r"tag-ball-0\.png: values up to 1, where a m"):
        read(export)


def test_masks_of_two_sizes_in_a_task_are_refused(export):
    save(export / "masks/task-1-annotation-7-by-1-tag-tree-0.png", np.zeros((4, 5)))
    with pytest.raises(InputError, match=r"its tags have masks of 48x40 and 5x4 \(wid"):
        read(export)


@pytest.mark.parametrize(
    "named",
    [
        "/data/upload/3/0a1b2c3d-p0.jpg",
        "/data/local-files/?d=photos/p0.jpg",
        "https://host/bucket/p0.jpg?token=a.png",
        "s3://bucket/folder/p0.jpg",
        "p0.jpg",
    ],
)
def test_photographs_are_found_by_addresses_of_every_form(export, named):
    write(export / "project.json", [task(1, named), task(2, "p1.jpg")])
    assert [*masks(read(export))] == ["p0", "p1"]


def test_the_short_form_of_the_json_names_photographs_too(export):
    tasks = [{"id": i + 1, "image": f"/data/upload/p{i}.jpg"} for i in range(2)]
    write(export / "project.json", tasks)
    assert [*masks(read(export))] == ["p0", "p1"]


def test_without_the_json_nobody_knows_the_photographs(export):
    (export / "project.json").unlink()
    said = (
        r"tag-ball-0\.png: no JSON below .* says which photograph is task 1; so of "
        "2 of 2 tasks; export the project as JSON, too, and put it there"
    )
    with pytest.raises(InputError, match=said):
        read(export)


def test_a_photograph_that_is_missing_is_named_and_counted(export):
    (export / "photos/p1.jpg").unlink()
    said = r"task-2-.*png: no photograph p1\.jpg below .*; so of 1 of 2 annotations"
    with pytest.raises(InputError, match=said):
        read(export)


def test_identity_changes_with_each_mask_of_a_task(export):
    before = read(export).splits[""].identity()
    assert read(export).splits[""].identity() == before
    tag(export, "tree", box(1, 1))
    assert read(export).splits[""].identity() != before


# Regions


def region(kind, label, value, **changes):
    result = {
        "type": kind,
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {**value, kind: [label]},
    }
    return result | changes


def percents(*points):
    return [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]


def drawn(tmp_path, *results):
    photo(tmp_path / "p0.jpg")
    write(
        tmp_path / "project.json",
        [task(1, "/data/upload/1/0a1b2c3d-p0.jpg", {"id": 5, "result": [*results]})],
    )
    (mask,) = masks(read(tmp_path)).values()
    return mask


def a_box(label="car"):
    corners = percents((5, 5), (25, 5), (25, 20), (5, 20))
    return region("polygonlabels", label, {"points": corners})


def test_a_polygon_is_in_percents(tmp_path):
    expected = (X > 5) & (X < 25) & (Y > 5) & (Y < 20)
    np.testing.assert_array_equal(drawn(tmp_path, a_box()), expected)


def test_a_rectangle_is_turned_around_its_first_corner(tmp_path):
    ((x, y), (width, height)) = percents((20, 10), (18, 7))
    value = {"x": x, "y": y, "width": width, "height": height}
    plain = drawn(tmp_path, region("rectanglelabels", "car", value | {"rotation": 0}))
    expected = (X > 20) & (X < 38) & (Y > 10) & (Y < 17)
    np.testing.assert_array_equal(plain, expected)
    turned = drawn(tmp_path, region("rectanglelabels", "car", value | {"rotation": 90}))
    expected = (X > 13) & (X < 20) & (Y > 10) & (Y < 28)
    np.testing.assert_array_equal(turned, expected)
    value |= {"rotation": 30}
    along = (X - 20) * np.cos(np.pi / 6) + (Y - 10) * np.sin(np.pi / 6)
    across = (Y - 10) * np.cos(np.pi / 6) - (X - 20) * np.sin(np.pi / 6)
    expected = (along > 0) & (along < 18) & (across > 0) & (across < 7)
    np.testing.assert_array_equal(
        drawn(tmp_path, region("rectanglelabels", "car", value)), expected
    )


def test_an_ellipse_has_two_radii_and_an_angle(tmp_path):
    ((x, y), (first, second)) = percents((24, 20), (15, 6))
    value = {"x": x, "y": y, "radiusX": first, "radiusY": second, "rotation": 0}
    expected = ((X - 24) / 15) ** 2 + ((Y - 20) / 6) ** 2 <= 1
    np.testing.assert_array_equal(
        drawn(tmp_path, region("ellipselabels", "car", value)), expected
    )
    value["rotation"] = 90
    expected = ((X - 24) / 6) ** 2 + ((Y - 20) / 15) ** 2 <= 1
    np.testing.assert_array_equal(
        drawn(tmp_path, region("ellipselabels", "car", value)), expected
    )


def brush(pixels, rng=None):
    """A picture in RGBA as Label Studio packs it: runs, and values one by one."""
    values = np.zeros((*SIZE, 4), np.uint8)
    values[..., :3] = 77
    values[..., 3] = pixels
    flat, bits, at = values.ravel().tolist(), [], 0
    bits.append(f"{len(flat):032b}{8 - 1:05b}")
    lengths = (3, 4, 8, 16)
    bits += [f"{length - 1:04b}" for length in lengths]
    while at < len(flat):
        run = 1
        while at + run < len(flat) and flat[at + run] == flat[at] and run < 60000:
            run += 1
        repeated = run > 2
        count = run if repeated else min(3, len(flat) - at)
        kind = next(i for i, length in enumerate(lengths) if count - 1 < 2**length)
        bits.append(f"{repeated:b}{kind:02b}{count - 1:0{lengths[kind]}b}")
        some = flat[at : at + 1] if repeated else flat[at : at + count]
        bits += [f"{value:08b}" for value in some]
        at += count
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def test_a_brush_is_unpacked(tmp_path):
    painted = np.hypot(X - 20, Y - 17) < 11
    soft = np.where(painted, 255, np.where(X > 44, 127, 0))
    value = {"format": "rle", "rle": brush(soft)}
    np.testing.assert_array_equal(
        drawn(tmp_path, region("brushlabels", "car", value)), painted
    )


@pytest.mark.parametrize("cut", [slice(None, 30), slice(None, 4), slice(3, None)])
def test_a_brush_that_is_cut_off_names_its_task(tmp_path, cut):
    value = {"format": "rle", "rle": brush(np.zeros(SIZE))[cut]}
    with pytest.raises(InputError, match=r"project\.json/task-1: not Label Studio's t"):
        drawn(tmp_path, region("brushlabels", "car", value))


def test_the_later_region_lies_on_top_and_that_is_told(tmp_path, caplog):
    in_box = (X > 5) & (X < 25) & (Y > 5) & (Y < 20)
    in_other = (X > 15) & (X < 40) & (Y > 10) & (Y < 30)
    corners = percents((15, 10), (40, 10), (40, 30), (15, 30))
    other = region("polygonlabels", "tree", {"points": corners})
    mask = drawn(tmp_path, a_box(), other)
    np.testing.assert_array_equal(mask, np.where(in_other, 2, in_box))
    assert "1 tasks whose regions overlap; the later lies on top" in caplog.text
    mask = drawn(tmp_path, other, a_box())
    np.testing.assert_array_equal(mask, np.where(in_box, 1, np.where(in_other, 2, 0)))


def test_tasks_without_regions_and_other_results_are_told(tmp_path, caplog):
    for i in range(3):
        photo(tmp_path / f"p{i}.jpg")
    choice = {"type": "choices", "value": {"choices": ["sunny"]}}
    done = {"id": 5, "result": [a_box(), choice]}
    canceled = {"id": 9, "result": [], "was_cancelled": True}
    tasks = [task(1, "p0.jpg", done, canceled), task(2, "p1.jpg"), task(3, "p2.jpg")]
    write(tmp_path / "project.json", tasks)
    assert [*masks(read(tmp_path))] == ["p0"]
    assert "1 tasks with results that are no regions (choices)" in caplog.text
    assert "2 tasks without regions left out" in caplog.text
    assert "2 of 3 photographs have no mask and are left out" in caplog.text


def test_a_region_that_cannot_be_drawn_names_its_task(tmp_path):
    for wrong in (
        region("polygonlabels", "car", {"points": [[1, "a"], [2, 3], [4, 5]]}),
        region("polygonlabels", "car", {}),
        region("polygonlabels", "car", {"points": []}, original_width=0),
        region("rectanglelabels", "car", {"x": 1}),
        a_box() | {"image_rotation": 90},
        region("brushlabels", "car", {"format": "png", "rle": []}),
    ):
        with pytest.raises(InputError, match=r"project\.json/task-1: "):
            drawn(tmp_path, wrong)
