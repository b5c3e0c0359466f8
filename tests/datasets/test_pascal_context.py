"""PASCAL-Context, on a small tree in its layout."""

import numpy as np
import pytest

from deeplab_tf.data.specs import pascal_context, voc2012
from deeplab_tf.errors import InputError
from tests.datasets import trees

# Ids 1 to 59, by hand from the published list.
CLASSES = [
    *voc2012.SPEC.classes[1:],
    *("bag", "bed", "bench", "book", "building", "cabinet", "ceiling", "clothes"),
    *("computer", "cup", "door", "fence", "floor", "flower", "food", "grass", "ground"),
    *("keyboard", "light", "mountain", "mouse", "curtain", "platform", "sign", "plate"),
    *(
        "road",
        "rock",
        "shelves",
        "sidewalk",
        "sky",
        "snow",
        "bedcloth",
        "track",
        "tree",
    ),
    *("truck", "wall", "water", "window", "wood"),
]
RENAMED = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}
# The 459 labels: these at 7, 14, 21, ..., and others between.
LABELS = {7 * (i + 1): RENAMED.get(name, name) for i, name in enumerate(CLASSES)}
TRAIN, VAL = ["2008_000002", "2008_000003", "2009_000001"], ["2010_000001"]
#         other, aeroplane, other, wood, unlabelled, dining table, other, bedcloth
LABEL_MAP = trees.bands(17, 6, [459, 7, 1, 413, 0, 77, 6, 364])
EXPECTED = trees.bands(17, 6, [0, 1, 0, 59, 0, 11, 0, 52])


@pytest.fixture
def root(tmp_path, rng):
    root = tmp_path / "VOCdevkit" / "VOC2010"
    for split, stems in (("train", TRAIN), ("val", VAL)):
        trees.write_list(root / "ImageSets" / "Main" / f"{split}.txt", stems)
        # Lists of Main that are no splits.
        lines = [f"{stem} -1" for stem in stems]
        trees.write_list(root / "ImageSets" / "Main" / f"dog_{split}.txt", lines)
        for stem in stems:
            image = root / "JPEGImages" / f"{stem}.jpg"
            trees.write_photo(image, trees.photo(rng, 17, 6))
    return root


@pytest.fixture
def mat(tmp_path):
    """trainval/*.mat and labels.txt."""
    io = pytest.importorskip("scipy.io")
    home = tmp_path / "pascal-context"
    (home / "trainval").mkdir(parents=True)
    for stem in [*TRAIN, *VAL]:
        content = {"LabelMap": LABEL_MAP.astype(np.uint16)}
        io.savemat(home / "trainval" / f"{stem}.mat", content)
    names = [LABELS.get(number, f"thing {number}") for number in range(1, 460)]
    lines = [f"{number}: {name}" for number, name in enumerate(names, start=1)]
    trees.write_list(home / "labels.txt", lines)
    return home


@pytest.fixture
def build(builder, root, tmp_path):
    module = builder("pascal_context")

    def run(masks, **settings):
        config = module.PascalContextConfig(
            image_folder=str(root / "JPEGImages"),
            semantic_segmentation_folder=str(masks),
            label_names=str(masks.parent / "labels.txt"),
            list_folder=str(root / "ImageSets" / "Main"),
            output_dir=str(tmp_path / "records"),
            **settings,
        )
        module.build(config)
        return tmp_path / "records"

    return run


def test_the_classes_are_the_published_ones():
    assert pascal_context.SPEC.classes == ("background", *CLASSES)
    assert pascal_context.SPEC_59.classes == tuple(CLASSES)
    assert len(CLASSES) == 59


def test_459_labels_become_60_by_name(build, root, mat, caplog):
    records = build(mat / "trainval")
    for split, stems in (("train", TRAIN), ("val", VAL)):
        examples = trees.examples(records, split)
        for features, stem in zip(examples, stems, strict=True):
            image = root / "JPEGImages" / f"{stem}.jpg"
            trees.assert_record(features, image, EXPECTED)
    facts = trees.described(records)
    assert (facts["name"], len(facts["classes"])) == ("pascal_context", 60)
    assert facts["split_sizes"] == {"train": 3, "val": 1}
    assert "val: 1 images; 5105 were published" in caplog.text


def test_59_classes_count_from_0(build, mat):
    records = build(mat / "trainval", reduce_zero_label=True)
    expected = trees.bands(17, 6, [255, 0, 255, 58, 255, 10, 255, 51])
    for features in trees.examples(records, "train"):
        np.testing.assert_array_equal(trees.label(features), expected)
    facts = trees.described(records)
    assert (facts["name"], facts["classes"][0]) == ("pascal_context_59", "aeroplane")
    assert facts["ignore_label"] == 255


@pytest.mark.parametrize("reduced", [False, True])
def test_png_masks_of_the_60_do_as_well(build, tmp_path, reduced):
    masks = tmp_path / "59_context_labels"
    for stem in [*TRAIN, *VAL]:
        trees.write_mask(masks / f"{stem}.png", EXPECTED)
    (features,) = trees.examples(build(masks, reduce_zero_label=reduced), "val")
    less = np.where(EXPECTED == 0, 255, EXPECTED - 1) if reduced else EXPECTED
    np.testing.assert_array_equal(trees.label(features), less)


def test_the_published_order_may_lie_beside_the_names(build, mat):
    order = [f"{i}: {name}" for i, name in enumerate(CLASSES, start=1)]
    trees.write_list(mat / "59_labels.txt", order)
    build(mat / "trainval")
    order = [f"{i}: {name}" for i, name in enumerate(sorted(CLASSES), start=1)]
    trees.write_list(mat / "59_labels.txt", order)
    with pytest.raises(InputError, match=r"59_labels\.txt: 2 is bag there, but not in"):
        build(mat / "trainval")


def rename(home, old, new):
    names = home / "labels.txt"
    names.write_text(names.read_text().replace(old, new))


def save(home, **content):
    pytest.importorskip("scipy.io").savemat(
        home / "trainval" / f"{TRAIN[1]}.mat", content
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda home: rename(home, ": cloth\n", ": x\n"), "no label clothes or cloth"),
        (lambda home: rename(home, "7: aer", "7 aer"), r'a line "7 aeroplane", not as'),
        (
            lambda home: (home / "labels.txt").unlink(),
            r"labels\.txt: no such file",
        ),
        (lambda home: save(home, Map=LABEL_MAP), "no LabelMap in it"),
        (lambda home: save(home, LabelMap=LABEL_MAP / 2), "holds no mask of ids"),
        (
            lambda home: save(home, LabelMap=LABEL_MAP + 99),
            "ids 463, 512, 558 are neither",
        ),
        (
            lambda home: save(home, LabelMap=LABEL_MAP[1:]),
            "the mask is 6x16, its image 6x17",
        ),
        (
            lambda home: (home / "trainval" / f"{VAL[0]}.mat").unlink(),
            r"no such file: .*2010_000001\.png, nor .*2010_000001\.mat",
        ),
    ],
)
def test_what_is_wrong_is_named(build, mat, damage, message):
    damage(mat)
    with pytest.raises(InputError, match=message):
        build(mat / "trainval")
