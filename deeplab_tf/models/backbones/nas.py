"""Networks of searched cells: PNASNet, and Auto-DeepLab with searched levels, too.

Reference: Liu et al. 2018, https://arxiv.org/abs/1712.00559; Liu et al. 2019,
https://arxiv.org/abs/1901.02985.
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keras import initializers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.backbones.backbone import Backbone
from deeplab_tf.models.backbones.nas_cell import Operation, Sum, cell
from deeplab_tf.models.layers.blocks import (
    Features,
    Style,
    Tensor,
    activate,
    bare_conv,
    batch_norm,
    resize_like,
)
from deeplab_tf.models.layers.resize import ResizeTo

_CLASSIFIER = {8: 256, 16: 512, 32: 1024}  # Stride -> filters.
_STEM = ((64, 2), (64, 1), (128, 2))  # Filters and strides.


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellNetwork:
    """Cells of one kind at several levels; at level n the stride is 4 * 2**n.

    Attributes:
        scope: Of its weights.
        sums: What its cells compute.
        levels: Output stride -> level of each cell; neighbors differ by one at most.
        taps: Number of a cell, -1 for the stem -> level at which a decoder takes it.
    """

    scope: str
    sums: tuple[Sum, ...]
    levels: Mapping[int, tuple[int, ...]]
    taps: Mapping[int, str]


class CellPlace(NamedTuple):
    """Where a cell stands.

    Attributes:
        width: Factor of its filters.
        entry: Level at which its inputs are; less than before where they are enlarged.
        level: At which its output is; more than `entry` where the cell strides.
    """

    width: int
    entry: int
    level: int


def features(
    images: Tensor, config: ModelConfig, style: Style, *, network: CellNetwork
) -> Features:
    """Features of a network of cells; c5 is activated, taps are not."""
    if config.multi_grid:
        raise FlagError("--multi_grid: a ResNet or Xception has it, a NAS network not")
    places = plan(network.levels[config.output_stride], config.nas_remove_os32_stride)
    _check_size(images, places, config)
    stem = _stem(images, style, network.scope)
    states, levels = [*stem], [-1, 0]
    for i, place in enumerate(places):
        name = f"{network.scope}.cell_{i}"
        x, earlier = states[-1], states[-2]
        if place.entry < levels[-1]:
            x = ResizeTo(2.0, name=f"{name}.enlarged")([x, x])
        if place.entry != levels[-2]:
            earlier = resize_like(earlier, x, name=f"{name}.resize")
        filters = config.nas_stem_output_num_conv_filters * place.width
        stride = 2 ** (place.level - place.entry)
        x = cell(
            x,
            earlier,
            network.sums,
            filters=filters,
            stride=stride,
            style=_of_cell(style, i, len(places)),
            name=name,
        )
        states.append(x)
        levels.append(place.level)
    taps = {level: states[i + 2] for i, level in network.taps.items()}
    x = activate(x, style=style, name=f"{network.scope}.{style.activation}")
    if config.nas_use_classification_head:
        x = _as_of_a_classifier(x, 4 * 2 ** levels[-1], config, style, network.scope)
    return taps | {"c5": x}


def _as_of_a_classifier(
    x: Tensor, stride: int, config: ModelConfig, style: Style, scope: str
) -> Tensor:
    """What an image classifier appends: convolutions down to stride 32, dilated here.

    Args:
        x: Features at `stride`.
        stride: Of the last cell.
        config: The output stride that is wanted.
        style: Of the layers.
        scope: Of the network.
    """
    rate, left = 1, config.output_stride // stride
    for level, filters in _CLASSIFIER.items():
        if level <= stride:
            continue
        at = StrideRate(2, rate)
        if left <= 1:
            rate *= 2
            at = StrideRate(1, rate)
        left //= 2
        name = f"{scope}.downsample_os{level}"
        x = bare_conv(x, filters, 3, style=style, name=f"{name}_conv", at=at)
        x = batch_norm(x, style=style, name=f"{name}_bn")
        x = activate(x, style=style, name=f"{name}.{style.activation}")
    name = f"{scope}.classification_head"
    x = bare_conv(x, 2048, 1, style=style, name=f"{name}_conv")
    x = batch_norm(x, style=style, name=f"{name}_bn")
    return activate(x, style=style, name=f"{name}.{style.activation}")


def _of_cell(style: Style, number: int, cells: int) -> Style:
    if style.drop_path is None:
        return style
    schedule = style.drop_path.of_cell(number, cells)
    return dataclasses.replace(style, drop_path=schedule)


def plan(levels: Sequence[int], remove_last_stride: bool) -> list[CellPlace]:
    """Turns levels into where the inputs of each cell, and its output, are. Pure.

    Args:
        levels: Of the cells; the stem before them has level 0.
        remove_last_stride: Level 3 keeps the stride of level 2, and its own width.
    """
    deepest = 2 if remove_last_stride else 3
    levels = [0, *levels]
    places = []
    for before, level in itertools.pairwise(levels):
        here = min(level, deepest)
        places.append(CellPlace(2**level, min(before, here), here))
    return places


def _check_size(images: Tensor, places: list[CellPlace], config: ModelConfig) -> None:
    """Raises where an enlarged image would not lie on the one it came from."""
    levels = [place.level for place in places]
    if levels == sorted(levels):
        return
    multiple = 4 * 2 ** max(levels)
    for side in images.shape[1:3]:
        if side is not None and side % multiple != 1:
            raise FlagError(
                f"--model_variant={config.model_variant} needs crops with sides of a "
                f"multiple of {multiple} plus one, as {4 * multiple + 1}, not {side}"
            )


def _stem(images: Tensor, style: Style, scope: str) -> tuple[Tensor, Tensor]:
    """Two features that are not activated: at stride 2, and at stride 4."""
    outputs: list[Tensor] = []
    x = images
    for i, (filters, stride) in enumerate(_STEM):
        name = f"{scope}.conv{i}"
        x = bare_conv(x, filters, 3, style=style, name=name, at=StrideRate(stride))
        outputs.append(batch_norm(x, style=style, name=f"{name}_bn"))
        x = activate(outputs[-1], style=style, name=f"{name}.{style.activation}")
    return outputs[-2], outputs[-1]


def _sep(kernel_size: int, state: int) -> Operation:
    return Operation("separable", kernel_size, state)


def _atr(kernel_size: int, state: int) -> Operation:
    return Operation("atrous", kernel_size, state)


def _max(state: int) -> Operation:
    return Operation("max_pool", 3, state)


_PNASNET = CellNetwork(
    scope="pnasnet",
    sums=(
        (_sep(5, 1), _max(1)),
        (_sep(7, 0), _max(0)),
        (_sep(5, 0), _sep(3, 0)),
        (_sep(3, 4), _max(0)),
        (_sep(3, 1), Operation("identity", 1, 0)),
    ),
    levels={
        8: (1,) * 12,
        16: (1,) * 4 + (2,) * 8,
        32: (1,) * 4 + (2,) * 4 + (3,) * 4,
    },
    taps={-1: "c2", 3: "c3", 7: "c4"},
)
_HNASNET = CellNetwork(
    scope="hnasnet",
    sums=(
        (_atr(5, 1), _sep(3, 0)),
        (_sep(3, 1), _atr(3, 0)),
        (_sep(3, 3), _sep(3, 1)),
        (_sep(5, 4), _sep(5, 2)),
        (_sep(5, 3), _atr(5, 5)),
    ),
    # It ends at stride 8, whatever was asked for.
    levels=dict.fromkeys((8, 16, 32), (0, 0, 0, 1, 2, 1, 2, 2, 3, 3, 2, 1)),
    taps={2: "c2", 5: "c3", 7: "c4"},
)
_uniform = functools.partial(
    initializers.VarianceScaling, scale=1 / 3, mode="fan_in", distribution="uniform"
)
_STYLE = Style(
    epsilon=1e-3,
    decay=0.9997,
    kernel=_uniform,
    depthwise=_uniform,
    pointwise=_uniform,
    padding="fixed",
)
VARIANTS = {
    f"nas_{network.scope}": Backbone(
        features=functools.partial(features, network=network),
        style=_STYLE,
        multiple=32 if network is _HNASNET else None,
        has_paths=True,
    )
    for network in (_PNASNET, _HNASNET)
}
