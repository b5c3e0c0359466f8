"""--annotation_dir: what an export is taken for, how it is divided, what is refused."""

import typing

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.dataset_builders import (
    AnnotationsConfig,
    ImagesConfig,
    annotation_tools,
)
from deeplab_tf.errors import FlagError, InputError
from tests.dataset_builders.annotation_tools.exports import (
    box,
    folder_config,
    labelme,
    photo,
    read,
    save,
    shape,
    write,
)
from tests.datasets.trees import described, names, write_list

CAR = shape("car", [[5, 5], [25, 5], [25, 20], [5, 20]])


@pytest.fixture
def build(builder, tmp_path):
    def run(folder, **changes):
        module = builder("folder")
        given = {"annotation_dir": str(folder), "output_dir": str(tmp_path / "records")}
        module.build(folder_config(module, **given | changes))
        return tmp_path / "records"

    return run


def of_labelme(folder, *stems):
    for stem in stems:
        labelme(folder / f"{stem}.json", [CAR])
    return folder


def of_roboflow(folder):
    for split in ("train", "valid"):
        for i in range(2):
            photo(folder / split / f"{split}{i}.jpg")
            save(folder / split / f"{split}{i}_mask.png", box(1))
        write(folder / split / "_classes.csv", "Pixel Value, Class\n0, no\n1, ball\n")
    return folder


# What it is taken for


def test_the_flag_lists_the_tools_that_there_are():
    flag = typing.get_type_hints(AnnotationsConfig)["annotation_tool"]
    assert typing.get_args(flag) == ("auto", *annotation_tools.TOOLS)


def test_a_folder_of_no_tool_lists_what_each_is_known_by(tmp_path):
    photo(tmp_path / "photos/p0.jpg")
    write(tmp_path / "notes.json", {"a": 1})
    said = (
        "not an export of a tool that is known .*labelme: JSON with shapes and "
        "imagePath; .*superannotate: .*; photographs and masks of the same names are "
        "for --image_dir and --label_dir"
    )
    with pytest.raises(InputError, match=said):
        read(tmp_path)


def test_a_folder_of_two_tools_asks_which(tmp_path):
    of_roboflow(tmp_path)
    of_labelme(tmp_path / "train", "p0")
    said = "looks like exports of labelme and roboflow; say which by --annotation_tool"
    with pytest.raises(InputError, match=said):
        read(tmp_path)
    assert read(tmp_path, "labelme").classes == ("background", "car")


def test_the_wrong_tool_is_told_the_right_one(tmp_path):
    of_labelme(tmp_path, "p0")
    said = (
        "--annotation_tool=voc: .* has no SegmentationClass without labelmap.txt; it "
        "looks like an export of labelme"
    )
    with pytest.raises(InputError, match=said):
        read(tmp_path, "voc")


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read(tmp_path / "nowhere")
    for name, remedy in (("a.zip", "unpack it"), ("a.json", "give the folder it lies")):
        (tmp_path / name).write_text("{}")
        with pytest.raises(FlagError, match=f"{name}: a file; {remedy}"):
            read(tmp_path / name)


def test_a_file_of_json_that_is_damaged_is_the_reason(tmp_path):
    write(tmp_path / "p0.json", '{"shapes": [')
    with pytest.raises(InputError, match=r"p0\.json: not JSON \(Expecting value: line"):
        read(tmp_path)


def test_hidden_files_and_loops_of_links_are_passed_over(tmp_path):
    of_labelme(tmp_path, "p0")
    write(tmp_path / "._p0.json", "\0\5\26\7")
    write(tmp_path / ".ipynb_checkpoints/p0-checkpoint.json", "{")
    write(tmp_path / "__MACOSX/p0.json", "{")
    (tmp_path / "again").symlink_to(".")
    assert len(read(tmp_path).splits[""]) == 1


# How it is divided


def test_an_undivided_export_is_divided_at_random_or_by_lists(build, tmp_path):
    folder = of_labelme(tmp_path / "export", *(f"p{i}" for i in range(5)))
    records = build(folder)
    assert described(records)["split_sizes"] == {"train": 4, "val": 1}
    write_list(tmp_path / "train.txt", ["p3", "p1"])
    write_list(tmp_path / "val.txt", ["p0"])
    lists = {name: str(tmp_path / f"{name[:-5]}.txt") for name in LISTS}
    records = build(folder, **lists)
    assert names(records, "train") == ["p3", "p1"]
    assert names(records, "val") == ["p0"]


LISTS = ("train_list", "val_list")


def test_folders_of_an_undivided_export_are_splits_if_asked(build, tmp_path):
    folder = of_labelme(tmp_path / "export", "train/p0", "train/p1", "valid/p2")
    said = r"--annotation_dir=.*export: it has folders train and valid; give --split_by"
    with pytest.raises(FlagError, match=said):
        build(folder)
    records = build(folder, split_by_folder=True)
    assert described(records)["split_sizes"] == {"train": 2, "val": 1}
    assert names(build(folder, split_by_folder=False), "val") in (
        [["train_p0"], ["train_p1"], ["valid_p2"]]
    )


def test_an_export_that_is_divided_stays_so(build, tmp_path, caplog):
    folder = of_roboflow(tmp_path / "export")
    assert described(build(folder))["split_sizes"] == {"train": 2, "val": 2}
    assert "splits as exported, train, val, whatever --val_fraction" in caplog.text
    lists = {name: str(tmp_path / "list.txt") for name in LISTS}
    with pytest.raises(FlagError, match=r"has the splits train, val alr"):
        build(folder, **lists)
    with pytest.raises(FlagError, match="--split_by_folder: "):
        build(folder, split_by_folder=False)


