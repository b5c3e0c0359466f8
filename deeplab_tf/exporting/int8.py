"""What every format leaves in float32 when the network is computed in 8 bits."""

# A MobileNetV2 with all of its convolutions in 8 bits lost two points of mIoU in each
# of three runtimes (docs/deploy.md).
FIRST_EXACT = 3


def exact(convolutions: list[str]) -> list[str]:
    """Names of those that no 8 bits compute: the first ones, and the last one.

    Args:
        convolutions: All of a network, in the order in which they are computed.
    """
    return [*convolutions[:FIRST_EXACT], *convolutions[-1:]]
