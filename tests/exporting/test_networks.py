"""What every network computes, every format has, or says that it lacks it."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import InferenceConfig, ModelConfig, ResizeConfig
from deeplab_tf.config.export import FORMATS
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import InputError
from deeplab_tf.exporting import to_litert
from deeplab_tf.exporting.function import Ends, freeze
from deeplab_tf.exporting.pictures import Pictures
from deeplab_tf.exporting.plan import Plan
from deeplab_tf.exporting.quiet import quiet
from deeplab_tf.exporting.write import CONVERTERS, write
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.runtime import Segmenter
from tests.exporting.test_formats import needs, smooth
from tests.models import networks

CONFIGS = networks.configs()
LACKING = ("crf_rnn", "crf_rnn_dilation8")  # No other format has what they compute.
BY_DAY = ("segnet_basic", "dilation10", "fcn8s")  # With operations of their own.
SIZE = (65, 89)
ANY = Ends(outputs=("classes", "logits"))
ONE = dataclasses.replace(ANY, size=SIZE, batch=1)
FORMAT = pytest.mark.parametrize(
    "format", [pytest.param(name, marks=needs(name)) for name in CONVERTERS]
)


def default(format):
    return ONE if FORMATS[format].is_fixed else ANY


def predictor_of(model, config=ModelConfig(), **settings):
    return Predictor(
        model=model, config=config, spec=shapes_spec.SPEC, crop_size=SIZE, **settings
    )


def assert_file_agrees(predictor, format, ends, folder):
    path = folder / f"model{FORMATS[format].suffix}"
    frozen = freeze(predictor, InferenceConfig(), ends)
    with quiet():
        CONVERTERS[format](frozen, ends.names, path)
    segmenter = Segmenter(path)
    for size in (SIZE,) if ends.size else (SIZE, (38, 94)):
        pixels = smooth(np.random.default_rng(0), size)[np.newaxis]
        given = segmenter.run(pixels)
        classes, logits = (each.numpy() for each in frozen(tf.constant(pixels)))
        gap = 1e-4 * np.abs(logits).max()
        np.testing.assert_allclose(given["Logits"], logits, rtol=0, atol=gap)
        assert (given["SemanticPredictions"] == classes).mean() > 0.999


@pytest.fixture(
    scope="module",
    params=[
        name if name in BY_DAY else pytest.param(name, marks=pytest.mark.nightly)
        for name in CONFIGS
        if name not in LACKING
    ],
)
def network(request):
    keras.utils.set_random_seed(0)
    config = CONFIGS[request.param]
    yield predictor_of(networks.make_with_rule_weights(config).model, config)
    keras.backend.clear_session()


@FORMAT
def test_logits_are_those_of_the_network(network, format, tmp_path):
    assert_file_agrees(network, format, default(format), tmp_path)


@pytest.mark.nightly
@FORMAT
def test_logits_in_the_other_form_of_a_file(network, format, tmp_path):
    other = ANY if default(format) == ONE else ONE
    assert_file_agrees(network, format, other, tmp_path)


@FORMAT
@pytest.mark.parametrize(
    ("upsampled", "resize"),
    [
        (True, ResizeConfig(min_resize_value=40, max_resize_value=49)),
        (False, ResizeConfig(min_resize_value=40, resize_factor=8)),
        (True, ResizeConfig(min_resize_value=40, keep_aspect_ratio=False)),
    ],
)
def test_images_in_a_range_of_sizes(format, upsampled, resize, tmp_path):
    images = keras.Input((None, None, 3))
    start = keras.initializers.RandomNormal(stddev=0.1, seed=1)
    x = keras.layers.Conv2D(6, 8, 8, "same", kernel_initializer=start)(images / 255.0)
    predictor = predictor_of(
        keras.Model(images, x),
        ModelConfig(prediction_with_upsampled_logits=upsampled),
        resize=resize,
    )
    assert_file_agrees(predictor, format, default(format), tmp_path)


class Search(keras.layers.Layer):
    """An operation that only TensorFlow has."""

    def call(self, x):
        flat = tf.reshape(x, (1, -1))
        places = tf.searchsorted(tf.constant([[50.0, 100.0, 200.0]]), flat)
        return tf.cast(tf.reshape(places, tf.shape(x)), tf.float32)

    def compute_output_shape(self, shape):
        return shape


def assert_told_in_one_line(predictor, format, folder, capfd):
    nothing = Pictures(source="", read=lambda: iter(()))
    path = folder / f"model{FORMATS[format].suffix}"
    lacks = rf"--format={format} lacks .* \((\w+, )*LowerBound(, \w+)*\); take saved_mo"
    with pytest.raises(InputError, match=lacks):
        write(predictor, path, Plan(format=format, ends=ONE), nothing)
    assert not any(folder.iterdir())
    assert capfd.readouterr() == ("", "")


@FORMAT
def test_what_a_format_lacks_is_told_in_one_line(format, tmp_path, capfd):
    images = keras.Input((None, None, 3))
    predictor = predictor_of(keras.Model(images, Search()(images)))
    assert_told_in_one_line(predictor, format, tmp_path, capfd)


@pytest.mark.nightly
@FORMAT
@pytest.mark.parametrize("name", LACKING)
def test_a_crf_inside_a_network_is_lacking(name, format, tmp_path, capfd):
    predictor = predictor_of(networks.make(CONFIGS[name]).model, CONFIGS[name])
    assert_told_in_one_line(predictor, format, tmp_path, capfd)


@needs("litert")
def test_litert_computes_all_convolutions_but_four_in_8_bits(tmp_path):
    from ai_edge_litert import schema_py_generated as schema

    x = images = keras.Input((None, None, 3))
    for _ in range(6):
        x = keras.layers.Conv2D(6, 3, 2, "same", activation="relu")(x)
    pixels = smooth(np.random.default_rng(0), SIZE)[np.newaxis]
    path = tmp_path / "model.tflite"
    frozen = freeze(predictor_of(keras.Model(images, x)), InferenceConfig(), ONE)
    with quiet():
        to_litert.save(frozen, ONE.names, path, quantize="int8", calibration=[pixels])
    read = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (graph,) = read.subgraphs
    assert [
        graph.tensors[operator.inputs[0]].type == schema.TensorType.INT8
        for operator in graph.operators
        if read.operatorCodes[operator.opcodeIndex].builtinCode
        == schema.BuiltinOperator.CONV_2D
    ] == [False, False, False, True, True, False]