def test_of_an_export_to_train_on_alone_some_becomes_val(build, tmp_path, caplog):
    folder = of_roboflow(tmp_path / "export")
    for path in (folder / "valid").iterdir():
        path.unlink()
    records = build(folder)
    assert described(records)["split_sizes"] == {"train": 1, "val": 1}
    assert "train is its only split; some becomes val" in caplog.text


# Flags


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label_dir": "masks"}, "--annotation_dir and --label_dir: one of them"),
        ({"color_table": "c"}, "--annotation_dir and --color_table: one of them"),
        (
            {"coco_annotations": ("c",)},
            "--annotation_dir and --coco_annotations: one of",
        ),
        ({"label_map": ("1:0",)}, "--annotation_dir and --label_map: one of them"),
        ({"reduce_zero_label": True}, "--annotation_dir and --reduce_zero_label: one"),
        ({"line_width": 0.0}, "--line_width=0.0: more than 0 is needed"),
        ({"output_dir": None}, "--output_dir is missing"),
        ({"num_classes": 3}, "--num_classes=3, but there are 2 classes, backg"),
        ({"transparent": "ignore"}, "--transparent is for superannotate, and .* is an"),
    ],
)
def test_flags_that_cannot_be_meant_say_why(build, tmp_path, changes, said):
    folder = of_labelme(tmp_path / "export", "p0", "p1")
    with pytest.raises(FlagError, match=said):
        build(folder, **changes)
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    "changes",
    [{"line_width": 3.0}, {"transparent": "ignore"}, {"annotation_tool": "voc"}],
)
def test_flags_of_exports_without_one_are_refused(changes):
    (name,) = changes
    with pytest.raises(FlagError, match=f"--{name} is for --annotation_dir, which"):
        AnnotationsConfig(**changes)


def test_an_annotation_of_another_size_than_its_photograph_is_named(build, tmp_path):
    folder = of_labelme(tmp_path / "export", "p0", "p1")
    photo(folder / "p1.jpg", (30, 20))
    said = (
        r"p1\.json: the mask is 48x40, its image 20x30 \(width x height\); it was "
        "drawn on another photograph, or at another size"
    )
    with pytest.raises(InputError, match=said):
        build(folder)
    assert not (tmp_path / "records").exists()


def test_a_damaged_mask_is_left_out_if_asked(build, tmp_path, caplog):
    folder = tmp_path / "export"
    for i in range(3):
        photo(folder / f"p{i}.jpg")
        save(folder / f"task-{i}-annotation-7-by-1-tag-ball-0.png", box() * 255)
    write(folder / "tasks.json", [{"id": i, "image": f"p{i}.jpg"} for i in range(3)])
    damaged = folder / "task-1-annotation-7-by-1-tag-ball-0.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(InputError, match=r"task-1-.*: a damaged image"):
        build(folder)
    records = build(folder, images=ImagesConfig(skip_damaged=True))
    assert sum(described(records)["split_sizes"].values()) == 2


# What people try without it


def tried(builder, tmp_path, image_dir, label_dir, **changes):
    module = builder("folder")
    given = {
        "image_dir": str(image_dir),
        "label_dir": str(label_dir),
        "output_dir": str(tmp_path / "records"),
        "class_names": ("background", "car"),
    }
    with pytest.raises(InputError) as error:
        module.build(module.FolderConfig(**given | changes))
    assert not (tmp_path / "records").exists()
    return str(error.value)


def test_an_export_given_as_photographs_and_masks_is_recognized(builder, tmp_path):
    folder = of_labelme(tmp_path / "F/photos", "p0", "p1").parent
    write(folder / "labels.txt", "__ignore__\n_background_\ncar\n")
    photos, listed = folder / "photos", {"class_names": (str(folder / "labels.txt"),)}
    end = (
        f"{photos} is an export of labelme, which is read by --annotation_dir={folder} "
        "in place of --image_dir and --label_dir"
    )
    assert tried(builder, tmp_path, photos, photos, **listed).endswith(end)
    end = end.replace(f"_dir={folder} ", f"_dir={photos} ")
    assert tried(builder, tmp_path, photos, photos).endswith(end)


def test_masks_of_tags_given_as_masks_are_recognized(builder, tmp_path):
    photo(tmp_path / "F/photos/p0.jpg")
    save(tmp_path / "F/masks/task-1-annotation-7-by-1-tag-ball-0.png", box() * 255)
    said = tried(builder, tmp_path, tmp_path / "F/photos", tmp_path / "F/masks")
    assert f"label_studio, which is read by --annotation_dir={tmp_path}/F in" in said


def test_a_list_of_classes_of_a_tool_given_as_names_or_colors_is_recognized(
    builder, tmp_path
):
    photo(tmp_path / "p0.jpg")
    save(tmp_path / "p0.jpg___fuse.png", np.zeros((40, 48, 4)))
    write(tmp_path / "classes/classes.json", [{"name": "ball", "color": "#ff0078"}])
    file = str(tmp_path / "classes/classes.json")
    for given in ({"color_table": file, "class_names": ()}, {"class_names": (file,)}):
        said = tried(builder, tmp_path, tmp_path, tmp_path, **given)
        assert f"superannotate, which is read by --annotation_dir={tmp_path} in" in said


def test_plain_masks_are_told_of_no_tool(builder, tmp_path):
    photo(tmp_path / "photos/p0.jpg")
    Image.new("RGB", (48, 40), "red").save(tmp_path / "p0.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "p0.png").rename(tmp_path / "masks/p0.png")
    said = tried(builder, tmp_path, tmp_path / "photos", tmp_path / "masks")
    assert "--annotation_dir" not in said
