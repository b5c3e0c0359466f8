"""Aligned Xception of 41, 65 and 71 layers: all strides in separable convolutions.

Reference: Chen et al. 2018, section 3.3, https://arxiv.org/abs/1802.02611.
"""

import dataclasses
import functools
from typing import NamedTuple

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models import atrous
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.backbones.backbone import Backbone
from deeplab_tf.models.layers.blocks import (
    Features,
    Style,
    Tensor,
    activate,
    conv,
    separable_conv,
)
from deeplab_tf.models.layers.initializers import truncated_normal


class XceptionModule(NamedTuple):
    """Three separable convolutions beside a shortcut; the third has the stride.

    Attributes:
        scope: Below that of the network.
        filters: Of the three.
        stride: Nominal, of the third.
        shortcut: A convolution, the input itself, or none.
        tap: Name under which a decoder finds the second convolution.
    """

    scope: str
    filters: tuple[int, int, int]
    stride: int = 1
    shortcut: str = "conv"
    tap: str = ""


def features(
    images: Tensor,
    config: ModelConfig,
    style: Style,
    *,
    scope: str,
    modules: tuple[XceptionModule, ...],
) -> Features:
    """Features of an Xception; a tap is a pointwise convolution before its ReLU."""
    strides = [module.stride for module in modules]
    root, *stride_rates = atrous.plan([2, *strides], config.output_stride)
    name = f"{scope}.entry_flow.conv1"
    # Its padding stays, where that of the modules is given up for quantization.
    outer = dataclasses.replace(style, padding="fixed")
    x = conv(images, 32, 3, at=root, style=outer, name=f"{name}_1")
    x = conv(x, 64, 3, style=style, name=f"{name}_2")
    outputs: Features = {}
    for module, at in zip(modules, stride_rates, strict=True):
        name = f"{scope}.{module.scope}.xception_module"
        rates = _rates(module, at, config)
        x, tap = _module(x, module, at.stride, rates, style=style, name=name)
        if module.tap:
            outputs[module.tap] = tap
    return outputs | {"c5": x}


def _rates(
    module: XceptionModule, at: StrideRate, config: ModelConfig
) -> tuple[int, ...]:
    """Rates of the three convolutions; a multi-grid multiplies those of the last."""
    grid = config.multi_grid or (1, 1, 1)
    if len(grid) != 3:
        given = ",".join(map(str, grid))
        raise FlagError(f"--multi_grid={given}: 3 rates are needed")
    if module.shortcut != "none":
        grid = (1, 1, 1)
    return tuple(at.rate * factor for factor in grid)


def _module(
    x: Tensor,
    module: XceptionModule,
    stride: int,
    rates: tuple[int, ...],
    *,
    style: Style,
    name: str,
) -> tuple[Tensor, Tensor]:
    """The module's output, not activated, and its second convolution."""
    # ReLUs stand before each convolution, and in the last module within and after.
    inside = module.shortcut == "none"
    y, outputs = x, []
    for i, (filters, rate) in enumerate(zip(module.filters, rates, strict=True), 1):
        scope, at = (
            f"{name}.separable_conv{i}",
            StrideRate(stride if i == 3 else 1, rate),
        )
        if not inside:
            y = activate(y, style=style, name=f"{scope}.{style.activation}")
        y = separable_conv(
            y, filters, at=at, style=style, name=scope, activation=inside
        )
        outputs.append(y)
    if module.shortcut == "conv":
        scope, at = f"{name}.shortcut", StrideRate(stride)
        filters = module.filters[-1]
        x = conv(x, filters, 1, at=at, style=style, name=scope, activation=False)
    if module.shortcut != "none":
        y = layers.Add(name=f"{name}.add")([x, y])
        if style.bounded:
            y = activate(y, style=style, name=f"{name}.{style.activation}")
    return y, outputs[1]


def _modules(
    entry: tuple[tuple[int, int, str], ...], middle: int
) -> tuple[XceptionModule, ...]:
    """Entry blocks of (filters, stride, tap), middle units, and the exit."""
    return (
        *(
            XceptionModule(f"entry_flow.block{i}.unit_1", (f, f, f), stride, tap=tap)
            for i, (f, stride, tap) in enumerate(entry, start=1)
        ),
        *(
            XceptionModule(
                f"middle_flow.block1.unit_{i}", (728, 728, 728), shortcut="sum"
            )
            for i in range(1, middle + 1)
        ),
        XceptionModule("exit_flow.block1.unit_1", (728, 1024, 1024), 2, tap="c4"),
        XceptionModule("exit_flow.block2.unit_1", (1536, 1536, 2048), shortcut="none"),
    )


_SHORT = ((128, 2, ""), (256, 2, "c2"), (728, 2, "c3"))
_LONG = ((128, 2, ""), (256, 1, ""), (256, 2, "c2"), (728, 1, ""), (728, 2, "c3"))
_SIZES = {
    "xception_41": _modules(_SHORT, 8),
    "xception_65": _modules(_SHORT, 16),
    "xception_71": _modules(_LONG, 16),
}
_STYLE = Style(
    epsilon=1e-3,
    decay=0.9997,
    kernel=truncated_normal(0.09),
    depthwise=truncated_normal(0.09),
    pointwise=truncated_normal(0.09),
    padding="fixed",
)
VARIANTS = {
    scope: Backbone(
        features=functools.partial(features, scope=scope, modules=modules),
        style=_STYLE,
        is_boundable=True,
    )
    for scope, modules in _SIZES.items()
}
