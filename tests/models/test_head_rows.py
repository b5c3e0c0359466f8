"""What every row of the table of heads promises: its scopes are those of its layers."""

import dataclasses

import keras
import pytest

from deeplab_tf.config import ModelConfig
from deeplab_tf.config.architectures import ARCHITECTURES
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import HEADS, LOGITS, last_layers
from deeplab_tf.models.mixed_precision import dtype_policy
from deeplab_tf.models.weight_names import layers_of, scope


def scopes_of(model):
    """Of the layers that have weights, a dropout's seed apart."""
    return {
        scope(layer)
        for layer in layers_of(model)
        if layer.weights and not isinstance(layer, keras.layers.Dropout)
    }


def features_alone(config):
    backbone, images = BACKBONES[config.model_variant], keras.Input((65, 65, 3))
    style = dataclasses.replace(
        backbone.style, vgg_form=HEADS[config.head].vgg_form, training_form=True
    )
    return keras.Model(images, backbone.features(images, config, style))


@pytest.mark.parametrize("name", HEADS)
def test_its_scopes_hold_all_layers_that_the_feature_extractor_lacks(name, shallow):
    config = ModelConfig(architecture=name, depth_multiplier=1 / 16)
    head = HEADS[name]
    with keras.StatelessScope(initialize_variables=False):
        backbone = scopes_of(features_alone(config))
        with dtype_policy("mixed_bfloat16"):
            model = build(config, 3, input_size=(65, 65), training_form=True)
    keras.backend.clear_session()
    own = scopes_of(model) - backbone
    assert {s for s in own if not s.startswith(head.scopes + head.pretrained)} == set()
    assert {s for s in backbone if s.startswith(head.scopes)} == set()
    scores = {s for s in own if s.startswith(LOGITS)}
    assert scores
    exact = {scope(x) for x in model.layers if x.compute_dtype == "float32"}
    assert scores <= exact
    assert {s for s in own if s.startswith(head.float32)} <= exact
    for prefix in head.float32:
        assert [s for s in own if s.startswith(prefix)], prefix


def test_last_layers_are_those_of_all_heads():
    # Of the official checkpoints, and of the names that the other networks have here.
    assert set(last_layers()) >= {
        *("logits", "image_pooling", "aspp", "concat_projection", "decoder"),
        *("meta_architecture", "context", "crf_rnn", "segnet/", "pyramid_pooling"),
        *("refine/", "auxiliary/"),
    }


def test_every_architecture_has_a_head():
    assert ARCHITECTURES.keys() == HEADS.keys()
