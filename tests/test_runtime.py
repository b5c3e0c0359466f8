"""The client: one file gives what the network gives, by any runtime."""

import itertools
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf import resize, runtime
from deeplab_tf.config import ResizeConfig
from deeplab_tf.data import image_files
from deeplab_tf.data.spec import distinct_colors
from deeplab_tf.data.transforms import size_in_range
from tests import pixelwise
from tests.recorded import ROOT

MODULES = {"onnx": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert"}
FILE = ROOT / "deeplab_tf" / "runtime.py"


@pytest.fixture(params=pixelwise.SUFFIXES)
def kind(request):
    if request.param in MODULES:
        pytest.importorskip(MODULES[request.param], reason="an extra is not installed")
    if request.param == "openvino":
        pytest.importorskip("onnx", reason="[onnx] is not installed")
    return request.param


@pytest.fixture
def photo(rng):
    return rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)


def onnx(folder, *, tiles=None, **settings):
    pytest.importorskip("onnxruntime", reason="[onnx] is not installed")
    path = pixelwise.write(folder, "onnx", **settings)
    return runtime.Segmenter(path, tiles=tiles)


def check(result, photo):
    np.testing.assert_array_equal(result.classes, pixelwise.classes(photo))
    assert result.classes.dtype == np.int32
    if result.probabilities is not None:
        expected = pixelwise.probabilities(photo)
        np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)


def test_every_format_of_any_size_gives_what_one_computes(kind, photo, tmp_path):
    segmenter = runtime.Segmenter(pixelwise.write(tmp_path, kind))
    assert (segmenter.batch, segmenter.input_size) == (None, None)
    result = segmenter.predict(photo)
    check(result, photo)
    assert result.probabilities is not None
    other = photo[:7, :9]
    check(segmenter.predict(other), other)
    raw = segmenter.run(np.stack([photo, photo[::-1]]))
    assert set(raw) == {"SemanticPredictions", "SemanticProbabilities"}
    np.testing.assert_array_equal(
        raw["SemanticPredictions"][1], pixelwise.classes(photo)[::-1]
    )
    assert result.labels == ("red", "green", "blue")


def test_a_fixed_size_takes_smaller_and_larger_photographs(kind, photo, tmp_path, rng):
    path = pixelwise.write(tmp_path, kind, size=(24, 32), batch=1)
    segmenter = runtime.Segmenter(path)
    assert (segmenter.batch, segmenter.input_size) == (1, (24, 32))
    check(segmenter.predict(photo), photo)
    large = rng.integers(0, 256, (61, 97, 3)).astype(np.uint8)
    result = segmenter.predict(large)
    check(result, large)
    assert result.probabilities is None
    check(segmenter.predict(large, probabilities=True), large)
    wide = large[:10]  # Smaller, and larger.
    check(segmenter.predict(wide, probabilities=True), wide)
    raw = segmenter.run(np.stack([large[:24, :32], large[24:48, :32]]))
    np.testing.assert_array_equal(
        raw["SemanticPredictions"][1], pixelwise.classes(large[24:48, :32])
    )


def test_a_batch_of_the_file_is_filled_up(photo, tmp_path):
    segmenter = onnx(tmp_path, size=(20, 30), batch=2)
    stack = np.stack([photo, photo[::-1], photo[:, ::-1]])
    ids = segmenter.run(stack)["SemanticPredictions"]
    np.testing.assert_array_equal(ids, pixelwise.classes(stack))


def test_classes_alone_come_in_batches_and_in_order(tmp_path, rng, monkeypatch):
    segmenter = onnx(tmp_path)
    shapes = []
    monkeypatch.setattr(
        segmenter,
        "_network",
        spy(segmenter._network, shapes),
    )
    sizes = [(8, 9), (5, 5), (8, 9), (8, 9), (5, 5)]
    photos = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    for ids, pixels in zip(segmenter.classify(photos, 2), photos, strict=True):
        np.testing.assert_array_equal(ids, pixelwise.classes(pixels))
    assert shapes == [(2, 8, 9, 3), (1, 8, 9, 3), (2, 5, 5, 3)]


