"""What settings have to know of each architecture and each feature extractor.

All else is in `models.heads` and `models.backbones`.
"""

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
        reads: Settings, by name, that change this head and not every other one.
        decides: Settings of feature extractors that are not asked: it has its own.
    """

    model_variant: str = "mobilenet_v2"
    output_strides: tuple[int, ...] = (16, 8, 32)
    score_stride: int | None = None
    full_size: bool = False
    reads: tuple[str, ...] = ()
    decides: tuple[str, ...] = ()


_WIDTH = ("depth_multiplier",)
_BATCH_NORM = ("batch_norm_decay", "fine_tune_batch_norm", "sync_batch_norm")
_CLASSIFIER = ("atrous_rates", "aspp_with_batch_norm", "logits_kernel_size")
_ASPP = (
    *(*_CLASSIFIER, *_BATCH_NORM, "use_bounded_activation"),
    *("add_image_level_feature", "image_pooling_crop_size", "image_pooling_stride"),
    *("aspp_convs_filters", "aspp_with_separable_conv", "aspp_with_concat_projection"),
    *("aspp_with_squeeze_and_excitation", "image_se_uses_qsigmoid"),
    "dense_prediction_cell_json",
)
_DECODER = (
    *("decoder_output_stride", "decoder_filters", "decoder_use_separable_conv"),
    *("decoder_use_sum_merge", "decoder_output_is_logits"),
)


def _vgg(
    output_stride: int,
    *,
    score_stride: int | None = None,
    full_size: bool = False,
    reads: tuple[str, ...] = (),
) -> Architecture:
    return Architecture(
        model_variant="vgg_16",
        output_strides=(output_stride,),
        score_stride=score_stride,
        full_size=full_size,
        reads=(*_WIDTH, "use_bounded_activation", *reads),
    )


_V2 = Architecture(
    model_variant="resnet_101",
    output_strides=(8, 16, 32),
    reads=(*_WIDTH, "atrous_rates"),
    decides=_BATCH_NORM,
)
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
    "deeplab_v3": Architecture(reads=_ASPP),
    # Without rates, each block would halve the size.
    "deeplab_v3_cascade": Architecture(
        model_variant="resnet_v1_101",
        output_strides=(16, 8, 32, 64, 128, 256),
        reads=(*_CLASSIFIER, "cascaded_blocks"),
    ),
    "deeplab_v3plus": Architecture(reads=(*_ASPP, *_DECODER)),
    "dilation_front_end": _DILATION,
    "dilation7": _DILATION,
    "dilation8": _DILATION,
    "dilation8_basic": _DILATION,
    "dilation10": _DILATION,
    "crf_rnn": _vgg(32, score_stride=1, full_size=True),
    "crf_rnn_dilation8": _vgg(8, score_stride=1, full_size=True),
    "segnet": _vgg(32, score_stride=1, full_size=True, reads=_BATCH_NORM),
    "segnet_basic": Architecture(
        model_variant="segnet_basic",
        output_strides=(16,),
        score_stride=1,
        full_size=True,
        reads=(*_WIDTH, *_BATCH_NORM),
    ),
    "unet": Architecture(
        model_variant="unet",
        output_strides=(16,),
        score_stride=1,
        full_size=True,
        reads=(*_WIDTH, "use_bounded_activation"),
    ),
    # As released: of 50 layers; of 101, --model_variant=resnet_101_deep.
    "pspnet": Architecture(
        model_variant="resnet_50_deep",
        output_strides=(8, 16, 32),
        reads=(
            *_WIDTH,
            *_BATCH_NORM,
            "use_bounded_activation",
            "auxiliary_loss_weight",
        ),
    ),
    "refinenet": Architecture(
        model_variant="resnet_101",
        output_strides=(32,),
        score_stride=4,
        reads=_WIDTH,
        decides=_BATCH_NORM,
    ),
    "gcn": Architecture(
        model_variant="resnet_152",
        output_strides=(32,),
        score_stride=4,
        full_size=True,
        reads=("use_bounded_activation",),
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """A feature extractor, as far as settings are concerned.

    Attributes:
        reads: Settings, by name, that change this one and not every other one.
        reads_at_32: Those of them that do so at output stride 32 alone.
    """

    reads: tuple[str, ...] = ()
    reads_at_32: tuple[str, ...] = ()


# What they have not, they refuse.
_MOBILENET = FeatureExtractor(
    reads=(*_WIDTH, *_BATCH_NORM, "divisible_by", "multi_grid")
)
_NAS = FeatureExtractor(
    reads=(
        *(*_BATCH_NORM, "multi_grid"),
        *("nas_stem_output_num_conv_filters", "nas_use_classification_head"),
        "nas_remove_os32_stride",
    )
)
_RESNET = FeatureExtractor(reads=(*_BATCH_NORM, "multi_grid"))
_CAFFE_RESNET = FeatureExtractor(reads=(*_WIDTH, *_BATCH_NORM, "multi_grid"))
_XCEPTION = FeatureExtractor(
    reads=(*_BATCH_NORM, "multi_grid", "use_bounded_activation")
)

FEATURE_EXTRACTORS: Mapping[str, FeatureExtractor] = {
    "mobilenet_v2": _MOBILENET,
    "mobilenet_v3_large_seg": _MOBILENET,
    "mobilenet_v3_small_seg": _MOBILENET,
    "mobilenet_edgetpu": _MOBILENET,
    "nas_pnasnet": dataclasses.replace(_NAS, reads_at_32=("nas_remove_os32_stride",)),
    "nas_hnasnet": _NAS,
    "resnet_v1_18": _RESNET,
    "resnet_v1_18_beta": _RESNET,
    "resnet_v1_50": _RESNET,
    "resnet_v1_50_beta": _RESNET,
    "resnet_v1_101": _RESNET,
    "resnet_v1_101_beta": _RESNET,
    "resnet_50": _CAFFE_RESNET,
    "resnet_101": _CAFFE_RESNET,
    "resnet_152": _CAFFE_RESNET,
    "resnet_50_deep": _CAFFE_RESNET,
    "resnet_101_deep": _CAFFE_RESNET,
    "resnet_152_deep": _CAFFE_RESNET,
    "segnet_basic": FeatureExtractor(reads=_WIDTH),
    "unet": FeatureExtractor(reads=_WIDTH),
    "vgg_16": FeatureExtractor(reads=_WIDTH),
    "xception_41": _XCEPTION,
    "xception_65": _XCEPTION,
    "xception_71": _XCEPTION,
}
