"""Atrous convolution: what strides and what dilates, by output stride. Pure Python."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from deeplab_tf.errors import FlagError


class StrideRate(NamedTuple):
    """How a convolution moves over its input: stride, and rate between its taps."""

    stride: int = 1
    rate: int = 1


def plan(strides: Sequence[int], output_stride: int) -> list[StrideRate]:
    """Turns strides beyond the output stride into rates of all that follows.

    Reference: Chen et al. 2017, section 3.1, https://arxiv.org/abs/1706.05587.

    Args:
        strides: Nominal stride of each layer, or unit, in order.
        output_stride: Wanted input size over feature size.

    Returns:
        One pair for each. A layer that loses its stride keeps its input's rate.

    Raises:
        FlagError: The strides cannot make that output stride.
    """
    stride_rates, stride, rate = [], 1, 1
    for nominal in strides:
        if stride * nominal <= output_stride:
            stride_rates.append(StrideRate(nominal, rate))
            stride *= nominal
        else:
            # It sees what it saw; what follows, farther.
            stride_rates.append(StrideRate(1, rate))
            rate *= nominal
    if stride != output_stride:
        raise FlagError(
            f"--output_stride={output_stride}: this network reaches {stride} at most "
            f"(of {math.prod(strides)})"
        )
    return stride_rates