def spy(network, shapes):
    def compute(pixels, names):
        assert names == ["SemanticPredictions"]
        shapes.append(pixels.shape)
        return network.compute(pixels, names)

    return runtime._Network(network.shape, network.outputs, compute)


def test_a_huge_photograph_is_tiled_by_a_model_of_any_size(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(runtime, "WHOLE", 40 * 40)
    segmenter, shapes = onnx(tmp_path), []
    large = rng.integers(0, 256, (61, 97, 3)).astype(np.uint8)
    network = segmenter._network

    def compute(pixels, names):
        shapes.append(pixels.shape[1:3])
        return network.compute(pixels, names)

    segmenter._network = runtime._Network(network.shape, network.outputs, compute)
    check(segmenter.predict(large), large)
    assert set(shapes) == {(33, 33)}  # The crop of its training.
    (ids,) = segmenter.classify([large])
    np.testing.assert_array_equal(ids, pixelwise.classes(large))


def test_a_fixed_size_with_a_range_of_sizes_sees_things_as_they_were_learned(tmp_path):
    """A smooth one: what changes by the resizing is a line between the halves.

    Of 24x32 pixels, the model makes 30x40. Of 90x240, the network should see 30x80, so
    that the model should be given 24x64.
    """
    columns = np.linspace(0, 255, 240)
    large = np.stack([columns, columns[::-1], np.zeros(240)], axis=-1)
    large = np.repeat(large[np.newaxis], 90, axis=0).astype(np.uint8)
    segmenter = onnx(tmp_path, size=(24, 32), min_resize_value=30)
    seen = []
    network = segmenter._network

    def compute(pixels, names):
        seen.append(pixels)
        return network.compute(pixels, names)

    segmenter._network = runtime._Network(network.shape, network.outputs, compute)
    result = segmenter.predict(large, probabilities=True)
    assert len(seen) == 3  # 64 columns by 32, which overlap by 8.
    assert result.classes.shape == (90, 240)
    assert np.mean(result.classes == pixelwise.classes(large)) > 0.98
    gap = np.abs(result.probabilities - pixelwise.probabilities(large))
    assert gap.max() < 0.02
    seen.clear()
    segmenter.predict(large[:24, :32])  # Of the model's own size, as it is.
    np.testing.assert_array_equal(seen[0][0], large[:24, :32])


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((90, 120), {"min_resize_value": 30}),
        ((375, 500), {"min_resize_value": 513, "max_resize_value": 600}),
        ((1, 7), {"min_resize_value": 4, "max_resize_value": 9}),
        ((333, 500), {"min_resize_value": 65, "resize_factor": 16}),
        ((99, 61), dict(min_resize_value=50, max_resize_value=70, resize_factor=8)),
    ],
)
def test_the_range_of_sizes_is_that_of_the_network(size, settings):
    expected = size_in_range(tf.constant(size), ResizeConfig(**settings)).numpy()
    assert runtime.ExportInfo(**settings).size_in_range(size) == tuple(expected)


@pytest.mark.parametrize("size", [(5, 7), (20, 31), (1, 1), (40, 3)])
def test_resizing_is_that_of_the_network(size, rng):
    values = rng.normal(size=(20, 31, 4)).astype(np.float32)
    expected = resize.bilinear(values[np.newaxis], size)[0]
    np.testing.assert_allclose(runtime.resize(values, size), expected, atol=1e-5)
    for kind, least in ((np.uint8, 0), (np.int32, -1), (np.int64, -1)):
        ids = rng.integers(least, 256, (20, 31)).astype(kind)
        expected = resize.nearest(ids[np.newaxis, ..., np.newaxis], size)[0, ..., 0]
        assert expected.dtype == kind
        np.testing.assert_array_equal(runtime.resize_nearest(ids, size), expected)


