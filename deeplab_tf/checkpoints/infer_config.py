"""Inferring the settings of a network from names and shapes of its weights."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from deeplab_tf.checkpoints.reader import CheckpointReader
from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import InputError

Shapes = Mapping[str, tuple[int, ...]]
Setting = tuple[str, Any]  # Of a ModelConfig.
# Scope -> variant; a layer whose channels tell the width; how many it has at width 1.
_MOBILENETS = {
    "MobilenetV2": ("mobilenet_v2", "expanded_conv_16/project", 320),
    "MobilenetEdgeTPU": ("mobilenet_edgetpu", "Conv_1", 1280),
}
_LARGE = ("mobilenet_v3_large_seg", "Conv_1", 480)
_SMALL = ("mobilenet_v3_small_seg", "Conv_1", 288)


def infer_num_classes(stored: CheckpointReader) -> int | None:
    """Channels of the logits; None for an image classifier."""
    if "logits/semantic/weights" in stored.shapes:
        return stored.shapes["logits/semantic/weights"][-1]
    biases = stored.shapes.get("decoder/feature_projection0/biases")
    return biases[-1] if biases else None  # A decoder that gives the logits.


def infer_model_config(stored: CheckpointReader) -> ModelConfig:
    """The network, as far as names and shapes of its weights tell.

    Rates, strides and multi-grid leave no trace in them: those are the usual ones.

    Raises:
        InputError: It is of no network that is known here.
    """
    return ModelConfig(**dict(_settings(stored.shapes, stored.prefix)))


def _settings(shapes: Shapes, prefix: str) -> Iterator[Setting]:
    yield from _backbone(shapes, prefix)
    if "meta_architecture/concat_projection/weights" in shapes:
        name = "dense_prediction_cell_branch5_top1_cityscapes.json"
        yield "dense_prediction_cell_json", name
    elif "aspp0/weights" in shapes:
        yield from _aspp(shapes)
    else:
        yield "aspp_with_batch_norm", False
        yield "logits_kernel_size", shapes.get("logits/semantic/weights", (1,))[0]
        # One a rate; a single one may be without.
        more = _count(shapes, r"logits/semantic_\d+/weights")
        yield "atrous_rates", _usual_rates(more + 1 if more else 0)
    yield from _decoder(shapes)


def _backbone(shapes: Shapes, prefix: str) -> Iterator[Setting]:
    scopes = {name.split("/")[0] for name in shapes}
    mobile = dict(_MOBILENETS)
    deep = "MobilenetV3/expanded_conv_14/project/weights" in shapes
    mobile["MobilenetV3"] = _LARGE if deep else _SMALL
    if known := scopes & mobile.keys():
        (scope,) = known
        variant, layer, channels = mobile[scope]
        yield "model_variant", variant
        last = shapes.get(f"{scope}/{layer}/weights", (channels,))
        yield "depth_multiplier", round(last[-1] / channels, 3)
        return
    for scope in scopes:
        if re.fullmatch(r"resnet_v1_(18|50|101)", scope):
            beta = f"{scope}/conv1_1/weights" in shapes
            yield "model_variant", scope + ("_beta" if beta else "")
            return
        if re.fullmatch(r"xception_(41|65|71)", scope):
            yield "model_variant", scope
            return
        if scope in ("pnasnet", "hnasnet"):
            filters = shapes[f"{scope}/cell_0/1x1/weights"][-1]
            yield "model_variant", f"nas_{scope}"
            halved = filters // 2 if scope == "pnasnet" else filters
            yield "nas_stem_output_num_conv_filters", halved
            yield "output_stride", 16 if scope == "pnasnet" else 8
            return
    raise InputError(
        f"{prefix}: of no network that is known here; its scopes are "
        f"{', '.join(sorted(scopes)[:6])}"
    )


def _aspp(shapes: Shapes) -> Iterator[Setting]:
    yield "aspp_convs_filters", shapes["aspp0/weights"][-1]
    yield "add_image_level_feature", "image_pooling/weights" in shapes
    if "image_pooling/biases" in shapes:  # MobileNetV3's gate.
        yield "aspp_with_squeeze_and_excitation", True
        yield "image_se_uses_qsigmoid", True
    yield "aspp_with_concat_projection", "concat_projection/weights" in shapes
    yield "aspp_with_separable_conv", "aspp1/weights" not in shapes
    count = _count(shapes, r"aspp[1-9]\d*(_pointwise)?/weights")
    yield "atrous_rates", _usual_rates(count)


def _count(shapes: Shapes, pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in shapes)


def _usual_rates(count: int) -> tuple[int, ...]:
    return tuple(range(6, 6 * count + 1, 6))


def _decoder(shapes: Shapes) -> Iterator[Setting]:
    name = "decoder/feature_projection0"
    if f"{name}/weights" not in shapes:
        return
    stages = 1 + sum(f"{name}_{i}/weights" in shapes for i in (1, 2))
    yield "decoder_output_stride", {1: (4,), 2: (16, 4), 3: (16, 8, 4)}[stages]
    if any(n.startswith("MobilenetV3") for n in shapes):
        yield "decoder_output_stride", (8,)
    last = next(n for n in _DECODERS if f"decoder/{n}/weights" in shapes)
    separable, by_sum = _DECODERS[last]
    is_logits = f"{name}/biases" in shapes
    yield "decoder_output_is_logits", is_logits
    yield "decoder_use_sum_merge", by_sum
    yield "decoder_use_separable_conv", separable or is_logits
    yield "decoder_filters", shapes[f"decoder/{last}/weights"][-1]


# A convolution of the decoder: whether it is separable, and merged by a sum.
_DECODERS = {
    "decoder_conv0_pointwise": (True, False),
    "decoder_split_sep_conv0_pointwise": (True, True),
    "decoder_conv0/decoder_conv0_1": (False, False),
    "decoder_conv0": (False, True),
}
