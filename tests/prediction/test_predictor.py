"""One way to predict: sizes, graphs that are kept, threads, memory."""

import concurrent.futures
import dataclasses
import itertools
import resource
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints import run_folder
from deeplab_tf.config import (
    CrfConfig,
    DataConfig,
    ModelConfig,
    ResizeConfig,
    TfdsConfig,
)
from deeplab_tf.config.fields import Overrides
from deeplab_tf.crf import engines
from deeplab_tf.data import image_files
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.exporting import memory
from deeplab_tf.prediction import load
from deeplab_tf.prediction.predictor import Predictor
from tests.recorded import SMALL

SIZES = [(1, 1), (40, 65), (66, 30), (90, 100)]


@pytest.fixture
def predictor():
    """Of one convolution at stride 16."""
    images = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(6, 3, 16, "same")(images / 255.0)
    model = keras.Model(images, logits)
    return Predictor(
        model=model, config=ModelConfig(), spec=shapes_spec.SPEC, crop_size=(65, 65)
    )


def picture(rng, size):
    return rng.integers(0, 256, (*size, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_an_image_of_any_size_is_predicted_at_that_size(predictor, rng, size):
    image = picture(rng, size)
    prediction = predictor.predict(image)
    assert prediction.classes.shape == size
    assert prediction.classes.dtype == np.int32
    assert prediction.probabilities.dtype == np.float32
    np.testing.assert_allclose(prediction.probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(
        prediction.classes, prediction.probabilities.argmax(-1)
    )
    batch = predictor.predict_batch(image[np.newaxis])
    np.testing.assert_array_equal(batch.classes[0], prediction.classes)
    height, width = batch.raw_classes.shape[1:]
    assert height >= 65
    assert width >= 65


@pytest.mark.parametrize(
    ("resize", "size", "warned"),
    [
        ({}, (48, 60), False),
        ({}, (61, 48), True),
        ({}, (12, 61), True),
        # Brought into the range of sizes of the training.
        ({"min_resize_value": 20, "max_resize_value": 30}, (480, 640), False),
        ({"min_resize_value": 80, "max_resize_value": 90}, (480, 640), True),
    ],
)
def test_images_of_more_than_twice_the_size_of_training_are_warned_of_once(
    predictor, rng, caplog, resize, size, warned
):
    predictor = dataclasses.replace(
        predictor, trained_size=(20, 30), resize=ResizeConfig(**resize)
    )
    for _ in range(2):
        predictor.predict(picture(rng, size))
    message = "more than twice the largest of the training, 30x20"
    assert caplog.text.count(message) == warned
    assert ("--min_resize_value=20 --max_resize_value=30" in caplog.text) == warned


def test_a_larger_image_is_cut_into_tiles_where_that_is_asked_for(
    predictor, rng, monkeypatch
):
    """Of a network that looks at each pixel alone, the answer is the same."""
    image, seen = picture(rng, (61, 97)), []

    def graph(*_):
        def predict(images):
            seen.append(tuple(images.shape))
            values = tf.nn.softmax(tf.cast(images, tf.float32) / 64)
            return tf.argmax(images, -1, tf.int32), values

        return predict

    monkeypatch.setattr(Predictor, "_graph", graph)
    whole = predictor.predict(image)
    tiled = predictor.predict(image, tile_size=(32, 48))
    assert seen[0] == (1, 61, 97, 3)
    assert set(seen[1:]) == {(1, 32, 48, 3)}
    np.testing.assert_array_equal(tiled.classes, whole.classes)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-6)
    assert predictor.predict(image, tile_size=(9, 9), output="classes").logits is None
    seen.clear()
    in_range = dataclasses.replace(predictor, resize=ResizeConfig(min_resize_value=20))
    in_range.predict(image, tile_size=(32, 48))
    predictor.predict(image, tile_size=(61, 97))
    assert seen == [(1, 61, 97, 3)] * 2


def test_the_size_of_training_is_that_after_its_resize():
    run = run_folder.Run(largest_image=(360, 480))
    resized = dataclasses.replace(run, resize=ResizeConfig(min_resize_value=90))
    assert load._trained_size(run) == (360, 480)
    assert load._trained_size(resized) == (90, 120)
    assert load._trained_size(run_folder.Run()) is None


def test_records_of_larger_images_are_warned_of(predictor, shapes, caplog):
    predictor = dataclasses.replace(predictor, trained_size=(20, 30))
    _, records = open_split(DataConfig(dataset_dir=str(shapes)), TfdsConfig(), "val")
    assert len(list(predictor.predict_split(records))) == 7
    assert caplog.text.count("more than twice the largest") == 1


def test_a_record_and_its_image_have_the_same_prediction(run, shapes):
    predictor = load.load(str(run))
    data = DataConfig(dataset_dir=str(shapes))
    _, records = open_split(data, TfdsConfig(), "val")
    options = {"scales": (0.5,), "output": "probabilities"}
    split = list(predictor.predict_split(records, batch_size=2, **options))
    assert len(split) == 7
    for prediction in split[:3]:
        name = f"{prediction.name}.png"
        image = image_files.read_image(shapes / "images" / "val" / name)
        label = image_files.read_mask(shapes / "labels" / "val" / name)
        np.testing.assert_array_equal(prediction.image, image)
        np.testing.assert_array_equal(prediction.label, label)
        alone = predictor.predict(image, **options)
        np.testing.assert_allclose(
            prediction.probabilities, alone.probabilities, atol=1e-5
        )


@pytest.mark.parametrize(
    "image",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))],
)
def test_what_is_no_image_is_an_error_that_names_the_argument(predictor, image):
    with pytest.raises(ValueError, match=r"^image: uint8 \[H, W, 3\] is needed, not"):
        predictor.predict(image)