def test_tiles_cover_a_side_and_meet_in_the_middle():
    assert runtime.tile_spans(10, 10, 2) == [(0, 10, 0, 10)]
    assert runtime.tile_spans(7, 10, 2) == [(0, 7, 0, 7)]
    assert runtime.tile_spans(16, 8, 2) == [
        (0, 8, 0, 6),
        (4, 12, 6, 10),
        (8, 16, 10, 16),
    ]
    for length in range(9, 90):
        spans = runtime.tile_spans(length, 8, 2)
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert {end - start for start, end, _, _ in spans} == {8}
        for (_, end, _, last), (start, _, first, _) in itertools.pairwise(spans):
            assert end - start >= 2  # A quarter.
            assert start < first == last < end


def test_tiles_are_blended_by_how_deep_a_pixel_lies():
    """Two tiles, one of which sees class 0 and the other class 1, for sure."""
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 11] = 1  # In the right tile alone.

    def compute(part):
        side = int(part.max())
        values = np.zeros((*part.shape[:2], 2), np.float32)
        values[..., side] = 1
        return np.full(part.shape[:2], side, np.int32), values

    tiles = runtime.Tiles((4, 8))
    classes, values = runtime.predict_tiles(pixels, tiles, compute, keep=np.asarray)
    # The left one ends at 8, the right one begins at 4; a quarter is 2 columns.
    right = [0, 0, 0, 0, 1 / 3, 1 / 2, 1 / 2, 2 / 3, 1, 1, 1, 1]
    np.testing.assert_allclose(values[0, :, 1], right, atol=1e-6)
    np.testing.assert_array_equal(classes[0], [0] * 7 + [1] * 5)
    bare, none = runtime.predict_tiles(
        pixels, tiles, lambda part: (compute(part)[0], None), keep=np.asarray
    )
    np.testing.assert_array_equal(bare[0], [0] * 6 + [1] * 6)
    assert none is None


@pytest.mark.parametrize("overlap", [(0, 0), (2, 5), (6, 3), (7, 8)])
@pytest.mark.parametrize("size", [(8, 9), (9, 8), (30, 41), (17, 9), (5, 30)])
def test_blending_is_the_mean_by_weights_that_add_up_to_one(rng, size, overlap):
    """Against loops over all pixels of all tiles, in float64."""
    tiles = runtime.Tiles((8, 9), overlap)
    pixels = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    parts = []

    def compute(part):
        values = rng.random((*part.shape[:2], 4), np.float32)
        parts.append(values)
        return values.argmax(-1).astype(np.int32), values

    classes, values = runtime.predict_tiles(pixels, tiles, compute, keep=np.asarray)
    sums, total = np.zeros((*size, 4)), np.zeros(size)
    rows, columns = map(runtime.tile_spans, size, tiles.size, overlap)
    for part, ((top, *_), (left, *_)) in zip(
        parts, itertools.product(rows, columns), strict=True
    ):
        height, width = part.shape[:2]
        for y, x in itertools.product(range(height), range(width)):
            deep = min(1.0, min(y + 1, height - y) / max(1, overlap[0]))
            deep *= min(1.0, min(x + 1, width - x) / max(1, overlap[1]))
            sums[top + y, left + x] += deep * part[y, x].astype(np.float64)
            total[top + y, left + x] += deep
    np.testing.assert_allclose(values, sums / total[..., None], atol=1e-6)
    np.testing.assert_array_equal(classes, values.argmax(-1))
    for spans, by in zip((rows, columns), overlap, strict=True):
        line = np.zeros(spans[-1][1])
        for (start, end, *_), weight in zip(
            spans, runtime.tile_weights(spans, by), strict=True
        ):
            line[start:end] += weight
        np.testing.assert_allclose(line, 1, atol=1e-6)


