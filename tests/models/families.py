"""A small network of every family of backbones and heads, deep ones cut short."""

import contextlib
import dataclasses
import functools
from unittest import mock

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.backbones import BACKBONES
from tests.recorded import SMALL

_CELL = "deeplab/core/dense_prediction_cell_branch5_top1_cityscapes.json"


def _thin(architecture, model_variant="", width=1 / 16, **settings):
    return ModelConfig(
        architecture=architecture,
        model_variant=model_variant,
        depth_multiplier=width,
        aspp_convs_filters=16,
        decoder_filters=16,
        **settings,
    )


# CRF-RNN is missing: it filters on a lattice of TensorFlow's.
FAMILIES = {
    "mobilenet_v2, deeplab_v3plus": SMALL,
    "mobilenet_v3, gated aspp": _thin(
        "deeplab_v3",
        "mobilenet_v3_small_seg",
        1.0,
        aspp_with_concat_projection=False,
        aspp_with_squeeze_and_excitation=True,
        image_se_uses_qsigmoid=True,
    ),
    "mobilenet_edgetpu, searched cell": _thin(
        "deeplab_v3", "mobilenet_edgetpu", dense_prediction_cell_json=_CELL
    ),
    "resnet_v1, deeplab_v3_cascade": _thin(
        "deeplab_v3_cascade", "resnet_v1_18", cascaded_blocks=1
    ),
    "resnet of Caffe, pspnet": _thin("pspnet", "resnet_50_deep"),
    "xception, deeplab_v3": _thin("deeplab_v3", "xception_41", atrous_rates=(2, 4)),
    "nas of one path, deeplab_v3": _thin("deeplab_v3", "nas_pnasnet"),
    "nas of levels, deeplab_v3": _thin("deeplab_v3", "nas_hnasnet"),
    "mobilenet_v2, refinenet": _thin("refinenet", "mobilenet_v2"),
    "mobilenet_v2, gcn": _thin("gcn", "mobilenet_v2"),
    "vgg, fcn": _thin("fcn8s"),
    "vgg, deeplab_v1": _thin("deeplab_v1_msc"),
    "vgg, deeplab_v2": _thin("deeplab_v2_aspp", "vgg_16"),
    "vgg, dilation": _thin("dilation10"),
    "vgg, segnet": _thin("segnet"),
    "segnet_basic": _thin("segnet_basic"),
    "unet": _thin("unet"),
}


@contextlib.contextmanager
def cut_short():
    """Backbones have as few units as show all kinds of them."""
    with mock.patch.dict(BACKBONES, _short()):
        yield


def _short():
    mobilenets = {
        "mobilenet_v2": ((0, 1, 2, 3, 6, 7, 13), {2: "c2", 3: "c3", 4: "c4"}),
        "mobilenet_v3_small_seg": ((0, 1, 2, 3, 4), {2: "c3"}),
        "mobilenet_edgetpu": ((0, 1, 2, 5, 9, 10, 13), {}),
    }
    kept = {
        name: {"network": _of_blocks(name, blocks, taps)}
        for name, (blocks, taps) in mobilenets.items()
    }
    for name, levels in {"nas_pnasnet": (1, 2), "nas_hnasnet": (1, 0)}.items():
        network = _keyword(name, "network")
        kept[name] = {
            "network": dataclasses.replace(network, levels={16: levels}, taps={})
        }
    depth, modules = (
        _keyword("resnet_v1_18", "depth"),
        _keyword("xception_41", "modules"),
    )
    kept["resnet_v1_18"] = {"depth": depth._replace(blocks=depth.blocks[::3])}
    kept["resnet_50_deep"] = {"units": (2, 1, 1, 1)}
    # One with a convolution beside it, one with its input, one with neither.
    three = (modules[2]._replace(stride=8), modules[3], modules[-1])
    kept["xception_41"] = {"modules": three}
    return {
        name: dataclasses.replace(
            BACKBONES[name],
            features=functools.partial(BACKBONES[name].features, **changes),
        )
        for name, changes in kept.items()
    }


def _of_blocks(name, blocks, taps):
    network = _keyword(name, "network")
    chosen = tuple(network.blocks[i] for i in blocks)
    return dataclasses.replace(network, blocks=chosen, taps=taps)


def _keyword(name, keyword):
    """What distinguishes a variant of a family."""
    return BACKBONES[name].features.keywords[keyword]
