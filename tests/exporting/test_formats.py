"""Files for other runtimes give what the network gives, in processes without us."""

import importlib.util
import json
import re

import keras
import numpy as np
import pytest

from deeplab_tf import flags
from deeplab_tf.config import ExportConfig, InferenceConfig, ModelConfig
from deeplab_tf.config.export import FORMATS
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.exporting import frozen_graph, pictures, to_onnx, write
from deeplab_tf.exporting import run as exporting
from deeplab_tf.exporting.agreement import Agreement
from deeplab_tf.exporting.benchmark import benchmark
from deeplab_tf.exporting.function import Ends, freeze
from deeplab_tf.exporting.plan import Plan, make_all
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.runtime import Segmenter
from tests.evaluation.test_run import config as eval_config

FIXED = Ends(size=(65, 65), batch=1)


def needs(format):
    """A mark that skips where the format's extra is not installed."""
    facts = FORMATS[format]
    modules = (*write.CONVERTER_MODULES.get(format, ()), facts.module)
    missing = [name for name in modules if not importlib.util.find_spec(name)]
    reason = f"needs {missing}: pip install 'deeplab-tf[{facts.extra}]'"
    return pytest.mark.skipif(bool(missing), reason=reason)


@pytest.fixture(scope="module")
def predictor():
    """Of one convolution at stride 16, whose logits are far apart."""
    images = keras.Input((None, None, 3))
    start = keras.initializers.RandomNormal(stddev=0.1, seed=1)
    x = keras.layers.Conv2D(6, 16, 16, "same", kernel_initializer=start)(images / 255.0)
    return Predictor(
        model=keras.Model(images, x),
        config=ModelConfig(),
        spec=shapes_spec.SPEC,
        crop_size=(65, 65),
    )


@pytest.fixture
def photographs(rng):
    """Three of two sizes: noise in squares of 16 pixels."""
    return [smooth(rng, size) for size in ((65, 65), (40, 60), (90, 70))]


def smooth(rng, size):
    coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8))[: size[0], : size[1]]


def samples(photographs):
    return pictures.Pictures(
        source="three pictures",
        read=lambda: (pictures.Sample(pixels=each) for each in photographs),
    )


def export(predictor, path, photographs, **settings):
    plan = Plan(**settings)
    return write.write(
        predictor, path, plan, samples(photographs), samples(photographs)
    )


CASES = [
    pytest.param("model.onnx", {"format": "onnx"}, marks=needs("onnx")),
    pytest.param(
        "model.tflite", {"format": "litert", "ends": FIXED}, marks=needs("litert")
    ),
    pytest.param("model.xml", {"format": "openvino"}, marks=needs("openvino")),
]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_file_gives_what_the_network_gives(
    predictor, photographs, tmp_path, name, settings
):
    report = export(predictor, tmp_path / name, photographs, **settings)
    said = json.loads((tmp_path / f"{name}.report.json").read_text())
    assert said["equal_pixels"]["worst"] > 0.999
    assert said["probabilities"]["largest_difference"] < 1e-4
    assert said["fresh_process"]
    assert not said["tensorflow_loaded"]
    assert said["peak_memory_bytes"] > 1e6
    assert said["latency"]["runs"] == len(report.latencies) >= 5
    pixels = photographs[0][np.newaxis]
    outputs = Segmenter(tmp_path / name).run(pixels)
    expected = predictor.predict(photographs[0])
    assert list(outputs) == ["SemanticPredictions", "SemanticProbabilities"]
    np.testing.assert_array_equal(outputs["SemanticPredictions"][0], expected.classes)
    np.testing.assert_allclose(
        outputs["SemanticProbabilities"][0], expected.probabilities, atol=1e-5
    )


def test_the_description_beside_a_file_has_what_clients_need(
    predictor, photographs, tmp_path
):
    plan = Plan(format="keras")
    write.write(predictor, tmp_path / "m.keras", plan, samples(photographs))
    said = json.loads((tmp_path / "m.keras.json").read_text())
    assert said["format"] == "keras"
    assert said["classes"] == ["ground", "ball", "box", "ring", "cone", "star"]
    assert said["colors"][1] == [214, 39, 40]
    assert said["mean_pixel"] == [127.5, 127.5, 127.5]
    assert (said["input_size"], said["batch"]) == (None, None)
    assert said["scales"] == [1.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "m.keras",
        "m.keras.json",
        "m.keras.report.json",
    ]