def test_a_window_that_covers_the_image_changes_nothing(rng):
    pixels = rng.integers(0, 256, (7, 8, 3)).astype(np.uint8)
    values = rng.random((7, 8, 3), np.float32)
    classes, kept = runtime.predict_tiles(
        pixels, runtime.Tiles((8, 8)), lambda part: (None, values), keep=np.asarray
    )
    np.testing.assert_array_equal(kept, values)
    np.testing.assert_array_equal(classes, values.argmax(-1))


def test_tiles_that_no_window_can_make_are_refused(tmp_path):
    for size, overlap in [((8, 8), (8, 0)), ((0, 8), (0, 0)), ((8, 8), (0, -1))]:
        with pytest.raises(
            runtime.SegmenterError, match="from 0 to less than the size"
        ):
            runtime.Tiles(size, overlap)
    with pytest.raises(runtime.ModelError, match="takes images of 24,32 "):
        onnx(tmp_path, size=(24, 32), tiles=runtime.Tiles((24, 24)))
    with pytest.raises(runtime.ModelError, match="takes photographs without tiles"):
        onnx(tmp_path, min_resize_value=30, tiles=runtime.Tiles((24, 24)))


@pytest.mark.parametrize("blend", ["probabilities", "logits"])
def test_photographs_are_cut_into_the_tiles_that_are_asked_for(tmp_path, rng, blend):
    """Of a network that looks at each pixel alone, the answer is the same."""
    pixels = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    tiles = runtime.Tiles((16, 20), (4, 4), blend)
    result = onnx(tmp_path, tiles=tiles).predict(pixels, probabilities=True)
    check(result, pixels)


ORIENTATIONS = range(10)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_photographs_are_read_as_the_commands_read_them(
    photo, tmp_path, orientation, suffix
):
    path, exif = tmp_path / f"phone.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(path, exif=exif)
    expected = image_files.read_image(path)
    np.testing.assert_array_equal(runtime.read_image(path), expected)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(runtime.read_image(opened), expected)
    if suffix == "png" and orientation == 6:  # Turned to the right.
        np.testing.assert_array_equal(expected, np.rot90(photo, -1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "I;16", "CMYK", "LA"])
def test_photographs_of_any_colors_are_read_as_the_commands_read_them(
    photo, tmp_path, mode
):
    image = Image.fromarray(photo)
    if mode == "I;16":
        image = Image.fromarray(photo[..., 0].astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    image.save(path)
    np.testing.assert_array_equal(
        runtime.read_image(path), image_files.read_image(path)
    )


def test_gray_arrays_and_lists_are_taken(photo, tmp_path):
    segmenter = onnx(tmp_path)
    gray = photo[..., 0]
    first, second = segmenter.predict([photo[:5], gray])
    check(first, photo[:5])
    check(second, np.stack([gray] * 3, axis=-1))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "no such file"),
        (b"", "cannot be read as an image"),
        (b"text", "cannot be read as an image"),
        ("cut", "cannot be read as an image"),
    ],
)
def test_what_is_no_photograph_is_told_in_a_line(photo, tmp_path, content, what):
    path = tmp_path / "photo.jpg"
    if content == "cut":
        Image.fromarray(photo).save(path)
        content = path.read_bytes()[:-200]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(runtime.ImageError, match=what) as caught:
        runtime.read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_arrays_of_another_kind_are_refused(array):
    with pytest.raises(runtime.ImageError, match=r"uint8 \[H, W, 3\] is needed, not"):
        runtime.read_image(array)


