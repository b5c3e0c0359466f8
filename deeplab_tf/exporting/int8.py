"""What every format leaves in float32 when the network is computed in 8 bits."""

from collections.abc import Sequence
from typing import TypeVar

Convolution = TypeVar("Convolution")

# A MobileNetV2 with all of its convolutions in 8 bits lost two points of mIoU in each
# of three runtimes (docs/deploy.md).
_FIRST = 3


def exact(convolutions: Sequence[Convolution]) -> list[Convolution]:
    """Those that no 8 bits compute: the first ones, and the last one.

    Args:
        convolutions: All of a network, in the order in which they are computed.
    """
    return [*convolutions[:_FIRST], *convolutions[-1:]]
