"""A SavedModel gives what the network gives."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

import deeplab_tf
from deeplab_tf.config import ExportConfig, ResizeConfig
from deeplab_tf.config.fields import Overrides
from deeplab_tf.data import image_files
from deeplab_tf.errors import InputError
from deeplab_tf.exporting import fold_batch_norm, saved_model
from deeplab_tf.exporting import run as exporting
from tests.recorded import ROOT
from tests.visualizing.test_run import config as vis_config
from tests.visualizing.test_run import visualize


def config(run, folder, **changes):
    settings = {"checkpoint_path": str(run), "export_path": str(folder)}
    return ExportConfig(**(settings | changes))


@pytest.fixture
def batch(rng):
    return rng.integers(0, 256, (3, 70, 90, 3)).astype(np.uint8)


def test_signatures_have_the_official_names(exported):
    signatures = tf.saved_model.load(str(exported)).signatures
    assert set(signatures) == {
        *("serving_default", "serving_bytes"),
        *("serving_classes", "serving_files"),
    }
    outputs = signatures["serving_default"].structured_outputs
    assert outputs["SemanticPredictions"].dtype == tf.int32
    assert outputs["SemanticProbabilities"].dtype == tf.float32
    (_, inputs) = signatures["serving_default"].structured_input_signature
    assert [(name, spec.dtype) for name, spec in inputs.items()] == [
        ("ImageTensor", tf.uint8)
    ]


def test_batches_and_sizes_of_any_kind_are_taken(exported, batch):
    serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
    whole = serve(tf.constant(batch))
    assert whole["SemanticPredictions"].shape == (3, 70, 90)
    assert whole["SemanticProbabilities"].shape == (3, 70, 90, 6)
    np.testing.assert_allclose(np.sum(whole["SemanticProbabilities"], -1), 1, atol=1e-4)
    for i in range(3):
        one = serve(tf.constant(batch[i : i + 1]))
        np.testing.assert_array_equal(
            one["SemanticPredictions"][0], whole["SemanticPredictions"][i]
        )
    tiny = serve(tf.constant(batch[:1, :1, :1]))
    assert tiny["SemanticPredictions"].shape == (1, 1, 1)


def test_bytes_give_what_pixels_give(exported, batch, tmp_path):
    signatures = tf.saved_model.load(str(exported)).signatures
    path = tmp_path / "photo.jpg"
    Image.fromarray(batch[0]).save(path, quality=85)
    pixels = image_files.read_image(path)
    encoded = [path.read_bytes(), image_files.png(pixels)]
    found = signatures["serving_bytes"](tf.constant(encoded))["SemanticPredictions"]
    expected = signatures["serving_default"](tf.constant(pixels[np.newaxis]))
    for classes in found:
        np.testing.assert_array_equal(classes, expected["SemanticPredictions"][0])


def test_the_export_gives_what_vis_draws(exported, run, shapes, tmp_path):
    path = shapes / "images" / "val" / "val_0001.png"
    visualize(vis_config(run, tmp_path, image=str(path)))
    drawn = image_files.read_mask(
        tmp_path / "raw_segmentation_results" / "val_0001.png"
    )
    serve = tf.saved_model.load(str(exported)).signatures["serving_bytes"]
    found = serve(tf.constant([path.read_bytes()]))["SemanticPredictions"][0]
    assert np.mean(found == drawn) > 0.999


def test_labels_colors_and_origin_are_assets(exported, run):
    assets = exported / "assets"
    assert (assets / "labels.txt").read_text().split() == [
        "ground",
        "ball",
        "box",
        "ring",
        "cone",
        "star",
    ]
    rows = (assets / "colormap.csv").read_text().splitlines()
    assert rows[:3] == ["id,red,green,blue", "0,70,80,90", "1,214,39,40"]
    info = json.loads((assets / "export_info.json").read_text())
    assert info["checkpoint"] == str(run / "model.ckpt-100")
    assert info["crop_size"] == [65, 65]
    assert info["output_stride"] == 16


def nodes_of(path):
    message = saved_model_pb2.SavedModel.FromString(
        (path / "saved_model.pb").read_bytes()
    )
    library = message.meta_graphs[0].graph_def.library.function
    return [node for function in library for node in function.node_def]


def test_weights_are_constants_of_one_function(exported, run, batch):
    """Or each signature would have them in the file."""
    nodes = nodes_of(exported)
    assert "Conv2D" in {node.op for node in nodes}
    assert "ReadVariableOp" not in {node.op for node in nodes}
    weights = deeplab_tf.load(str(run)).model.count_params() * 4
    constants = [n.attr["value"].tensor.ByteSize() for n in nodes if n.op == "Const"]
    assert 0.9 * weights < sum(constants) < 1.1 * weights + 20_000
    assert (
        not tf.saved_model.load(str(exported)).signatures["serving_default"].variables
    )


def test_many_weights_are_variables(run, tmp_path, batch, exported, monkeypatch):
    """As constants, they would be in memory dozens of times while a file is read."""
    monkeypatch.setattr(saved_model, "MOST_CONSTANT_BYTES", 0)
    exporting.export(config(run, tmp_path / "m"))
    constants = [
        n.attr["value"].tensor for n in nodes_of(tmp_path / "m") if n.op == "Const"
    ]
    assert max(each.ByteSize() for each in constants) < 10_000
    loaded = tf.saved_model.load(str(tmp_path / "m"))
    serve = loaded.signatures["serving_default"]
    weights = serve.variables
    assert weights
    assert not any(each.trainable for each in weights)
    path = tmp_path / "m" / "variables" / "variables.data-00000-of-00001"
    bytes_ = sum(each.numpy().nbytes for each in weights)
    assert bytes_ <= path.stat().st_size < 1.5 * bytes_ + 2000
    constant = tf.saved_model.load(str(exported))
    other = constant.signatures["serving_default"]
    answers = [each(tf.constant(batch)) for each in (serve, other)]
    np.testing.assert_allclose(
        *(each["SemanticProbabilities"] for each in answers), atol=1e-6
    )


def test_an_inference_graph_as_text_lies_beside_it(exported):
    assert (exported / "inference_graph.pbtxt").exists()


def test_a_range_of_sizes_is_inside(run, tmp_path, batch):
    resize = Overrides(ResizeConfig(), {"min_resize_value": 33})
    exporting.export(config(run, tmp_path / "m", resize=resize))
    serve = tf.saved_model.load(str(tmp_path / "m")).signatures["serving_default"]
    found = serve(tf.constant(batch))
    assert found["SemanticPredictions"].shape == (3, 70, 90)
    assert found["SemanticProbabilities"].shape == (3, 70, 90, 6)


def test_an_export_that_differs_from_its_network_is_not_written(
    run, tmp_path, monkeypatch
):
    real = fold_batch_norm.fold

    def wrong(network):
        folded = real(network)
        weights = {name: -value for name, value in folded.weights.items()}
        return dataclasses.replace(folded, weights=weights)

    monkeypatch.setattr(fold_batch_norm, "fold", wrong)
    with pytest.raises(
        InputError, match=r"differs from the network: \d+\.\d\d% of the"
    ):
        exporting.export(config(run, tmp_path / "m"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"export_path": "."}, "is there already"),
        ({"num_classes": 5}, "--num_classes=5, but shapes has 6 classes"),
        ({"dataset": "camvid"}, r"camvid \(11 c.*: their numbers .*; leave --dataset"),
        ({"checkpoint_path": "nowhere"}, "no such checkpoint"),
        ({"check_image": "nowhere.jpg"}, r"nowhere\.jpg: no such file"),
    ],
)
def test_a_mistake_leaves_nothing_behind(run, tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        exporting.export(config(run, tmp_path / "m", **changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.nightly
def test_a_bare_checkpoint_is_compared_on_the_packaged_picture(
    v3plus_run, tmp_path, caplog
):
    """Without config.json, flags describe the network, and classes have numbers."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in v3plus_run.glob("model.ckpt*"):
        shutil.copy(path, bare)
    given = {
        "depth_multiplier": 0.25,
        "decoder_output_stride": (4,),
        "aspp_convs_filters": 16,
        "decoder_filters": 16,
    }
    model = Overrides(config(v3plus_run, "m").model.defaults, given)
    exporting.export(config(bare, tmp_path / "m", model=model, num_classes=6))
    info = json.loads((tmp_path / "m" / "assets" / "export_info.json").read_text())
    assert info["output_stride"] == 8
    assert info["crop_size"] == [513, 513]
    assert (tmp_path / "m" / "assets" / "labels.txt").read_text().startswith("class_0")
    assert "100.00 % of the pixels agree" in caplog.text


SCRIPT = ROOT / "examples" / "predict.py"


def save_turned(path, array, orientation):
    """A photograph whose camera was held so; its format follows from the suffix."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(array).save(path, exif=exif)


@pytest.mark.nightly
def test_the_example_predicts_upright(exported, tmp_path, rng):
    image, output = tmp_path / "phone.jpg", tmp_path / "prediction.png"
    save_turned(image, rng.integers(0, 256, (40, 60, 3)).astype(np.uint8), 6)
    command = [sys.executable, str(SCRIPT), str(exported), str(image), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{image}: turned, as its EXIF data say" in done.stdout
    assert image_files.read_mask(output).shape == (60, 40)
