"""One narrow build of every network, for all tests of what every network promises."""

import dataclasses
import functools
from typing import NamedTuple
from unittest import mock

import keras
from keras import KerasTensor

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.backbones.mobilenet import MobileNet
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import HEADS
from deeplab_tf.models.weight_names import layers_of, scope, weights_by_name
from tests import narrow
from tests.golden.weight_rule import weight

_CELL = "deeplab/core/dense_prediction_cell_branch5_top1_cityscapes.json"
# More units of the same kinds than a shallower one, which stands for them: tests of
# counts, of names and of recorded logits hold the deep ones.
DEEPER = {
    *("resnet_v1_101", "resnet_v1_101_beta", "resnet_101", "resnet_152"),
    *("resnet_152_deep", "xception_65"),
}
# Of the layers of others, in other numbers: at night.
AT_NIGHT = {
    *("fcn32s", "fcn16s", "deeplab_v1_7x7", "deeplab_v1_msc", "deeplab_v2_largefov"),
    *("dilation7", "dilation8_basic", "crf_rnn_dilation8"),
    *("mobilenet_v3_large_seg", "mobilenet_v3_small_seg", "mobilenet_edgetpu"),
    *("resnet_v1_50_beta", "resnet_50", "resnet_101_deep", "xception_71"),
    *("fcn8s_at_once", "deeplab_v1", "deeplab_v1_msc_largefov", "deeplab_v3_cascade"),
    *("dilation8", "dilation10", "segnet", "rates", "bare", "plain sum"),
    *("nas_hnasnet", "refinenet", "sum", "bounded", "gcn", "crf_rnn"),
    *("xception_41", "resnet_v1_50", "resnet_v1_18_beta", "nas_pnasnet"),
    *("no batch norm", "windows", "searched cell"),
    *("deeplab_v2_aspp", "dilation_front_end"),
}
# What a decoder may take, where it is not everything.
TAPS = {
    "mobilenet_edgetpu": {"c5"},
    "mobilenet_v3_large_seg": {"c3", "c5"},
    "mobilenet_v3_small_seg": {"c3", "c5"},
    "vgg_16": {"c2", "c3", "c4", "c5"}
    | {f"{kind}{block}" for kind in ("conv", "pool") for block in range(1, 6)},
}
# Settings that add or remove layers of a head, each on another feature extractor.
_SETTINGS = {
    "rates": {"atrous_rates": (2, 4)},
    "bare": {"add_image_level_feature": False, "aspp_with_concat_projection": False},
    "plain convolutions, two decoders": {
        "atrous_rates": (2,),
        "aspp_with_separable_conv": False,
        "decoder_output_stride": (8, 4),
        "decoder_use_separable_conv": False,
    },
    "no batch norm": {
        "atrous_rates": (2, 4),
        "aspp_with_batch_norm": False,
        "logits_kernel_size": 3,
    },
    "sum": {"decoder_output_stride": (4,), "decoder_use_sum_merge": True},
    "plain sum": {
        "decoder_output_stride": (4,),
        "decoder_use_sum_merge": True,
        "decoder_use_separable_conv": False,
    },
    "bounded": {"decoder_output_stride": (4,), "use_bounded_activation": True},
    "searched cell": {
        "model_variant": "mobilenet_edgetpu",
        "dense_prediction_cell_json": _CELL,
    },
    "gated": {
        "model_variant": "mobilenet_v3_small_seg",
        "aspp_with_concat_projection": False,
        "aspp_with_squeeze_and_excitation": True,
        "image_se_uses_qsigmoid": True,
        "decoder_output_stride": (8,),
        "decoder_use_sum_merge": True,
    },
    "windows": {
        "image_pooling_crop_size": (33, 33),
        "image_pooling_stride": (2, 3),
    },
}


def _config(**settings):
    variant = settings.get("model_variant", "")
    return ModelConfig(
        **{
            # Every layer of a MobileNet has 8 channels at least; those of others, 4.
            "depth_multiplier": 0.25 if "mobilenet" in variant else 1 / 16,
            "aspp_convs_filters": 16,
            "decoder_filters": 16,
            "nas_stem_output_num_conv_filters": 4,
            **settings,
        }
    )


def configs():
    """Settings by name: of every head, every feature extractor, and every layer."""
    heads = {name: _config(architecture=name) for name in HEADS}
    used = {config.model_variant for config in heads.values()} | DEEPER
    backbones = {
        name: _config(model_variant=name)
        for name, backbone in BACKBONES.items()
        if name not in used and not backbone.only_for
    }
    settings = {name: _config(**given) for name, given in _SETTINGS.items()}
    return heads | backbones | settings


class Network(NamedTuple):
    """A build of a network, and what its feature extractor gave to its head."""

    config: ModelConfig
    model: keras.Model
    features: dict[str, KerasTensor]

    @property
    def trunk(self):
        """The features alone, of the same layers."""
        return keras.Model(self.model.input, self.features)


def _shortened(backbone):
    """A MobileNet of what strides, gives features, or is the first of its kind."""
    keywords = getattr(backbone.features, "keywords", {})
    if not isinstance(whole := keywords.get("network"), MobileNet):
        return backbone
    kinds = [block._replace(filters=0) for block in whole.blocks]
    kept = [
        i
        for i, block in enumerate(whole.blocks)
        if block.stride > 1 or i in whole.taps or kinds[i] not in kinds[:i]
    ]
    network = dataclasses.replace(
        whole,
        blocks=tuple(whole.blocks[i] for i in kept),
        taps={kept.index(i): level for i, level in whole.taps.items()},
    )
    features = functools.partial(backbone.features, network=network)
    return dataclasses.replace(backbone, features=features)


def make(config, input_size=(None, None), **settings):
    """The network with two units to a block; an eighth as wide where no flag can."""
    features = {}

    def recorded(function, *args):
        features.update(function(*args))
        return dict(features)

    own = _shortened(narrow.narrow(BACKBONES[config.model_variant]))
    function = functools.partial(recorded, own.features)
    changed = {config.model_variant: dataclasses.replace(own, features=function)}
    with mock.patch.dict(BACKBONES, changed):
        model = build(config, 3, input_size=input_size, **settings)
    return Network(config, model, features)


def make_with_rule_weights(config, **settings):
    """Where none is 0, as scores of a new FCN are; but for the matrices of a CRF."""
    network = make(config, **settings)
    for name, variable in weights_by_name(network.model).items():
        if not name.startswith("crf_rnn"):
            variable.assign(weight(name, tuple(variable.shape), 1.3))
    return network


def scopes(model):
    """Of the layers that have weights; a dropout's seed is none."""
    return {
        scope(layer)
        for layer in layers_of(model)
        if layer.weights and not isinstance(layer, keras.layers.Dropout)
    }