def test_a_frozen_graph_takes_and_gives_what_is_asked_for(
    predictor, photographs, tmp_path
):
    ends = Ends(size=(65, 65), batch=1, outputs=("logits",))
    path = tmp_path / "m.pb"
    report = export(predictor, path, photographs, format="frozen_graph", ends=ends)
    assert report.agreement.equal == [1.0, 1.0, 1.0]
    outputs = frozen_graph.load(path)(photographs[0][np.newaxis])
    expected = predictor.predict(photographs[0], output="logits").logits
    np.testing.assert_allclose(outputs["Logits"][0], expected, atol=1e-5)


@pytest.mark.parametrize(("size", "warns"), [((65, 80), True), ((90, 70), False)])
def test_pictures_that_a_file_cuts_into_tiles_are_warned_of(
    predictor, photographs, tmp_path, caplog, size, warns
):
    ends, path = Ends(size=size, batch=1), tmp_path / "m.pb"
    export(predictor, path, photographs, format="frozen_graph", ends=ends)
    told = [line for line in caplog.messages if "m.pb takes 65x80 pixels" in line]
    assert len(told) == warns
    assert all(line.endswith("--input_size=90,80 takes them whole") for line in told)


def prediction(margins):
    """Of two classes, the first of which is likelier by these margins."""
    first = (1 + np.array([margins])) / 2
    probabilities = np.stack([first, 1 - first], -1).astype(np.float32)
    return Prediction(
        image=np.zeros((1, len(margins), 3), np.uint8),
        classes=np.zeros((1, len(margins)), np.int32),
        probabilities=probabilities,
    )


def compare(margins, classes, gap=0.0, quantize="none"):
    expected, agreement = prediction(margins), Agreement(quantize, 2, 255)
    outputs = {
        "SemanticPredictions": np.array([[classes]]),
        "SemanticProbabilities": expected.probabilities[np.newaxis] + gap,
    }
    agreement.add(outputs, expected)
    return agreement


def test_agreement_is_the_share_of_equal_pixels_and_the_gap_of_probabilities():
    agreement = compare([0.5, 0.5, 0.5, 0.5], [0, 0, 0, 1], gap=0.25)
    agreement.add({"Logits": np.array([[[[1.0, 0.0]]]])}, prediction([0.5]))
    said = agreement.describe()
    assert said["equal_pixels"] == {"mean": (0.75 + 1) / 2, "worst": 0.75}
    assert said["probabilities"]["largest_difference"] == pytest.approx(0.25)
    assert said["probabilities"]["mean_difference"] == pytest.approx(0.25)
    assert said["miou"] is None


@pytest.mark.parametrize(
    ("quantize", "wrong"), [("none", 2), ("float16", 11), ("int8", 31)]
)
def test_each_precision_has_its_threshold(quantize, wrong):
    margins = [0.5] * 1000
    compare(margins, [1] * (wrong - 1) + [0] * (1001 - wrong), 0.0, quantize).check()
    worse = compare(margins, [1] * wrong + [0] * (1000 - wrong), 0.0, quantize)
    with pytest.raises(InputError, match=r"differs from the network: .*nothing was"):
        worse.check()


def test_what_is_no_number_differs_wholly():
    broken = compare([0.5] * 4, [0] * 4, gap=np.nan)
    with pytest.raises(InputError, match="differ by up to 1"):
        broken.check()


def test_less_agreement_is_taken_where_it_is_asked_for(caplog):
    half = compare([0.5, 0.5], [0, 1])
    half.check(0.5)
    assert "50.00% of the pixels are equal" in caplog.text
    assert "--min_agreement=0.5 takes it" in caplog.text
    with pytest.raises(InputError, match=r"50\.00% of the pixels"):
        half.check(0.6)


def test_more_agreement_may_be_asked_for():
    nearly = compare([0.5] * 2000, [1] + [0] * 1999)
    nearly.check()
    with pytest.raises(InputError, match=r"99\.95% of the pixels .*100\.0% is needed"):
        nearly.check(1.0)


def test_a_network_whose_rounding_decides_is_told_as_that(caplog):
    random = compare([1e-6] * 10 + [0.5] * 90, [1] * 10 + [0] * 90)
    random.check()
    assert "own rounding decides 10.0 % of the pixels" in caplog.text
    broken = compare([1e-6] * 10 + [0.5] * 90, [0] * 10 + [1] * 90)
    with pytest.raises(InputError, match="differs from the network"):
        broken.check()


