"""Masks that nobody drew: smoothed, resized, compressed; photographs in their place."""

import io

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.data import image_files
from deeplab_tf.data.labels import heuristics


def scene(size=96):
    """A mask of a disc of class 9, a bar of class 3 and thin lines, on 0."""
    rows, columns = np.mgrid[:size, :size]
    ids = np.zeros((size, size), np.uint8)
    ids[:, -size // 6 :] = 3
    ids[(rows - size / 2) ** 2 + (columns - size / 3) ** 2 < size**2 / 12] = 9
    ids[size // 8] = 5  # A wire, one pixel thick.
    return ids


def resized(how, factor):
    def change(ids):
        side = round(len(ids) * factor)
        return np.asarray(Image.fromarray(ids).resize((side, side), how))

    return change


def compressed(quality):
    def change(ids):
        stream = io.BytesIO()
        Image.fromarray(ids).save(stream, "JPEG", quality=quality)
        return np.asarray(Image.open(stream))

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(
            resized(how, factor)
            for how in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
            for factor in (0.5, 0.7, 1.5)
        ),
        *(compressed(quality) for quality in (95, 75, 50)),
    ],
)
def test_ids_that_nobody_drew_are_found(change):
    found = heuristics.interpolated_ids(change(scene()))
    assert len(found) > 1


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.0, 1.5])
def test_sharp_masks_have_none(factor):
    mask = resized(Image.Resampling.NEAREST, factor)(scene())
    assert heuristics.interpolated_ids(mask) == {}


def test_pixels_between_are_counted():
    """Along 50 rows, 2 and 5 lie between 0 and 9."""
    mask = np.zeros((50, 40), np.uint8)
    mask[:, 20:] = 9
    mask[::2, 20], mask[1::2, 20] = 2, 5
    assert heuristics.interpolated_ids(mask) == {2: 25, 5: 25}


def test_one_class_may_be_a_thin_outline():
    mask = np.zeros((50, 40), np.uint8)
    mask[:, 20:] = 9
    mask[:, 20] = 4
    assert heuristics.interpolated_ids(mask) == {}


def test_noise_and_tiny_masks_prove_nothing(rng):
    assert (
        heuristics.interpolated_ids(rng.integers(0, 20, (60, 60)).astype(np.uint8))
        == {}
    )
    assert heuristics.interpolated_ids(scene()[:4, :4]) == {}
    assert heuristics.interpolated_ids(np.zeros((1, 1), np.uint8)) == {}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_histogram_counts_the_pixels_of_each_id(kind):
    mask = np.array([[0, 0, 3], [255, 0, 3]], kind)
    assert heuristics.histogram(mask) == {0: 3, 3: 2, 255: 1}


def test_a_square_of_four_is_not_alone():
    mask = np.array([[1, 1, 2], [1, 1, 3], [4, 5, 5]])
    expected = [[0, 0, 1], [0, 0, 1], [1, 1, 1]]
    np.testing.assert_array_equal(heuristics.lone_pixels(mask), expected)


def test_photographs_are_none_and_masks_are_none(rng):
    noise = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
    assert heuristics.is_photograph(noise)
    assert heuristics.is_photograph(noise[..., 0])
    assert not heuristics.is_photograph(scene())
    assert not heuristics.is_photograph(np.stack([scene() * 20] * 3, axis=-1))
    many = np.kron(np.arange(150).reshape(10, 15), np.ones((8, 8))).astype(np.uint8)
    assert not heuristics.is_photograph(many)  # 150 classes, each in a block.


def test_real_masks_are_sharp_and_real_photographs_are_photographs(shared):
    root = shared / "data" / "voc_sample" / "VOCdevkit" / "VOC2012"
    if not root.is_dir():
        pytest.skip("../shared/data/voc_sample is not on this machine")
    paths = sorted((root / "SegmentationClass").glob("*.png"))[::6]
    assert len(paths) == 20
    for path in paths:
        mask = image_files.read_mask(path)
        assert heuristics.interpolated_ids(mask) == {}
        photo = image_files.read_image(root / "JPEGImages" / f"{path.stem}.jpg")
        assert heuristics.is_photograph(photo)
