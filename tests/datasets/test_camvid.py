"""CamVid, on small trees in three layouts."""

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.data.specs import camvid
from deeplab_tf.dataset_builders import published
from deeplab_tf.errors import InputError
from tests.datasets import trees

STEMS = {
    "train": ["0001TP_006690", "0016E5_00390", "0006R0_f00930"],
    "val": ["0016E5_07959"],
    "test": ["Seq05VD_f00000", "0001TP_008550"],
}
SIZE = (15, 21)
IDS = trees.bands(*SIZE, [0, 10, 11, 1, 9])
EXPECTED = trees.bands(*SIZE, [0, 10, 255, 1, 9])
# Color -> class, by hand from the published table, row by row.
COLORS = {
    (128, 128, 128): 0,
    **dict.fromkeys([(128, 0, 0), (0, 128, 64), (64, 192, 0)], 1),
    **dict.fromkeys([(64, 0, 64), (192, 0, 128)], 1),
    **dict.fromkeys([(192, 192, 128), (0, 0, 64)], 2),
    **dict.fromkeys([(128, 64, 128), (128, 0, 192), (192, 0, 64)], 3),
    **dict.fromkeys([(0, 0, 192), (64, 192, 128), (128, 128, 192)], 4),
    **dict.fromkeys([(128, 128, 0), (192, 192, 0)], 5),
    **dict.fromkeys([(192, 128, 128), (128, 128, 64), (0, 64, 64)], 6),
    (64, 64, 128): 7,
    **dict.fromkeys([(64, 0, 128), (64, 128, 192), (192, 128, 192)], 8),
    **dict.fromkeys([(192, 64, 128), (128, 64, 64)], 8),
    **dict.fromkeys([(64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)], 9),
    **dict.fromkeys([(0, 128, 192), (192, 0, 192)], 10),
    (0, 0, 0): 255,
}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "CamVid"


@pytest.fixture
def build(builder, root, tmp_path):
    module = builder("camvid")

    def run(**settings):
        folders = {"camvid_root": str(root), "output_dir": str(tmp_path / "records")}
        module.build(module.CamvidConfig(**(folders | settings)))
        return tmp_path / "records"

    return run


def write(root, rng, layout):
    """Images and masks where a layout has them; the folder of the images."""
    image, mask = {
        "folders": ("images/{split}/{stem}.jpg", "labels/{split}/{stem}.png"),
        "segnet": ("{split}/{stem}.png", "{split}annot/{stem}.png"),
    }[layout]
    for split, stems in STEMS.items():
        for stem in stems:
            photo = trees.photo(rng, *SIZE)
            trees.write_photo(root / image.format(split=split, stem=stem), photo)
            trees.write_mask(root / mask.format(split=split, stem=stem), IDS)
    return lambda split, stem: root / image.format(split=split, stem=stem)


def write_segnet_lists(root):
    for split, stems in STEMS.items():
        lines = [
            f"/SegNet/CamVid/{split}/{stem}.png /SegNet/CamVid/{split}annot/{stem}.png"
            for stem in stems
        ]
        trees.write_list(root / f"{split}.txt", lines)


@pytest.mark.parametrize("layout", ["folders", "segnet"])
def test_folders_are_splits_in_the_order_of_names(build, root, rng, layout):
    image = write(root, rng, layout)
    records = build()
    for split, stems in STEMS.items():
        examples = trees.examples(records, split)
        for features, stem in zip(examples, sorted(stems), strict=True):
            trees.assert_record(features, image(split, stem), EXPECTED)
    facts = trees.described(records)
    assert facts["classes"] == list(camvid.SPEC.classes)
    assert facts["split_sizes"] == {"train": 3, "val": 1, "test": 2}
    # Of 15 rows, three are void, and of each of four classes there are three.
    assert sorted(facts["pixel_counts"]["val"]) == [0] * 7 + [3 * 21] * 4


def test_lists_of_segnet_order_the_records(build, root, rng):
    write(root, rng, "segnet")
    write_segnet_lists(root)
    records = build()
    for split, stems in STEMS.items():
        assert trees.names(records, split) == stems


@pytest.fixture
def original(root, rng):
    """Masks of all 32 colors, a row each."""
    colors = trees.bands(32, 9, range(32))
    for stem in (stem for stems in STEMS.values() for stem in stems):
        trees.write_photo(
            root / "701_StillsRaw_full" / f"{stem}.png", trees.photo(rng, 32, 9)
        )
        mask = root / "LabeledApproved_full" / f"{stem}_L.png"
        trees.write_photo(mask, np.array(list(COLORS), np.uint8)[colors])
    return root


@pytest.mark.parametrize("lists", ["of SegNet", "of stems"])
def test_32_colors_become_11_classes(build, original, tmp_path, lists):
    folder = tmp_path / "lists"
    folder.mkdir()
    for split, stems in STEMS.items():
        trees.write_list(folder / f"{split}.txt", stems)
    if lists == "of SegNet":
        write_segnet_lists(folder)
    assert len(COLORS) == 32
    expected = np.repeat(np.array(list(COLORS.values()))[:, np.newaxis], 9, axis=1)
    records = build(list_folder=str(folder))
    for split, stems in STEMS.items():
        assert trees.names(records, split) == stems
        for features in trees.examples(records, split):
            np.testing.assert_array_equal(trees.label(features), expected)


def test_another_color_is_named(original):
    mask = original / "LabeledApproved_full" / "0016E5_07959_L.png"
    pixels = np.asarray(Image.open(mask)).copy()
    pixels[3, 4] = 1, 2, 3
    trees.write_photo(mask, pixels)
    message = r"0016E5_07959_L\.png: color 1 2 3, .* not in the 32 colors of CamVid"
    with pytest.raises(InputError, match=message):
        published.read_camvid(mask)


def test_what_is_missing_is_named(build, root, rng):
    with pytest.raises(InputError, match="neither images/train and labels/train, nor"):
        build()
    write(root, rng, "segnet")
    write_segnet_lists(root)
    (root / "valannot" / "0016E5_07959.png").unlink()
    with pytest.raises(InputError, match=r"valannot/0016E5_07959\.png: no such file"):
        build()
    trees.write_list(root / "val.txt", ["0016E5_07959"])
    with pytest.raises(InputError, match=r'val\.txt: a line "0016E5_07959", not of'):
        build()
    with pytest.raises(InputError, match="--list_folder=lists: no such folder"):
        build(list_folder="lists")


def test_splits_that_overlap_are_refused(build, root, rng):
    write(root, rng, "segnet")
    write_segnet_lists(root)
    lines = (root / "train.txt").read_text() + (root / "val.txt").read_text()
    (root / "train.txt").write_text(lines)
    with pytest.raises(InputError, match="train: 0016E5_07959 is an image of val"):
        build()


def test_the_original_layout_without_lists_asks_for_them(build, original):
    with pytest.raises(InputError, match=r"nor .*CamVid/train\.txt"):
        build()
