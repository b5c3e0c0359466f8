"""The Python API: what docs/api.md promises."""

import concurrent.futures
import json
import logging
import re
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image
from tensorflow.python.framework import ops

import deeplab_tf
from deeplab_tf.crf import engines
from deeplab_tf.errors import InputError
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from tests.recorded import ROOT

# Of train.flags, which the tests below go on with.
TRAINED_WITH = {
    "recipe": None,
    "depth_multiplier": 0.125,
    "decoder_output_stride": [4],
    "aspp_convs_filters": 16,
    "decoder_filters": 16,
    "train_crop_size": (65, 65),
    "train_batch_size": 4,
    "base_learning_rate": 0.2,
    "decay_steps": 300,
    "batch_norm_decay": 0.8,
    "ema_decay": 0.9,
    "class_weights": "median_frequency",
    "max_checkpoints_to_keep": 1,
}
FOLDER = ROOT / "tests" / "golden" / "run_0_1"


@pytest.fixture(scope="module")
def net():
    """A small network after 200 steps."""
    return deeplab_tf.load(FOLDER / "run")


@pytest.fixture(scope="module")
def photo():
    """An image of the records' size: its sides are even, and no multiple of 16."""
    return FOLDER / "image.png"


def count_custom_gradients():
    """Gradients that TensorFlow keeps of graphs, each with its graph."""
    return sum(
        name.startswith("CustomGradient") for name in ops.gradient_registry.list()
    )


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )


@pytest.mark.slow
def test_importing_loads_no_framework_and_sets_no_handler():
    code = (
        "import logging, os, signal, sys; before = dict(os.environ)\n"
        "import deeplab_tf\n"
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\n"
        "assert not logging.getLogger().handlers and dict(os.environ) == before\n"
        "assert 'load' in dir(deeplab_tf)\n"
        "deeplab_tf.InputError\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_every_name_of_the_package_is_there():
    for name in deeplab_tf.__all__:
        assert getattr(deeplab_tf, name) is not None
    assert set(deeplab_tf.__all__) <= set(dir(deeplab_tf))
    with pytest.raises(AttributeError, match="lode"):
        deeplab_tf.lode  # noqa: B018


@pytest.mark.slow
def test_a_photograph_is_predicted_at_its_own_size(net, photo, tmp_path):
    out = net.predict(str(photo))
    with Image.open(photo) as image:
        width, height = image.size
    assert out.classes.shape == (height, width)
    assert len(np.unique(out.classes)) > 2
    assert out.classes.dtype == np.int32
    assert out.probabilities.shape == (height, width, net.spec.num_classes)
    np.testing.assert_allclose(out.probabilities.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(out.probabilities.argmax(-1), out.classes)
    shares = [np.mean(out.classes == i) for i in range(net.spec.num_classes)]
    assert out.shares == dict(zip(net.spec.classes, shares, strict=True))
    assert out.overlay(legend=False).size == (width, height)
    assert out.overlay().size[1] > height  # A legend is below.
    assert re.fullmatch(r"<deeplab_tf\.Segmentation \d+x\d+: [^\n]+%>", repr(out))
    with pytest.raises(InputError, match=r"^path=.*mask\.png: no folder .*none; make"):
        out.save(tmp_path / "none" / "mask.png")
    out.save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), out.classes)
        assert tuple(mask.getpalette()[3:6]) == net.spec.palette[1]


@pytest.mark.slow
def test_paths_pictures_and_arrays_are_one_and_a_list_gives_a_list(net, photo):
    pixels = np.asarray(Image.open(photo))
    smaller = Image.fromarray(pixels[:31, :17])
    results = net.predict([photo, Image.open(photo), pixels, smaller])
    for each in results[:3]:
        np.testing.assert_array_equal(each.classes, results[0].classes)
        np.testing.assert_array_equal(each.image, pixels)
    assert results[3].classes.shape == (31, 17)
    assert net.predict([]) == []


@pytest.mark.slow
def test_gray_arrays_are_photographs_too(net):
    gray = np.random.default_rng(3).integers(0, 256, (20, 30), np.uint8)
    out = net.predict(gray)
    np.testing.assert_array_equal(out.image, np.stack([gray] * 3, -1))
    assert out._repr_png_().startswith(b"\x89PNG")


@pytest.mark.slow
def test_pictures_are_upright_as_files_are(net, photo, tmp_path):
    picture = Image.open(photo)
    exif = picture.getexif()
    exif[0x0112] = 6  # A quarter turn.
    picture.save(tmp_path / "turned.png", exif=exif)
    upright = np.rot90(np.asarray(picture), -1)
    for turned in (Image.open(tmp_path / "turned.png"), tmp_path / "turned.png"):
        np.testing.assert_array_equal(net.predict(turned).image, upright)


@pytest.mark.slow
def test_scales_flips_and_a_crf_change_the_answer(net, photo):
    plain = net.predict(photo)
    several = net.predict(photo, scales=(0.5, 1.0), flip=True)
    flipped = net.predict(photo, flip=True)
    assert np.abs(flipped.probabilities - plain.probabilities).max() > 0.01
    assert np.abs(several.probabilities - flipped.probabilities).max() > 0.01
    refined = net.predict(photo, crf="voc_v2_resnet101")
    same = net.predict(photo, crf=engines.PRESETS["voc_v2_resnet101"])
    np.testing.assert_array_equal(refined.probabilities, same.probabilities)
    assert np.abs(refined.probabilities - plain.probabilities).max() > 0.01