def test_int8_may_lose_two_hundredths_of_miou():
    agreement = compare([0.5] * 100, [0] * 100, quantize="int8")
    label = np.repeat([[0, 1]], 50, axis=1)
    wrong = np.where(np.arange(100) < 96, label, 0)
    agreement.add_label(label, label, wrong)
    assert agreement.mious == (1.0, pytest.approx((50 / 54 + 46 / 50) / 2))
    with pytest.raises(InputError, match=r"loses 0\.077 of mIoU"):
        agreement.check()


def test_a_picture_is_fitted_into_the_size_of_a_file():
    pixels = np.full((10, 40, 3), 9, np.uint8)
    fitted = pictures.fit(pixels, (20, 20), (127.5, 100.0, 99.4))
    assert fitted.shape == (20, 20, 3)
    assert (fitted[:5] == 9).all()
    assert (fitted[5:] == (128, 100, 99)).all()
    assert pictures.fit(pixels, None, (0.0, 0.0, 0.0)) is pixels


@needs("onnx")
def test_softmax_is_written_out_and_weights_are_halved(predictor, tmp_path):
    import onnx

    frozen = freeze(predictor, InferenceConfig(), FIXED)
    to_onnx.save(frozen, FIXED.names, tmp_path / "m.onnx", quantize="float16")
    model = onnx.load(tmp_path / "m.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert "Exp" in kinds
    assert "Softmax" not in kinds
    halves = [
        t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16
    ]
    assert [list(tensor.dims) for tensor in halves] == [[6, 3, 16, 16]]
    (size,) = [end.type.tensor_type.shape.dim for end in model.graph.input]
    assert [dimension.dim_value for dimension in size] == [1, 65, 65, 3]


SMALLER = [
    ("model.onnx", {"format": "onnx", "quantize": "float16"}),
    ("model.onnx", {"format": "onnx", "quantize": "int8"}),
    ("model.xml", {"format": "openvino", "quantize": "float16"}),
    ("model.tflite", {"format": "litert", "quantize": "float16", "ends": FIXED}),
    ("model.tflite", {"format": "litert", "quantize": "dynamic", "ends": FIXED}),
    ("model.tflite", {"format": "litert", "quantize": "int8", "ends": FIXED}),
    ("model.tflite", {"format": "litert"}),
    ("model.onnx", {"format": "onnx", "ends": Ends(outputs=("logits", "classes"))}),
    (
        "model.onnx",
        {
            "format": "onnx",
            "inference": InferenceConfig(
                eval_scales=(0.5, 1.0), add_flipped_images=True
            ),
        },
    ),
]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "settings"),
    [pytest.param(*case, marks=needs(case[1]["format"])) for case in SMALLER],
)
def test_precisions_sizes_outputs_and_views(
    predictor, photographs, tmp_path, name, settings
):
    report = export(predictor, tmp_path / name, photographs, **settings)
    assert report.agreement.mean >= 0.97
    assert report.is_fresh
    assert not report.has_tensorflow
    outputs = Segmenter(tmp_path / name).run(photographs[0][np.newaxis])
    ends = settings.get("ends", Ends())
    assert list(outputs) == ends.names


@pytest.mark.nightly
def test_the_benchmark_writes_all_that_is_installed_and_a_table(
    predictor, photographs, tmp_path
):
    folder = tmp_path / "all"
    config = ExportConfig(checkpoint_path="run", export_path="all", benchmark=True)
    plans = make_all(config, predictor.crop_size)
    reports = benchmark(
        predictor, folder, plans, samples(photographs), samples(photographs)
    )
    rows = (folder / "benchmark.txt").read_text().splitlines()
    assert len(rows) == 2 + len(reports)
    described = json.loads((folder / "benchmark.json").read_text())
    assert described == [report.describe() for report in reports]
    assert {"saved_model", "frozen_graph.pb", "keras.keras"} <= {
        path.name for path in folder.iterdir()
    }