def test_a_result_is_that_of_the_python_api(photo, tmp_path):
    result = onnx(tmp_path).predict(photo)
    counts = [np.sum(pixelwise.classes(photo) == i) for i in range(3)]
    assert result.shares == {
        name: pytest.approx(count / 600)
        for name, count in zip(["red", "green", "blue"], counts, strict=True)
    }
    result.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(
        image_files.read_mask(tmp_path / "mask.png"), pixelwise.classes(photo)
    )
    colors = np.array(pixelwise.INFO["colors"])[pixelwise.classes(photo)]
    np.testing.assert_array_equal(image_files.read_image(tmp_path / "mask.png"), colors)
    bare = np.asarray(result.overlay(legend=False))
    np.testing.assert_array_equal(bare, photo // 2 + colors // 2)
    assert result.overlay().size[1] > 20
    with pytest.raises(runtime.SegmenterError, match=r"mask\.jpg: a mask is a PNG"):
        result.save("mask.jpg")
    with pytest.raises(runtime.SegmenterError, match=r"mask\.png: no folder none; m"):
        result.save("none/mask.png")
    assert re.fullmatch(r"<Segmentation \d+x\d+: [^\n]+%>", repr(result))


def test_an_export_that_does_not_tell_its_classes_numbers_them(photo, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        segmenter = onnx(tmp_path, described=False)
        segmenter.predict(photo)
        result = segmenter.predict(photo)
    assert result.labels == ("class_0", "class_1", "class_2")
    assert result.colors == distinct_colors(3)
    told = [record for record in caplog.records if "numbered" in record.message]
    assert len(told) == 1


def test_assets_of_an_earlier_version_name_the_classes(photo, tmp_path):
    path = pixelwise.write(tmp_path, "saved_model")
    assets = path / "assets"
    (assets / "export_info.json").write_text(json.dumps({"crop_size": [65, 65]}))
    (assets / "labels.txt").write_text("a\nb\nc\n")
    rows = ["id,red,green,blue", "0,1,2,3", "1,4,5,6", "2,7,8,9"]
    (assets / "colormap.csv").write_text("\n".join(rows) + "\n")
    segmenter = runtime.Segmenter(path)
    assert segmenter.info.classes == ("a", "b", "c")
    assert segmenter.info.colors == ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    assert segmenter.info.crop_size == (65, 65)


def test_of_versions_the_newest_is_opened(tmp_path):
    for version in ("2", "10"):
        (tmp_path / version).mkdir()
    pixelwise.write(tmp_path / "2", "saved_model").rename(tmp_path / "two")
    shutil.rmtree(tmp_path / "2")
    (tmp_path / "10").rmdir()
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "2").mkdir()
    (tmp_path / "two").rename(tmp_path / "versions" / "10")
    assert runtime.Segmenter(tmp_path / "versions").info.classes[0] == "red"


def test_logits_of_a_stride_are_brought_to_the_size_of_the_photograph(rng):
    coarse = rng.normal(size=(1, 3, 4, 5)).astype(np.float32)
    segmenter = object.__new__(runtime.Segmenter)
    segmenter.path, segmenter.info = "model", runtime.ExportInfo()
    segmenter.batch = segmenter.input_size = None
    segmenter._names = {"Logits": "Logits"}
    network = runtime._Network([None] * 3 + [3], {}, lambda *_: [coarse])
    segmenter._network = network
    result = segmenter.predict(np.zeros((9, 13, 3), np.uint8))
    logits = resize.bilinear(coarse, (9, 13))
    np.testing.assert_array_equal(result.classes, np.argmax(logits, -1)[0])
    np.testing.assert_allclose(
        result.probabilities, tf.nn.softmax(logits)[0], atol=1e-6
    )


MISTAKES = [
    ("nowhere.onnx", "no such file or folder"),
    ("folder", "a folder without a SavedModel"),
    ("model.h5", r"\.h5, where a SavedModel or \.onnx, \.tflite, "),
    ("broken.onnx", "onnxruntime cannot open it"),
    ("broken.tflite", "ai-edge-litert cannot open it"),
    ("broken.pb", "tensorflow cannot open it"),
    ("described.onnx", "described.onnx.json: not the description of an export"),
]


@pytest.mark.parametrize(("name", "what"), MISTAKES)
def test_a_model_that_cannot_be_opened_is_told_in_a_line(tmp_path, name, what):
    pytest.importorskip("onnxruntime", reason="[onnx] is not installed")
    pytest.importorskip("ai_edge_litert", reason="[litert] is not installed")
    (tmp_path / "folder").mkdir()
    for each in ("model.h5", "broken.onnx", "broken.tflite", "broken.pb"):
        (tmp_path / each).write_bytes(b"nothing that\nis a model")
    pixelwise.write(tmp_path, "onnx").rename(tmp_path / "described.onnx")
    (tmp_path / "described.onnx.json").write_text('{"classes": ["a"], "colors": []}')
    with pytest.raises(runtime.ModelError, match=what) as caught:
        runtime.Segmenter(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_runtime_that_is_not_installed_is_named(tmp_path, monkeypatch):
    path = pixelwise.write(tmp_path, "onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        runtime.ModelError, match="needs onnxruntime: pip install onnxr"
    ):
        runtime.Segmenter(path)


def test_a_model_of_another_kind_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx", reason="[onnx] is not installed")
    model = pixelwise.onnx_model([1, 8, 8, 3], onnx.TensorProto.FLOAT)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(runtime.ModelError, match=r"tensor\(float\); uint8 is needed"):
        runtime.Segmenter(tmp_path / "model.onnx")
    model = pixelwise.onnx_model([1, 3, 8, 8])
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(runtime.ModelError, match=r"\[1, 3, 8, 8\]; \[N, H, W, 3\] is"):
        runtime.Segmenter(tmp_path / "model.onnx")


def test_pixels_and_outputs_that_do_not_fit_are_refused(tmp_path):
    segmenter = onnx(tmp_path, size=(8, 9))
    with pytest.raises(runtime.ImageError, match=r"\[N, 8, 9, 3\] is needed, not"):
        segmenter.run(np.zeros((1, 9, 8, 3), np.uint8))
    with pytest.raises(runtime.ModelError, match="no output Logits; it has Semantic"):
        segmenter.run(np.zeros((1, 8, 9, 3), np.uint8), ["Logits"])


def test_the_command_writes_a_mask_and_lists_what_is_in_it(photo, tmp_path, capsys):
    path = onnx(tmp_path).path
    Image.fromarray(photo).save(tmp_path / "photo.png")
    mask, overlay = tmp_path / "mask.png", tmp_path / "overlay.jpg"
    arguments = [path, str(tmp_path / "photo.png"), str(mask)]
    assert runtime.main([*arguments, f"--overlay={overlay}", "--threads=1"]) == 0
    share = np.mean(pixelwise.classes(photo) == 0)
    out = capsys.readouterr().out
    assert f"red: {share:.1%}\n" in out
    assert f"Wrote {mask}\n" in out
    np.testing.assert_array_equal(image_files.read_mask(mask), pixelwise.classes(photo))
    assert overlay.exists()
    assert runtime.main([path, str(tmp_path / "no\nphoto.png"), str(mask)]) == 1
    assert capsys.readouterr().err.endswith("no\\nphoto.png: no such file\n")


def test_the_file_stands_alone():
    lines = FILE.read_text().splitlines()
    imports = [line.split()[1] for line in lines if line.startswith(("import", "from"))]
    assert {name.partition(".")[0] for name in imports} <= {
        *sys.stdlib_module_names,
        "numpy",
        "PIL",
    }


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("kind", "package"), [("onnx", "onnxruntime"), ("litert", "ai-edge-litert")]
)
def test_a_copy_runs_beside_numpy_pillow_and_one_runtime(
    kind, package, photo, tmp_path
):
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "numpy", "pillow", package]
    installed = subprocess.run(install, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"no package index: {installed.stderr.strip().splitlines()[-1]}")
    shutil.copy(FILE, tmp_path / "segment.py")
    model = pixelwise.write(tmp_path, kind)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    command = [python, "segment.py", model.name, "photo.png", "mask.png"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(
        image_files.read_mask(Path(tmp_path / "mask.png")), pixelwise.classes(photo)
    )
