"""Deep networks of the same kinds of units, few of each, and narrow ones."""

import dataclasses
import functools

from deeplab_tf.models.backbones import nas, resnet, resnet_caffe, xception
from deeplab_tf.models.backbones.backbone import Backbone

_FACTOR = 8  # Of the widths that no flag changes.


def thin(backbone: Backbone) -> Backbone:
    """The feature extractor with an eighth of the channels, where no flag does that."""
    return _changed(backbone, _THIN)


def narrow(backbone: Backbone) -> Backbone:
    """Thin, and with two units to a block; the last block is whole.

    VGG and the MobileNets, which flags make narrow, stay as they are.
    """
    return _changed(thin(backbone), _FEW)


def _changed(backbone, changes):
    kind = getattr(backbone.features, "func", None)
    if kind not in changes:
        return backbone
    keyword, change = changes[kind]
    value = change(backbone.features.keywords[keyword])
    changed = functools.partial(backbone.features, **{keyword: value})
    return dataclasses.replace(backbone, features=changed)


def _thin_depth(depth):
    blocks = [
        block._replace(filters=block.filters // _FACTOR) for block in depth.blocks
    ]
    return depth._replace(blocks=tuple(blocks))


def _thin_modules(modules):
    return tuple(
        module._replace(filters=tuple(filters // _FACTOR for filters in module.filters))
        for module in modules
    )


def _few_units(units):
    """Of a ResNet for Caffe; a multi-grid is for the units of the last block."""
    return (*(2 for _ in units[:-1]), units[-1])


def _few_blocks(depth):
    *blocks, last = depth.blocks
    return depth._replace(blocks=(*(b._replace(units=2) for b in blocks), last))


def _few_modules(modules):
    """Of an Xception, the middle of which is the same unit again and again."""
    return tuple(
        module
        for module in modules
        if "middle_flow" not in module.scope or module.scope.endswith("unit_1")
    )


def _few_cells(network):
    """One at each level of the network, and two at least."""
    levels = {stride: tuple(sorted(set(own))) for stride, own in network.levels.items()}
    return dataclasses.replace(
        network,
        levels={
            stride: own if len(own) > 1 else 2 * own for stride, own in levels.items()
        },
        taps={-1: "c2", 0: "c3", 1: "c4"},
    )


_THIN = {
    resnet.features: ("depth", _thin_depth),
    xception.features: ("modules", _thin_modules),
}
_FEW = {
    resnet_caffe.features: ("units", _few_units),
    resnet.features: ("depth", _few_blocks),
    xception.features: ("modules", _few_modules),
    nas.features: ("network", _few_cells),
}
