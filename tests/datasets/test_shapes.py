"""The embedded data set, and the folder of the builders."""

import sys

import numpy as np

from tests.recorded import ROOT


def test_the_embedded_set_is_the_same_every_time(builder):
    draw = builder("shapes").draw_scene
    first, again = (draw(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_the_embedded_set_is_hard_enough(builder):
    """All classes and borders occur, sizes vary, and no class is most of it."""
    draw = builder("shapes").draw_scene
    scenes = [draw(np.random.default_rng([0, i])) for i in range(30)]
    assert len({image.shape for image, _ in scenes}) > 20
    pixels = np.bincount(np.concatenate([mask.ravel() for _, mask in scenes]))
    assert (pixels[:6] > 0).all()
    assert pixels[255] > 0
    # Whoever guesses the largest class alone has its share as IoU, a sixth of it as
    # mean; at 0.9 the others would be crumbs.
    assert pixels[:6].max() / pixels[:6].sum() < 0.85
    assert all(image.std() > 8 for image, _ in scenes)


def test_datasets_is_no_package():
    """With an __init__.py it would shadow Hugging Face's, also within TFDS."""
    assert not list((ROOT / "datasets").rglob("__init__.py"))
    assert "datasets" not in sys.modules or not hasattr(
        sys.modules["datasets"], "build_voc2012_data"
    )
