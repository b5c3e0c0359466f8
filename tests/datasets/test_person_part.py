"""PASCAL-Person-Part, on a small tree in the layout of PASCAL-Part."""

import numpy as np
import pytest

from deeplab_tf.data.specs import person_part
from deeplab_tf.errors import InputError
from tests.datasets import trees

# By hand from the published table.
IDS = {
    **dict.fromkeys(["head", "hair", "leye", "reye", "lear", "rear"], 1),
    **dict.fromkeys(["lebrow", "rebrow", "nose", "mouth"], 1),
    **dict.fromkeys(["torso", "neck"], 2),
    **dict.fromkeys(["luarm", "ruarm"], 3),
    **dict.fromkeys(["llarm", "rlarm", "lhand", "rhand"], 4),
    **dict.fromkeys(["luleg", "ruleg"], 5),
    **dict.fromkeys(["llleg", "rlleg", "lfoot", "rfoot"], 6),
}
SIZE = (49, 13)
TRAIN, VAL = ["2008_000008", "2008_000034", "2008_000041"], ["2009_000001"]


def rows(*wanted):
    mask = np.zeros(SIZE, np.uint8)
    mask[list(wanted), 2:9] = 1
    return mask


def struct(**fields):
    return np.array([tuple(fields.values())], [(name, object) for name in fields])


def structs(*records):
    """MATLAB's struct array, `1xN`; `[]` of none is a matrix of 0x0."""
    return np.concatenate(records)[np.newaxis] if records else np.zeros((0, 0))


def parts(*named):
    return structs(*(struct(part_name=name, mask=mask) for name, mask in named))


def thing(kind, *named):
    fields = {"class": kind, "class_ind": 15.0, "mask": rows(0), "parts": parts(*named)}
    return struct(**fields)


def save(folder, stem, *things):
    io = pytest.importorskip("scipy.io")
    folder.mkdir(parents=True, exist_ok=True)
    anno = {"imname": stem, "objects": structs(*things)}
    io.savemat(folder / f"{stem}.mat", {"anno": anno})


# Every part in two rows of its own, from row 1, and what is expected of them.
ALL_PARTS = [(name, rows(2 * i + 1, 2 * i + 2)) for i, name in enumerate(IDS)]
EXPECTED = np.zeros(SIZE, np.uint8)
for i, wanted in enumerate(IDS.values()):
    EXPECTED[2 * i + 1 : 2 * i + 3, 2:9] = wanted


@pytest.fixture
def root(tmp_path, rng):
    root = tmp_path / "VOCdevkit" / "VOC2010"
    for split, stems in (("train", TRAIN), ("val", VAL)):
        trees.write_list(root / "ImageSets" / "Main" / f"{split}.txt", stems)
        for stem in stems:
            image = root / "JPEGImages" / f"{stem}.jpg"
            trees.write_photo(image, trees.photo(rng, *SIZE))
    return root


@pytest.fixture
def masks(tmp_path):
    """One image of a dog alone; one of a person of no parts; one of two people."""
    folder = tmp_path / "pascal-part" / "Annotations_Part"
    save(folder, TRAIN[0], thing("person", *ALL_PARTS))
    save(folder, TRAIN[1], thing("dog", ("tail", rows(3))), thing("person"))
    one = thing("person", ("head", rows(5, 6)), ("torso", rows(7, 8)))
    other = thing("person", ("lfoot", rows(8, 9)))
    save(folder, TRAIN[2], thing("dog", ("head", rows(20))), one, other)
    save(folder, VAL[0], thing("person", *ALL_PARTS))
    return folder


@pytest.fixture
def build(builder, root, tmp_path):
    module = builder("person_part")

    def run(masks, **settings):
        folders = {
            "image_folder": str(root / "JPEGImages"),
            "semantic_segmentation_folder": str(masks),
            "list_folder": str(root / "ImageSets" / "Main"),
            "output_dir": str(tmp_path / "records"),
        }
        module.build(module.PersonPartConfig(**(folders | settings)))
        return tmp_path / "records"

    return run


def test_the_table_is_the_published_one():
    assert person_part.ids() == IDS
    assert len(IDS) == 24
    assert person_part.SPEC.classes[1:3] == ("head", "torso")
    assert person_part.SPEC.palette[6] == (0, 128, 128)


def test_parts_are_merged_and_images_without_people_left_out(
    build, root, masks, caplog
):
    records = build(masks)
    assert trees.names(records, "train") == [TRAIN[0], TRAIN[2]]
    all_parts, two_people = trees.examples(records, "train")
    image = root / "JPEGImages" / f"{TRAIN[0]}.jpg"
    trees.assert_record(all_parts, image, EXPECTED)
    # Of the dog nothing is seen, and what comes later lies on top.
    expected = np.zeros(SIZE, np.uint8)
    expected[5:7, 2:9], expected[7, 2:9], expected[8:10, 2:9] = 1, 2, 6
    np.testing.assert_array_equal(trees.label(two_people), expected)
    assert trees.names(records, "val") == VAL
    facts = trees.described(records)
    assert (facts["name"], len(facts["classes"])) == ("pascal_person_part", 7)
    assert "train: 2 images; 1716 were published" in caplog.text


def test_png_masks_do_as_well(build, tmp_path):
    folder = tmp_path / "pascal_person_part_gt"
    ids = np.where(EXPECTED == 6, 255, EXPECTED)
    for stem in [*TRAIN, *VAL]:
        trees.write_mask(folder / f"{stem}.png", ids)
    records = build(folder)
    assert trees.names(records, "train") == TRAIN
    np.testing.assert_array_equal(trees.label(trees.examples(records, "val")[0]), ids)
    (folder / f"{TRAIN[1]}.png").unlink()
    with pytest.raises(InputError, match=r"no such file: .*2008_000034\.png"):
        build(folder)


def test_a_part_that_nobody_knows_is_named(build, masks):
    save(masks, TRAIN[0], thing("person", ("tail", rows(1))))
    with pytest.raises(InputError, match=r"2008_000008\.mat: part tail of a person"):
        build(masks)


def test_a_part_of_another_size_is_named(build, masks):
    save(masks, TRAIN[0], thing("person", ("head", rows(1)[:-1])))
    with pytest.raises(InputError, match="part head is 13x48, its object 13x49"):
        build(masks)


def test_a_file_of_something_else_is_named(build, masks):
    io = pytest.importorskip("scipy.io")
    io.savemat(masks / f"{VAL[0]}.mat", {"anno": {"imname": "x"}})
    with pytest.raises(InputError, match=r"2009_000001\.mat: no objects in it"):
        build(masks)
    save(masks, VAL[0])
    with pytest.raises(InputError, match=r"2009_000001\.mat: anno.objects is empty"):
        build(masks)


def test_without_scipy_the_extra_is_named(build, masks, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scipy", None)
    with pytest.raises(InputError, match=r"pip install 'deeplab-tf\[sbd\]'"):
        build(masks)
