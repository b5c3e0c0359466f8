"""No flag of the network is accepted without effect: it changes it, or is told."""

import dataclasses
import json

import keras
import pytest

from deeplab_tf.config import ModelConfig, effects
from deeplab_tf.config.architectures import ARCHITECTURES, FEATURE_EXTRACTORS
from deeplab_tf.errors import FlagError
from deeplab_tf.models.backbones import BACKBONES
from tests.models import networks
from tests.models.networks import _CELL, _config

# Another value than the default one, for each setting that may have no effect.
CHANGED = {
    "atrous_rates": (2, 3),
    "multi_grid": (1, 2, 2),
    "depth_multiplier": 0.5,
    "divisible_by": 3,
    "add_image_level_feature": False,
    "image_pooling_crop_size": (33, 33),
    "image_pooling_stride": (2, 2),
    "aspp_convs_filters": 12,
    "aspp_with_batch_norm": False,
    "aspp_with_separable_conv": False,
    "aspp_with_concat_projection": False,
    "aspp_with_squeeze_and_excitation": True,
    "image_se_uses_qsigmoid": True,
    "decoder_output_stride": (8,),
    "decoder_filters": 12,
    "decoder_use_separable_conv": False,
    "decoder_use_sum_merge": True,
    "decoder_output_is_logits": True,
    "logits_kernel_size": 3,
    "image_pyramid": (0.5, 1.0),
    "merge_method": "avg",
    "use_bounded_activation": True,
    "dense_prediction_cell_json": _CELL,
    "cascaded_blocks": 1,
    "nas_stem_output_num_conv_filters": 8,
    "nas_use_classification_head": True,
    "nas_remove_os32_stride": True,
    "batch_norm_decay": 0.9,
    "fine_tune_batch_norm": False,
    "sync_batch_norm": False,
}
# Of training, and yet of the graph of the network.
OF_BATCH_NORM = {"fine_tune_batch_norm", "sync_batch_norm"}
# Read by prediction, and in no graph of the network; or by training alone.
ELSEWHERE = {
    *("architecture", "model_variant", "output_stride"),
    "prediction_with_upsampled_logits",
}
OF_TRAINING = {"auxiliary_loss_weight"}
# In whose company settings are tried, beside the architecture's own feature extractor.
COMPANY = {
    "v3+ on Xception": {"decoder_output_stride": (4,), "model_variant": "xception_41"},
    "gated": {"aspp_with_squeeze_and_excitation": True},
    "windows": {"image_pooling_crop_size": (33, 33), "atrous_rates": (2,)},
    "cell": {"dense_prediction_cell_json": _CELL},
    "bare": {"aspp_with_batch_norm": False, "atrous_rates": (2,)},
    "pyramid": {"image_pyramid": (0.5, 1.0)},
    "NAS at stride 32": {"model_variant": "nas_pnasnet", "output_stride": 32},
}
ALL = (
    COMPANY
    | {name: {"architecture": name} for name in ARCHITECTURES}
    | {
        name: {"model_variant": name}
        for name, backbone in BACKBONES.items()
        if not backbone.only_for
    }
)
BY_DAY = ("fcn8s", "unet")


def graph(settings):
    """All that a network is, but for its weights; None where settings are refused."""
    settings = dict(settings)
    frozen = not settings.pop("fine_tune_batch_norm", True)
    replicas = 2 if settings.pop("sync_batch_norm", True) else 1
    keras.backend.clear_session()  # Names count from 1.
    try:
        config = _config(**settings)
        model = networks.make(
            config,
            training_form=True,
            frozen_batch_norm=frozen,
            replicas=replicas,
        ).model
    except (FlagError, ValueError):
        return None
    trainable = [layer.trainable for layer in model.layers]
    return json.dumps([model.get_config(), trainable], default=str, sort_keys=True)


def unread(settings):
    """Settings of `CHANGED` that are told to have no effect."""
    known = {k: v for k, v in settings.items() if k not in OF_BATCH_NORM}
    return effects.unread(ModelConfig(**known)).keys() & CHANGED.keys()


def differing(settings, name):
    return {**settings, name: CHANGED[name]}


def test_every_setting_of_the_network_is_tried():
    names = {field.name for field in dataclasses.fields(ModelConfig)} - ELSEWHERE
    assert names | OF_BATCH_NORM == CHANGED.keys()
    rows = (*ARCHITECTURES.values(), *FEATURE_EXTRACTORS.values())
    assert {name for row in rows for name in row.reads} <= (
        CHANGED.keys() | OF_TRAINING
    )


@pytest.mark.parametrize("name", BY_DAY)
def test_what_is_told_to_have_no_effect_has_none(name):
    """All of it at once, so that one build shows it."""
    settings = ALL[name]
    without = unread(settings) - {"decoder_output_stride", "cascaded_blocks"}
    assert len(without) > 2
    changed = {each: CHANGED[each] for each in without}
    assert graph({**settings, **changed}) == graph(settings)


def test_what_is_not_told_to_have_no_effect_has_some():
    settings = ALL["fcn8s"]
    plain = graph(settings)
    for name in ("depth_multiplier", "use_bounded_activation"):
        assert name not in unread(differing(settings, name))
        assert graph(differing(settings, name)) not in (plain, None)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_a_setting_changes_a_network_is_refused_or_is_told(name):
    settings = ALL[name]
    plain = graph(settings)
    assert plain
    for setting in CHANGED.keys() - settings.keys():
        changed = differing(settings, setting)
        try:
            told = setting in unread(changed)
        except FlagError:
            continue
        new = graph(changed)
        assert new != plain or told, f"{setting} is accepted without effect"
        # Statistics that stay have a decay, which nothing reads.
        is_fixed = ModelConfig(**settings).facts.decides
        if told and setting not in is_fixed:
            assert new in (plain, None), f"{setting} has effect"