@pytest.mark.slow
def test_a_large_photograph_is_cut_where_that_is_asked_for(net, photo):
    whole = net.predict(photo)
    covered = net.predict(photo, tile=513, tile_overlap=128)
    np.testing.assert_array_equal(covered.classes, whole.classes)
    height, width = whole.classes.shape
    tiled = net.predict(photo, tile=(height // 2, width), tile_blend="logits")
    assert tiled.classes.shape == whole.classes.shape
    assert np.abs(tiled.probabilities - whole.probabilities).max() > 1e-4
    with pytest.raises(InputError, match=r"^tile_overlap=513,513: less than the tile"):
        net.predict(photo, tile=513, tile_overlap=513)


def test_evaluating_gives_the_scores_of_the_command(net):
    evaluation = net.evaluate(FOLDER / "records", split="val")
    before = json.loads((FOLDER / "reached.json").read_text())["scores"]
    assert evaluation.miou == pytest.approx(before["miou"], abs=1e-4)
    assert evaluation.scores["iou"] == pytest.approx(before["iou"], abs=1e-4)


@pytest.mark.nightly
@pytest.mark.slow
def test_training_goes_on_and_gives_its_network(net, photo, tmp_path):
    folder = shutil.copytree(FOLDER / "run", tmp_path / "run")
    before = count_custom_gradients()
    again = deeplab_tf.train(
        dataset_dir=FOLDER / "records",
        train_logdir=folder,
        training_number_of_steps=201,
        **TRAINED_WITH,
    )
    assert again.predictor.step == 201
    assert again.spec.classes == net.spec.classes
    later = again.predict(photo).probabilities
    assert np.abs(later - net.predict(photo).probabilities).max() > 1e-4
    assert count_custom_gradients() <= before  # No graph stays behind.


@pytest.mark.nightly
def test_an_export_predicts_the_same(net, photo, tmp_path):
    import tensorflow as tf

    path = net.export(tmp_path / "exported")
    serve = tf.saved_model.load(path).signatures["serving_default"]
    pixels = np.asarray(Image.open(photo))
    outputs = serve(ImageTensor=tf.constant(pixels[np.newaxis]))
    expected = net.predict(photo)
    np.testing.assert_array_equal(outputs["SemanticPredictions"][0], expected.classes)
    with pytest.raises(InputError, match=r"^path=.*exported: is there already"):
        net.export(tmp_path / "exported")
    with pytest.raises(InputError, match=r"^quantize=dynamic: of onnx, one of none"):
        net.export(tmp_path / "model.onnx", quantize="dynamic")
    with pytest.raises(TypeError, match="decoder_filters: there is no such setting"):
        net.export(tmp_path / "model.onnx", decoder_filters=9)


@pytest.mark.slow
def test_a_keras_file_is_read_again(net, photo, tmp_path):
    expected = net.predict(photo)
    net.model.save(tmp_path / "net.keras")
    again = deeplab_tf.load(tmp_path / "net.keras", crop_size=net.predictor.crop_size)
    assert again.config.head == "deeplab_v3plus"
    assert again.config.output_stride == net.config.output_stride
    np.testing.assert_array_equal(again.predict(photo).classes, expected.classes)
    plain = keras.saving.load_model(tmp_path / "net.keras")
    assert any(isinstance(x, FrozenableBatchNorm) for x in plain.layers)


@pytest.mark.nightly
def test_a_run_is_loaded_by_folder_and_by_prefix(net, photo):
    folder = net.predictor.checkpoint.rsplit("/", 1)[0]
    for path in (folder, net.predictor.checkpoint):
        other = deeplab_tf.load(path)
        assert other.config == net.config
        assert other.spec.classes == net.spec.classes
        np.testing.assert_array_equal(
            other.predict(photo).classes, net.predict(photo).classes
        )


@pytest.mark.nightly
def test_threads_get_the_answers_of_one(net):
    rng = np.random.default_rng(1)
    images = [
        rng.integers(0, 256, (height, 40, 3), np.uint8) for height in range(30, 54)
    ]
    expected = [each.classes for each in net.predict(images)]
    fresh = deeplab_tf.load(net.predictor.checkpoint)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for one, two in zip(pool.map(fresh.predict, images), expected, strict=True):
            np.testing.assert_array_equal(one.classes, two)


@pytest.mark.slow
def test_networks_are_built_by_name():
    model = deeplab_tf.build(
        "deeplab_v3plus",
        backbone="mobilenet_v2",
        num_classes=6,
        input_size=(65, 97),
        depth_multiplier=0.1,
        atrous_rates=(6, 12),
    )
    assert model.input_shape == (None, 65, 97, 3)
    assert model.output_shape == (None, 17, 25, 6)
    assert "deeplab_v3plus" in deeplab_tf.list_architectures()
    assert "xception_65" in deeplab_tf.list_backbones()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: deeplab_tf.build("deeplab_v9", num_classes=2),
            InputError,
            r"^architecture=deeplab_v9: did you mean deeplab_v\w*\? One of .* needed$",
        ),
        (
            lambda: deeplab_tf.build(num_classes=2, backbone="resnet"),
            InputError,
            r"^backbone=resnet: did you mean resnet_50\? One of mobilenet_v2, .*",
        ),
        (
            lambda: deeplab_tf.build(num_classes=0),
            InputError,
            r"^num_classes=0: 1 or more is needed$",
        ),
        (
            lambda: deeplab_tf.build(num_classes=2, output_stride=7),
            InputError,
            r"^output_stride=7: one of 8, 16, 32 is needed",
        ),
        (
            lambda: deeplab_tf.build(num_classes=2, output_stride="wide"),
            InputError,
            r"^output_stride=wide: a whole number is needed$",
        ),
        (
            lambda: deeplab_tf.build(num_classes=2, depth_multipler=0.5),
            TypeError,
            r"^depth_multipler: there is no such setting; did you mean depth_multiplie",
        ),
        (
            lambda: deeplab_tf.train(train_logdir="run", recipe="mobilenet"),
            InputError,
            r"^recipe=mobilenet: .*mobilenet_v2_finetune",
        ),
        (
            lambda: deeplab_tf.train(
                train_logdir="run", dataset_dir="x", recipe="mobilenet_v2_finetune"
            ),
            InputError,
            r"^fine_tune_batch_norm=false keeps .* give tf_initial_checkpoint, or",
        ),
        (
            lambda: deeplab_tf.load("nothing/here"),
            InputError,
            r"^nothing/here: ",
        ),
    ],
)
def test_errors_name_the_argument(call, error, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        call()
    assert not re.search(r"(^|\s)--[a-z]", str(caught.value))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), {}, r"^image: uint8 .* not float32 \[4, 4"),
        (np.zeros((4, 4, 4), np.uint8), {}, r"^image: uint8 \[H, W, 3\] is needed"),
        ("no.jpg", {}, r"^no\.jpg: no such file"),
        (str(FOLDER), {}, r": a folder; give a photograph, or a list of those"),
        (np.zeros((9, 9, 3), np.uint8), {"scales": ()}, r"^scales=\(\): "),
        (
            np.zeros((9, 9, 3), np.uint8),
            {"crf": "voc"},
            r"^crf=voc: did you mean voc_v1",
        ),
    ],
)
def test_what_cannot_be_predicted_is_told(net, image, options, message):
    with pytest.raises(ValueError, match=message):
        net.predict(image, **options)


