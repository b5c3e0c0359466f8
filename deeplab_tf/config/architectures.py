"""Facts on each architecture that `--architecture` names; what builds it is a head."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network as published.

    Attributes:
        model_variant: Its feature extractor, unless another is asked for.
        output_strides: Input size over feature size: those possible, its own first.
        score_stride: Input size over that of its finest scores, where the head fuses
            scores finer than the features.
        full_size: The head brings its logits to the size of the image.
        multiple: Sides of images, less one, should be one of it; by default of the
            output stride.
        trunk: Form of a feature extractor that has several, as VGG has.
        label_grid: First pixel, and distance to the next, of those that its training
            form scores; by default it scores a grid from corner to corner.
        frozen: Scopes of weights that training leaves as they are.
        frozen_batch_norm: Statistics, scale and offset of the feature extractor stay.
        batch_norm_decay: Of moving statistics, in place of that of each family.
    """

    model_variant: str = "mobilenet_v2"
    output_strides: tuple[int, ...] = (16, 8, 32)
    score_stride: int | None = None
    full_size: bool = False
    multiple: int | None = None
    trunk: str = ""
    label_grid: tuple[int, int] | None = None
    frozen: tuple[str, ...] = ()
    frozen_batch_norm: bool = False
    batch_norm_decay: float | None = None


def _fcn(score_stride: int) -> Architecture:
    return Architecture(
        model_variant="vgg_16",
        output_strides=(32,),
        score_stride=score_stride,
        full_size=True,
        multiple=1,
        trunk="fcn",
    )


_LARGE_FOV = Architecture(
    model_variant="vgg_16", output_strides=(8,), trunk="large_fov"
)
_V2 = Architecture(
    model_variant="resnet_101",
    output_strides=(8, 16, 32),
    trunk="large_fov",
    frozen_batch_norm=True,
)
# Cells stand for every eighth pixel, where its labels are taken from.
_DILATION = Architecture(
    model_variant="vgg_16",
    output_strides=(8,),
    full_size=True,
    multiple=1,
    trunk="dilation",
    label_grid=(0, 8),
)
# Released networks take their statistics from the training images, once trained.
_SEGNET = Architecture(
    model_variant="vgg_16",
    output_strides=(32,),
    score_stride=1,
    full_size=True,
    multiple=1,
    trunk="segnet",
    batch_norm_decay=0.95,
)

ARCHITECTURES: Mapping[str, Architecture] = {
    "fcn32s": _fcn(32),
    "fcn16s": _fcn(16),
    "fcn8s": _fcn(8),
    "fcn8s_at_once": _fcn(8),
    "deeplab_v1": dataclasses.replace(
        _LARGE_FOV,
        full_size=True,
        multiple=1,
        trunk="deeplab_v1",
        label_grid=(1, 8),
    ),
    "deeplab_v1_7x7": _LARGE_FOV,
    "deeplab_v1_msc": dataclasses.replace(
        _LARGE_FOV, full_size=True, frozen=("vgg_16",)
    ),
    "deeplab_v1_largefov": _LARGE_FOV,
    "deeplab_v1_msc_largefov": dataclasses.replace(
        _LARGE_FOV, full_size=True, frozen=("vgg_16", "logits/fc8")
    ),
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
    "dilation10": dataclasses.replace(_DILATION, trunk="dilation10", label_grid=None),
    "crf_rnn": dataclasses.replace(_fcn(8), score_stride=1),
    "crf_rnn_dilation8": dataclasses.replace(
        _DILATION, score_stride=1, label_grid=None
    ),
    "segnet": _SEGNET,
    "segnet_basic": dataclasses.replace(
        _SEGNET, model_variant="segnet_basic", output_strides=(16,), trunk=""
    ),
    "unet": Architecture(
        model_variant="unet",
        output_strides=(16,),
        score_stride=1,
        full_size=True,
        multiple=1,
    ),
    # As released: of 50 layers; of 101, --model_variant=resnet_101_deep.
    "pspnet": Architecture(
        model_variant="resnet_50_deep",
        output_strides=(8, 16, 32),
        batch_norm_decay=0.95,
    ),
    "refinenet": Architecture(
        model_variant="resnet_101",
        output_strides=(32,),
        score_stride=4,
        frozen_batch_norm=True,
    ),
    "gcn": Architecture(
        model_variant="resnet_152",
        output_strides=(32,),
        score_stride=4,
        full_size=True,
    ),
}
