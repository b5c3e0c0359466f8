"""Which layer strides and which dilates, for a wanted output stride. Pure Python."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from deeplab_tf.errors import FlagError


class Step(NamedTuple):
    """How a convolution moves over its input: stride, and rate between its taps."""

    stride: int = 1
    rate: int = 1


def plan(strides: Sequence[int], output_stride: int) -> list[Step]:
    """Turns strides beyond the output stride into rates of all that follows.

    Reference: Chen et al. 2017, section 3.1, https://arxiv.org/abs/1706.05587.

    Args:
        strides: Nominal stride of each layer, or unit, in order.
        output_stride: Wanted input size over feature size.

    Returns:
        A step for each. A layer that loses its stride keeps the rate of its input.

    Raises:
        FlagError: The strides cannot make that output stride.
    """
    steps, stride, rate = [], 1, 1
    for nominal in strides:
        if stride * nominal <= output_stride:
            steps.append(Step(nominal, rate))
            stride *= nominal
        else:
            steps.append(Step(1, rate))  # It sees what it saw; what follows, farther.
            rate *= nominal
    if stride != output_stride:
        raise FlagError(
            f"--output_stride={output_stride}: this network reaches {stride} at most "
            f"(of {math.prod(strides)})"
        )
    return steps
