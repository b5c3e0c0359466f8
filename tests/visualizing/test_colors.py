"""Colors of classes, and how far apart the eye sees them."""

import numpy as np
import pytest

from deeplab_tf.data.image_files import IGNORED
from deeplab_tf.data.spec import distinct_colors
from deeplab_tf.data.specs import DATASETS, camvid
from deeplab_tf.visualizing import colors


def lab(color):
    """CIELAB of an sRGB color by its definition, with the white of D65."""
    rgb = np.array(color) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    ratio = np.array(to_xyz) @ linear / [0.95047, 1.0, 1.08883]
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def nearest(palette):
    """The least distance of two colors, that of what is ignored among them."""
    places = np.array([lab(color) for color in (*palette, IGNORED)])
    gaps = np.linalg.norm(places[:, np.newaxis] - places, axis=-1)
    return gaps[np.triu_indices(len(places), 1)].min()


def promised(count):
    """The distance that so many classes keep: twelve and more that are just noticed."""
    return next(
        d for most, d in ((32, 30), (64, 25), (151, 16), (256, 13)) if count <= most
    )


@pytest.mark.parametrize("spec", DATASETS.values(), ids=DATASETS)
def test_classes_of_each_data_set_are_told_apart_and_from_what_is_ignored(spec):
    palette = colors.contrast(spec.palette)
    assert nearest(palette) > promised(spec.num_classes) - 0.5


@pytest.mark.parametrize("count", [2, 12, 32, 33, 64, 150, 256])
def test_classes_of_an_own_data_set_are_told_apart(count):
    palette = colors.contrast(distinct_colors(count))
    assert len(palette) == count
    assert nearest(palette) > promised(count) - 0.5


def test_a_color_stays_where_it_can():
    red, almost, blue = (200, 0, 0), (201, 0, 0), (0, 0, 250)
    moved = colors.contrast(((0, 0, 0), red, almost, blue))
    assert moved[:2] == ((0, 0, 0), red)
    assert moved[3] == blue
    assert 30 < np.linalg.norm(lab(moved[2]) - lab(red)) < 45
    assert colors.contrast(moved) == moved


def test_what_looked_like_the_ignored_in_camvid_does_not():
    pole = camvid.SPEC.classes.index("Pole")
    before, after = (
        camvid.SPEC.palette[pole],
        colors.contrast(camvid.SPEC.palette)[pole],
    )
    assert np.linalg.norm(lab(before) - lab(IGNORED)) < 25
    assert np.linalg.norm(lab(after) - lab(IGNORED)) > 29.5
