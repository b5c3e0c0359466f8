"""Palette masks, written again as gray ones."""

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.datasets import remove_gt_colormap
from deeplab_tf.errors import InputError
from tests.datasets import trees


@pytest.fixture
def convert(tmp_path):
    def run(**settings):
        folders = {
            "original_gt_folder": str(tmp_path / "SegmentationClass"),
            "output_dir": str(tmp_path / "SegmentationClassRaw"),
        }
        remove_gt_colormap.convert(
            remove_gt_colormap.ColormapConfig(**(folders | settings))
        )
        return tmp_path / "SegmentationClassRaw"

    return run


def test_indices_become_grey_values(convert, tmp_path):
    ids = trees.bands(11, 7, [0, 20, 1, 255])
    for name in ("b", "a"):
        mask = tmp_path / "SegmentationClass" / f"{name}.png"
        trees.write_mask(mask, ids, [(0, 0, 0), (128, 0, 0)])
    folder = convert()
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.png"]
    with Image.open(folder / "a.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), ids)
    convert()  # Once more, over what is there.


def test_what_is_no_mask_of_ids_is_named(convert, tmp_path, rng):
    with pytest.raises(InputError, match=r"--original_gt_folder=.*: no masks \*\.png"):
        convert()
    mask = tmp_path / "SegmentationClass" / "a.png"
    trees.write_mask(mask, np.full((4, 5), 300, np.uint16))
    with pytest.raises(InputError, match=r"a\.png: id 300; a gray mask holds 0 to 255"):
        convert()
    trees.write_photo(mask, np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\.png: a mask of colors"):
        convert()


def test_the_palette_masks_stay_as_they_are(convert, tmp_path):
    folder = tmp_path / "SegmentationClass"
    trees.write_mask(folder / "a.png", [[0, 1]], [(0, 0, 0)])
    with pytest.raises(
        InputError, match=r"--output_dir=.*: the palette masks lie there"
    ):
        convert(output_dir=str(folder))
