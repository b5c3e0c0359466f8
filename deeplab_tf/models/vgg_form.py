"""Forms of VGG-16: how a segmentation network pools, pads and dilates it. Pure Python.

Sizes follow Caffe, whose pooling rounds up: a pool sees zeros around its input, which
changes nothing after a ReLU.
"""

from typing import NamedTuple


class Pool(NamedTuple):
    """A max pooling over zeros `before` and `after` its input."""

    kernel_size: int
    stride: int
    before: int
    after: int


class Form(NamedTuple):
    """Form of VGG-16: what a network changes; convolutions, and so weights, stay.

    Attributes:
        pools: After each block; None where a network has removed it.
        training_pools: Those of the graph that learns, where they differ.
        pad: Zeros around the image.
        rate: Dilation of the last block.
        valid: Convolutions read no zeros, but the image mirrored at its borders,
            until features at stride 8 cover it and `spare` pixels more.
        spare: Pixels after the last one of the image.
        indices: Batch norm follows each convolution, and pools keep the places of
            their maxima, as SegNet has it.
    """

    pools: tuple[Pool | None, ...]
    training_pools: tuple[Pool | None, ...] = ()
    pad: int = 0
    rate: int = 1
    valid: bool = False
    spare: int = 0
    indices: bool = False


HALVE = Pool(2, 2, 0, 1)  # VGG's own.