@pytest.mark.nightly
@needs("onnx")
def test_a_run_is_exported_and_scored_on_its_split(
    v3plus_run, shapes, tmp_path, caplog
):
    path = tmp_path / "m.onnx"
    flagged = [
        f"--checkpoint_path={v3plus_run}",
        f"--export_path={path}",
        "--check_split=val",
    ]
    config = flags.parse(
        ExportConfig, ["export", *flagged, "--input_size=65,65", "--batch=1"]
    )
    exporting.export(config)
    said = json.loads((tmp_path / "m.onnx.report.json").read_text())
    scores = evaluate(eval_config(v3plus_run, shapes, tmp_path / "eval"))
    assert said["num_pictures"] > 1
    assert said["miou"]["network"] == pytest.approx(scores["miou"], abs=1e-4)
    assert said["miou"]["export"] == pytest.approx(scores["miou"], abs=1e-2)
    assert "ONNX    float32" in caplog.text
    after = f"Next: deeplab-predict --model={path} --input=photos --output=predicted"
    assert after in caplog.messages
    with pytest.raises(InputError, match=r"m\.onnx is there already"):
        exporting.export(config)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--export_path=a.onnx", "--format=litert"], "is to end in .tflite"),
        (["--export_path=a", "--format=onnx"], "is to end in .onnx"),
        (["--export_path=a.onxx"], "did you mean .onnx? One of .pb, .tflite, .onnx,"),
        (["--export_path=a.jpg"], "--export_path=a.jpg: one of .pb, .tflite, .onnx, "),
        (["--export_path=a.h5"], "or --format=saved_model, which writes a folder"),
        (["--export_path=a.pb", "--format=saved_model"], "ends like a frozen_graph"),
        (["--export_path=a.onnx", "--quantize=dynamic"], "one of none,float16,int8"),
        (["--export_path=a", "--quantize=int8"], "no effect with --format=saved_model"),
        (["--export_path=a.keras", "--input_size=9"], "no effect with --format=keras"),
        (
            ["--export_path=a.pb", "--quantize=int8"],
            "effect with --format=frozen_graph",
        ),
        (["--export_path=a.onnx", "--input_size=9,x"], "height,width, as 513,513"),
        (["--export_path=a.onnx", "--outputs=logits,logits"], "each once is needed"),
        (["--export_path=a.onnx", "--calibration_images=x"], "no effect with --quant"),
        (
            ["--export_path=a.tflite", "--quantize=int8", "--batch=any"],
            "int8 of litert is calibrated on one size",
        ),
        (
            ["--export_path=a.xml", "--quantize=int8", "--input_size=any"],
            "int8 of openvino is calibrated on one size",
        ),
        (["--export_path=a", "--benchmark", "--format=onnx"], "effect with --benchm"),
    ],
)
def test_flags_that_cannot_be_meant_are_told(args, message):
    with pytest.raises(FlagError, match=re.escape(message)):
        flags.parse(ExportConfig, ["export", "--checkpoint_path=run", *args])


def test_the_benchmark_has_a_plan_for_each_format_in_each_precision():
    config = ExportConfig(
        checkpoint_path="run",
        export_path="all",
        benchmark=True,
        inference_scales=(2.0,),
    )
    plans = make_all(config, (65, 97))
    assert list(plans)[:4] == [
        "saved_model",
        "frozen_graph.pb",
        "litert.tflite",
        "litert_float16.tflite",
    ]
    assert len(plans) == 2 + 4 + 3 + 3 + 1
    assert plans["litert.tflite"].ends == Ends(size=(65, 97), batch=1)
    assert plans["onnx.onnx"].ends == Ends()
    assert plans["onnx.onnx"].inference.eval_scales == (2.0,)
    assert plans["keras.keras"].inference == InferenceConfig()


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("m.onnx", "onnx"),
        ("m.TFLITE", "litert"),
        ("m.xml", "openvino"),
        ("m.pb", "frozen_graph"),
        ("m.keras", "keras"),
        ("m", "saved_model"),
        ("v1.2", "saved_model"),
    ],
)
def test_the_format_follows_from_the_path(path, format):
    config = ExportConfig(checkpoint_path="run", export_path=path)
    assert config.format == format


def test_a_runtime_that_is_missing_is_one_line(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs onnx: pip install 'deeplab-tf\[onnx"):
        write.write(
            predictor, tmp_path / "m.onnx", Plan(format="onnx"), pictures.packaged()
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["run.1", "v2.0", "a.b/c", "1/model.savedmodel"])
def test_a_name_that_ends_like_no_file_is_that_of_a_folder(path):
    config = ExportConfig(checkpoint_path="run", export_path=path)
    assert config.format == "saved_model"