@pytest.mark.slow
def test_records_that_are_not_there_are_told(net, tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)) as caught:
        net.evaluate(tmp_path)
    assert "--" not in str(caught.value)


@pytest.mark.slow
def test_the_page_is_true(tmp_path, monkeypatch, photo):
    """Runs the blocks of docs/api.md one after the other, as a notebook would."""
    page = (ROOT / "docs" / "api.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 8
    for name in ("run", "records"):
        shutil.copytree(FOLDER / name, tmp_path / name)
    with Image.open(photo) as image:
        image.save(tmp_path / "photo.jpg")
        image.crop((0, 0, 50, 40)).save(tmp_path / "other.png")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks:
        # What needs Google's weights, or an hour, has tests of its own.
        if '"weights"' not in block and "recipe=" not in block:
            exec(block, namespace)  # The page's own lines.
    assert namespace["out"].classes.shape == namespace["out"].image.shape[:2]
    assert (tmp_path / "mask.png").exists()
    assert (tmp_path / "exported" / "saved_model.pb").exists()


@pytest.mark.nightly
def test_official_weights_are_loaded_by_their_settings(shared):
    folder = shared / "weights" / "mobilenet_v2_dm05_voc"
    net = deeplab_tf.load(
        folder, depth_multiplier=0.5, output_stride=8, dataset="pascal_voc_seg"
    )
    photos = sorted((shared / "data/voc_sample").rglob("JPEGImages/*.jpg"))
    assert net.predict(photos[0]).shares["background"] > 0.1
    assert net.config.depth_multiplier == 0.5


@pytest.mark.slow
def test_no_logging_handler_is_set(net, photo):
    before = list(logging.getLogger().handlers)
    net.predict(photo)
    assert logging.getLogger().handlers == before


@pytest.mark.nightly
def test_memory_stays_flat_over_a_thousand_predictions(net):
    resource = pytest.importorskip("resource")
    rng = np.random.default_rng(2)

    def predict(count):
        for _ in range(count):
            height, width = rng.integers(20, 140, 2)
            net.predict(rng.integers(0, 256, (height, width, 3), np.uint8))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    start = predict(200)
    assert predict(1000) - start < 50_000  # Kilobytes.


@pytest.mark.nightly
def test_importing_takes_a_tenth_of_a_second():
    start = time.perf_counter()
    run_python("pass")
    middle = time.perf_counter()
    run_python("import deeplab_tf")
    assert time.perf_counter() - middle - (middle - start) < 0.1