def test_a_crf_starts_from_the_logits_and_gives_its_marginals(predictor, rng):
    image = picture(rng, (40, 50))
    numbers = {"crf_w1": 4.0, "crf_sigma_alpha": 10.0, "crf_sigma_beta": 8.0}
    crf = engines.parameters_of(CrfConfig(**numbers, crf_iterations=2))
    refined = predictor.predict(image, crf=crf, crf_engine="tensorflow")
    logits = predictor.predict(image, output="logits").logits
    marginals = engines.mean_field(logits, image, crf, "tensorflow")
    np.testing.assert_array_equal(refined.probabilities, marginals)
    np.testing.assert_array_equal(refined.classes, marginals.argmax(-1))


def test_one_graph_serves_all_sizes_and_few_are_kept(predictor, rng):
    for size in SIZES:
        predictor.predict(picture(rng, size))
    assert predictor._graphs.cache_info().misses == 1
    image = picture(rng, (20, 20))
    for scale in np.linspace(0.5, 2.0, 12):
        predictor.predict(image, scales=(scale,))
    assert predictor._graphs.cache_info().currsize == 8


def test_eight_threads_predict_what_one_does_and_trace_each_graph_once(predictor, rng):
    images = [picture(rng, size) for size in SIZES * 4]
    options = [{}, {"flip": True}, {"scales": (0.5, 1.0)}, {"output": "logits"}]
    calls = list(itertools.product(images, options))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        threaded = list(pool.map(lambda c: predictor.predict(c[0], **c[1]), calls))
    assert predictor._graphs.cache_info().misses == len(options)
    for (image, settings), prediction in zip(calls, threaded, strict=True):
        alone = predictor.predict(image, **settings)
        np.testing.assert_array_equal(prediction.classes, alone.classes)
        output = settings.get("output", "probabilities")
        np.testing.assert_array_equal(
            getattr(prediction, output), getattr(alone, output)
        )


def test_memory_stays_flat_over_a_thousand_predictions(predictor, rng):
    """Sizes, of which no two need be equal, leave nothing behind."""
    pixels = picture(rng, (150, 150))
    sizes = rng.integers(1, 150, (1300, 2))
    for i, (height, width) in enumerate(sizes):
        predictor.predict(pixels[:height, :width])
        if i == 300:
            before = resident()
    assert resident() - before < 20e6


def resident():
    """Bytes of this process, without what is free in it, as what other tests left."""
    memory.release()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_a_bare_checkpoint_is_loaded_with_settings_by_name(v3plus_run, tmp_path, rng):
    """Its classes are numbered; there are as many as its logits have."""
    for path in v3plus_run.glob("model.ckpt*"):
        shutil.copy(path, tmp_path)
    settings = {
        "depth_multiplier": SMALL.depth_multiplier,
        "decoder_output_stride": SMALL.decoder_output_stride,
        "aspp_convs_filters": SMALL.aspp_convs_filters,
        "decoder_filters": SMALL.decoder_filters,
    }
    model = Overrides(ModelConfig(), settings)
    bare = load.load(str(tmp_path), model=model, crop_size=(65, 65))
    assert bare.spec.classes == tuple(f"class_{i}" for i in range(6))
    assert bare.step == 100
    image = picture(rng, (50, 60))
    np.testing.assert_array_equal(
        bare.predict(image).probabilities,
        load.load(str(v3plus_run)).predict(image).probabilities,
    )
