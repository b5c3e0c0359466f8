"""Tiles of large images: as the whole where they cover it; shortage of memory."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import (
    DataConfig,
    ModelConfig,
    ResizeConfig,
    TfdsConfig,
    TileConfig,
)
from deeplab_tf.crf import engines
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import FlagError, InputError, OutOfMemory, is_out_of_memory
from deeplab_tf.prediction import large_images
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.prediction.tiles import make_tiles, tiles_of
from deeplab_tf.runtime import Tiles


@pytest.fixture
def predictor():
    """Of one convolution at stride 16."""
    images = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(6, 3, 16, "same")(images / 255.0)
    return Predictor(
        model=keras.Model(images, logits),
        config=ModelConfig(),
        spec=shapes_spec.SPEC,
        crop_size=(33, 33),
    )


@pytest.fixture
def pixelwise():
    """Of logits that are the color channels over 64: each pixel is looked at alone."""
    images = keras.Input((None, None, 3))
    return Predictor(
        model=keras.Model(images, images / 64.0),
        config=ModelConfig(),
        spec=shapes_spec.SPEC,
        crop_size=(17, 17),
    )


def picture(rng, size):
    return rng.integers(0, 256, (*size, 3)).astype(np.uint8)


@pytest.mark.parametrize("output", ["classes", "probabilities", "logits"])
@pytest.mark.parametrize("blend", ["probabilities", "logits"])
def test_a_window_that_covers_the_image_is_the_whole(predictor, rng, output, blend):
    image = picture(rng, (50, 40))
    for size in ((50, 40), (513, 513)):
        tiled = predictor.predict(
            image, output=output, tiles=Tiles(size, (3, 3), blend), flip=True
        )
        whole = predictor.predict(image, output=output, flip=True)
        np.testing.assert_array_equal(tiled.classes, whole.classes)
        if output != "classes":
            np.testing.assert_array_equal(
                getattr(tiled, output), getattr(whole, output)
            )


@pytest.mark.parametrize("blend", ["probabilities", "logits"])
@pytest.mark.parametrize(("scales", "flip"), [((1.0,), False), ((1.0,), True)])
def test_each_output_of_tiles_is_that_of_the_whole(pixelwise, rng, blend, scales, flip):
    """Where a network looks at each pixel alone."""
    image, tiles = picture(rng, (40, 57)), Tiles((20, 24), (6, 5), blend)
    expected = image.astype(np.float64) / 64
    expected -= np.log(np.exp(expected).sum(-1, keepdims=True))
    for output in ("classes", "confidence", "probabilities", "logits"):
        given = {"output": output, "scales": scales, "flip": flip}
        tiled = pixelwise.predict(image, tiles=tiles, **given)
        np.testing.assert_array_equal(tiled.classes, image.argmax(-1))
        assert tiled.classes.dtype == np.int32
        if output == "confidence":
            most = np.exp(expected).max(-1)
            np.testing.assert_allclose(tiled.confidence, most, atol=1e-6)
        if output == "probabilities":
            np.testing.assert_allclose(tiled.probabilities, np.exp(expected), atol=1e-6)
        if output == "logits":  # All that a softmax sees.
            logits = tiled.logits - tiled.logits.max(-1, keepdims=True)
            other = expected - expected.max(-1, keepdims=True)
            np.testing.assert_allclose(logits, other, atol=1e-5)


def test_scales_are_averaged_in_each_tile(predictor, rng):
    image, tiles = picture(rng, (60, 70)), Tiles((33, 33), (0, 0))
    views = {"scales": (0.5, 1.0), "flip": True}
    tiled = predictor.predict(image, tiles=tiles, **views)
    corner = predictor.predict(image[:33, :33], **views)
    # The next tile, which overlaps, begins at row 27 and column 18.
    np.testing.assert_allclose(
        tiled.probabilities[:18, :18], corner.probabilities[:18, :18], atol=1e-6
    )


def test_tiles_are_cut_of_the_image_in_its_range_of_sizes(pixelwise, rng):
    """As large as things were learned; the answer has the size of the photograph."""
    image = picture(rng, (90, 120))
    in_range = dataclasses.replace(pixelwise, resize=ResizeConfig(min_resize_value=30))
    whole = in_range.predict(image)
    seen = []
    graph = Predictor._graph

    def spy(self, *arguments):
        compute = graph(self, *arguments)

        def predict(images):
            seen.append(tuple(images.shape))
            return compute(images)

        return predict

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "_graph", spy)
        tiled = in_range.predict(image, tiles=Tiles((20, 20)))
        assert set(seen) == {(1, 20, 20, 3)}
        seen.clear()
        in_range.predict(image, tiles=Tiles((30, 40)))
        assert seen == [(1, 90, 120, 3)]  # The graph brings it into the range.
    assert tiled.classes.shape == (90, 120)
    assert np.mean(tiled.classes == whole.classes) > 0.999
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)


def test_records_and_their_images_are_cut_alike(predictor, shapes):
    _, records = open_split(DataConfig(dataset_dir=str(shapes)), TfdsConfig(), "val")
    tiles = Tiles((33, 33), (8, 8))
    split = list(predictor.predict_split(records, batch_size=3, tiles=tiles))
    assert len(split) == 7
    for cut in split[:3]:
        alone = predictor.predict(cut.image, tiles=tiles)
        np.testing.assert_array_equal(cut.classes, alone.classes)
        assert cut.label.shape == cut.classes.shape
    covered = predictor.predict_split(records, tiles=Tiles((513, 513)))
    for tiled, whole in zip(covered, predictor.predict_split(records), strict=True):
        np.testing.assert_array_equal(tiled.classes, whole.classes)


def test_the_former_argument_is_the_size_of_tiles(pixelwise, rng):
    image = picture(rng, (40, 57))
    with pytest.warns(DeprecationWarning, match=r"tile_size=.* tiles=Tiles\(\(20, 24"):
        former = pixelwise.predict(image, tile_size=(20, 24))
    new = pixelwise.predict(image, tiles=Tiles((20, 24)))
    np.testing.assert_array_equal(former.probabilities, new.probabilities)


def test_a_crf_refines_what_tiles_give(pixelwise, rng, monkeypatch):
    image, tiles = picture(rng, (30, 40)), Tiles((20, 20))
    crf = engines.Parameters(w1=1, sigma_alpha=5, sigma_beta=5)
    whole = pixelwise.predict(image, crf=crf, crf_engine="tensorflow")
    tiled = pixelwise.predict(image, crf=crf, crf_engine="tensorflow", tiles=tiles)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-3)
    monkeypatch.setattr(large_images, "_free_memory", lambda: 10_000)
    said = r"40x30 pixels .*: a CRF needs all of it, some .* GB for 6 classes, and 0\.0"
    with pytest.raises(InputError, match=said):
        pixelwise.predict(image, crf=crf, tiles=tiles)


def test_free_memory_is_read_where_the_system_tells_it(tmp_path, monkeypatch):
    note = tmp_path / "meminfo"
    note.write_text("MemTotal:  9 kB\nMemAvailable:   1234 kB\n")
    monkeypatch.setattr(large_images, "_MEMORY", note)
    assert large_images._free_memory() == 1234 * 1024
    note.write_text("MemTotal:  9 kB\n")
    assert large_images._free_memory() is None
    monkeypatch.setattr(large_images, "_MEMORY", tmp_path / "none")
    assert large_images._free_memory() is None


@pytest.mark.parametrize(
    ("size", "tiles", "said"),
    [
        ((300, 400), None, "an image of 400x300 pixels .*; --tile=33,65 needs less"),
        ((300, 400), Tiles((129, 129)), "tiles of 129x129 .*; --tile=64,65 needs less"),
        ((300, 400), Tiles((33, 65)), None),  # Each is padded to that.
        ((33, 65), None, None),  # Of the size of a crop: nothing smaller is known.
    ],
)
def test_a_shortage_names_tiles_that_need_less(size, tiles, said):
    for shortage in (MemoryError, tf.errors.ResourceExhaustedError):
        made = (None, None, "OOM") if shortage is not MemoryError else ()
        expected = OutOfMemory if said else shortage
        with (
            pytest.raises(expected, match=said and f"out of memory: {said}") as caught,
            large_images.explain_shortage(size, (33, 65), tiles),
        ):
            raise shortage(*made)
        assert is_out_of_memory(caught.value)
    with (
        pytest.raises(KeyError),
        large_images.explain_shortage(size, (33, 65), tiles),
    ):
        raise KeyError


def test_tiles_of_settings_and_of_arguments():
    assert make_tiles(TileConfig()) is None
    expected = Tiles((513, 513), (128, 128), "logits")
    assert tiles_of(513, 128, "logits") == expected
    assert tiles_of([513, 513], (128, 128), "logits") == expected
    assert tiles_of(None, None, "logits") is None
    assert tiles_of((33, 65), None, "probabilities").overlaps == (8, 16)
    with pytest.raises(InputError, match="tile_overlap=9: has no effect without tile"):
        tiles_of(None, 9, "probabilities")
    with pytest.raises(InputError, match=r"tile=\(1, 2, 3\): a whole number is needed"):
        tiles_of((1, 2, 3), None, "probabilities")
    said = "--tile_overlap=65,64: less than the tile is needed, --tile=65,65"
    with pytest.raises(FlagError, match=said):
        tiles_of(65, (65, 64), "probabilities")
    with pytest.raises(FlagError, match="--tile=0,0: more than 0 is needed"):
        tiles_of(0, None, "probabilities")
