"""What settings have to know of each architecture; all else is in `models.heads`."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """Defaults and strides of a network as published.

    Attributes:
        model_variant: Its feature extractor, unless another is asked for.
        output_strides: Input size over feature size: those possible, its own first.
        score_stride: Input size over that of its finest scores, where the head fuses
            scores finer than the features.
        full_size: The head brings its logits to the size of the image.
    """

    model_variant: str = "mobilenet_v2"
    output_strides: tuple[int, ...] = (16, 8, 32)
    score_stride: int | None = None
    full_size: bool = False


def _vgg(
    output_stride: int, *, score_stride: int | None = None, full_size: bool = False
) -> Architecture:
    return Architecture(
        model_variant="vgg_16",
        output_strides=(output_stride,),
        score_stride=score_stride,
        full_size=full_size,
    )


_V2 = Architecture(model_variant="resnet_101", output_strides=(8, 16, 32))
_DILATION = _vgg(8, full_size=True)

ARCHITECTURES: Mapping[str, Architecture] = {
    "fcn32s": _vgg(32, score_stride=32, full_size=True),
    "fcn16s": _vgg(32, score_stride=16, full_size=True),
    "fcn8s": _vgg(32, score_stride=8, full_size=True),
    "fcn8s_at_once": _vgg(32, score_stride=8, full_size=True),
    "deeplab_v1": _vgg(8, full_size=True),
    "deeplab_v1_7x7": _vgg(8),
    "deeplab_v1_msc": _vgg(8, full_size=True),
    "deeplab_v1_largefov": _vgg(8),
    "deeplab_v1_msc_largefov": _vgg(8, full_size=True),
    "deeplab_v2_aspp": _V2,
    "deeplab_v2_largefov": _V2,
    "deeplab_v3": Architecture(),
    # Without rates, each block would halve the size.
    "deeplab_v3_cascade": Architecture(
        model_variant="resnet_v1_101", output_strides=(16, 8, 32, 64, 128, 256)
    ),
    "deeplab_v3plus": Architecture(),
    "dilation_front_end": _DILATION,
    "dilation7": _DILATION,
    "dilation8": _DILATION,
    "dilation8_basic": _DILATION,
    "dilation10": _DILATION,
    "crf_rnn": _vgg(32, score_stride=1, full_size=True),
    "crf_rnn_dilation8": _vgg(8, score_stride=1, full_size=True),
    "segnet": _vgg(32, score_stride=1, full_size=True),
    "segnet_basic": Architecture(
        model_variant="segnet_basic",
        output_strides=(16,),
        score_stride=1,
        full_size=True,
    ),
    "unet": Architecture(
        model_variant="unet", output_strides=(16,), score_stride=1, full_size=True
    ),
    # As released: of 50 layers; of 101, --model_variant=resnet_101_deep.
    "pspnet": Architecture(model_variant="resnet_50_deep", output_strides=(8, 16, 32)),
    "refinenet": Architecture(
        model_variant="resnet_101", output_strides=(32,), score_stride=4
    ),
    "gcn": Architecture(
        model_variant="resnet_152",
        output_strides=(32,),
        score_stride=4,
        full_size=True,
    ),
}
