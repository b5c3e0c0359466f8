"""What every network promises; the tests of one share its build."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import ModelConfig
from deeplab_tf.config.architectures import ARCHITECTURES
from deeplab_tf.errors import InputError
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import HEADS, LOGITS, last_layers
from deeplab_tf.models.mixed_precision import dtype_policy
from tests.models import networks
from tests.recorded import assert_all_learn

CONFIGS = networks.configs()
SIZE = (33, 65)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.nightly)
        if name in networks.AT_NIGHT
        else name
        for name in CONFIGS
    ],
)
def network(request):
    """Narrow, for images of any size, in the form that predicts."""
    keras.utils.set_random_seed(0)
    yield networks.make_with_rule_weights(CONFIGS[request.param])
    keras.backend.clear_session()


@pytest.fixture
def images(rng):
    return rng.uniform(0, 255, (2, *SIZE, 3)).astype(np.float32)


def test_logits_have_the_stride_that_the_settings_tell(network, images):
    stride = network.config.logits_stride
    sides = [(side - 1) // stride + 1 for side in SIZE]
    assert network.model(images).shape == (2, *sides, 3)


def test_features_have_their_strides(network, images):
    config, extractor = network.config, BACKBONES[network.config.model_variant]
    levels = networks.TAPS.get(config.model_variant, {"c2", "c3", "c4", "c5"})
    if extractor.only_for or HEADS[config.head].vgg_form:
        pytest.skip("its strides are those of one network, and tested with it")
    if extractor.has_paths:
        levels = {"c5"}  # Of three cells, it is not tapped where the deep one is.
    assert levels <= network.features.keys()
    features = network.trunk(images)
    for level, stride in {"c2": 4, "c3": 8, "c4": 16, "c5": 32}.items():
        if level in levels:
            stride = min(stride, config.output_stride)
            sides = [(side - 1) // stride + 1 for side in SIZE]
            assert [*features[level].shape[1:3]] == sides, level


def test_scopes_hold_all_layers_that_the_feature_extractor_lacks(network):
    head = HEADS[network.config.head]
    model, trunk = network.model, networks.scopes(network.trunk)
    if head.auxiliary:
        with keras.StatelessScope(initialize_variables=False):
            model = networks.make(network.config, training_form=True).model
        keras.backend.clear_session()
    own = networks.scopes(model) - trunk
    assert [x for x in own if not x.startswith(head.scopes + head.pretrained)] == []
    assert [x for x in trunk if x.startswith(head.scopes)] == []
    assert [x for x in own if x.startswith(LOGITS)]
    for exact in head.float32:
        assert [x for x in own if x.startswith(exact)], exact


def test_images_and_scores_are_float32_in_mixed_precision(network):
    with dtype_policy("mixed_bfloat16"):
        policies = keras.config.dtype_policy()
    exact = HEADS[network.config.head].float32
    for layer in network.model.layers:
        name = layer.name.replace(".", "/")
        is_exact = name == "normalized" or name.startswith(exact)
        wanted = "float32" if is_exact else "bfloat16"
        assert policies[layer.name].compute_dtype == wanted, layer.name


def test_every_weight_learns(network, images):
    with tf.GradientTape() as tape:
        cost = tf.reduce_mean(network.model(images, training=True) ** 2)
    assert_all_learn(network.model, tape, cost)


@pytest.mark.nightly
def test_a_saved_network_is_the_network(network, images, tmp_path):
    network.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = network.model(images).numpy()
    np.testing.assert_allclose(loaded(images), expected, atol=1e-6 * expected.std())


def test_a_fixed_size_gives_what_any_size_gives(network, images):
    fixed = networks.make(network.config, input_size=SIZE).model
    fixed.set_weights(network.model.get_weights())
    expected = network.model(images).numpy()
    np.testing.assert_allclose(fixed(images), expected, atol=1e-4 * expected.std())


def test_last_layers_are_those_of_all_heads():
    # Of the official checkpoints, and of the names that the other networks have here.
    assert set(last_layers()) >= {
        *("logits", "image_pooling", "aspp", "concat_projection", "decoder"),
        *("meta_architecture", "context", "crf_rnn", "segnet/", "pyramid_pooling"),
        *("refine/", "auxiliary/"),
    }


def test_every_architecture_has_a_head():
    assert ARCHITECTURES.keys() == HEADS.keys()


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [
        ("image_data_format", "channels_first", "channels_last"),
        ("floatx", "float16", "float32"),
    ],
)
def test_a_keras_that_is_set_to_other_arrays_is_told_so(
    name, value, needed, monkeypatch
):
    monkeypatch.setattr(keras.config, name, lambda: value)
    with pytest.raises(InputError, match=f"Keras has {name} {value}, .* {needed} is"):
        build(ModelConfig(), 2)
