"""Strides into rates, by hand."""

import pytest

from deeplab_tf.errors import FlagError
from deeplab_tf.models.atrous import StrideRate, plan


@pytest.mark.parametrize(
    ("output_stride", "stride_rates"),
    [
        (32, [(2, 1), (2, 1), (1, 1), (2, 1), (2, 1), (2, 1), (1, 1)]),
        (16, [(2, 1), (2, 1), (1, 1), (2, 1), (2, 1), (1, 1), (1, 2)]),
        (8, [(2, 1), (2, 1), (1, 1), (2, 1), (1, 1), (1, 2), (1, 4)]),
    ],
)
def test_a_layer_that_loses_its_stride_keeps_its_rate_and_what_follows_dilates(
    output_stride, stride_rates
):
    assert plan([2, 2, 1, 2, 2, 2, 1], output_stride) == [
        StrideRate(*pair) for pair in stride_rates
    ]


def test_an_output_stride_that_the_strides_cannot_make_is_an_error():
    with pytest.raises(FlagError, match="--output_stride=32: this network reaches 8"):
        plan([2, 2, 2], 32)
