"""Settings of the network."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import ClassVar, Literal

from deeplab_tf.config.architectures import (
    ARCHITECTURES,
    FEATURE_EXTRACTORS,
    Architecture,
    FeatureExtractor,
)
from deeplab_tf.config.effects import Rule, unless, where
from deeplab_tf.config.fields import POSITIVE, Range, check_ranges, flag, text
from deeplab_tf.errors import FlagError, one_of

_ROWS: tuple[Architecture | FeatureExtractor, ...] = (
    *ARCHITECTURES.values(),
    *FEATURE_EXTRACTORS.values(),
)


def _network_rule() -> Rule:
    """Settings that architecture or feature extractor read, by the tables of both."""
    governed = frozenset(name for row in _ROWS for name in row.reads)

    def read(config: "ModelConfig") -> Collection[str]:
        extractor = FEATURE_EXTRACTORS.get(config.model_variant)
        if extractor is None:  # Not known: `build` refuses it.
            return governed
        own = set(extractor.reads) - set(config.facts.decides)
        return {*config.facts.reads, *own}

    return Rule(
        "architecture",
        governed,
        read,
        lambda config: (
            f"with --architecture={config.head} --model_variant={config.model_variant}"
        ),
        _company,
    )


def _company(name: str) -> str:
    """Networks that read a setting."""
    tables: dict[str, Mapping[str, Architecture | FeatureExtractor]] = {
        "architecture": ARCHITECTURES,
        "model_variant": FEATURE_EXTRACTORS,
    }
    readers = [
        f"--{setting}={', '.join(rows)}"
        for setting, table in tables.items()
        if (rows := [row for row, facts in table.items() if name in facts.reads])
    ]
    return f"with {' or '.join(readers)}"


def _stride_rule() -> Rule:
    """Settings that some feature extractors read at output stride 32 alone."""
    rows = FEATURE_EXTRACTORS
    governed = frozenset().union(*(row.reads_at_32 for row in rows.values()))

    def read(config: "ModelConfig") -> Collection[str]:
        row = rows.get(config.model_variant)
        return governed - set(
            row.reads_at_32 if row and config.output_stride < 32 else ()
        )

    return Rule(
        "output_stride",
        governed,
        read,
        lambda config: (
            f"with --model_variant={config.model_variant} "
            f"--output_stride={config.output_stride}"
        ),
        lambda name: (
            "of "
            + ", ".join(v for v, row in rows.items() if name in row.reads_at_32)
            + " with --output_stride=32"
        ),
    )


def _rates_rule() -> Rule:
    """The rates of an ASPP or, where it has no batch norm, of a sum of logits."""

    def read(config: "ModelConfig") -> Collection[str]:
        has_cell = "aspp_convs_filters" in config.facts.reads and (
            config.dense_prediction_cell_json
        )
        replaced = config.head == _CASCADE or has_cell
        return () if replaced and config.aspp_with_batch_norm else ("atrous_rates",)

    return Rule(
        "aspp_with_batch_norm",
        frozenset({"atrous_rates"}),
        read,
        lambda config: (
            "with --dense_prediction_cell_json"
            if config.dense_prediction_cell_json
            else f"with --architecture={config.head} --aspp_with_batch_norm"
        ),
        lambda _: (
            f"without --dense_prediction_cell_json and --architecture={_CASCADE}, or "
            "with --aspp_with_batch_norm=false"
        ),
    )


def _batch_norm_rule() -> Rule:
    """Behind a cascade or a searched cell, it decides on the rates' sum of logits."""

    def read(config: "ModelConfig") -> Collection[str]:
        replaced = config.head == _CASCADE or config.dense_prediction_cell_json
        is_read = config.atrous_rates or not replaced
        return ("aspp_with_batch_norm",) if is_read else ()

    return Rule(
        "architecture",
        frozenset({"aspp_with_batch_norm"}),
        read,
        lambda config: (
            f"with --architecture={_CASCADE} and without --atrous_rates"
            if config.head == _CASCADE
            else "with --dense_prediction_cell_json and without --atrous_rates"
        ),
        lambda _: (
            f"without --dense_prediction_cell_json and --architecture={_CASCADE}, or "
            "with --atrous_rates"
        ),
    )


def _bound_rule() -> Rule:
    """A sum of logits right behind the features has no activation to bound."""
    name = "use_bounded_activation"

    def read(config: "ModelConfig") -> Collection[str]:
        extractor = FEATURE_EXTRACTORS.get(config.model_variant)
        is_sum = "aspp_with_batch_norm" in config.facts.reads and not (
            config.has_encoder or config.decoder_output_stride
        )
        is_read = not is_sum or extractor is None or name in extractor.reads
        return (name,) if is_read else ()

    return Rule(
        "aspp_with_batch_norm",
        frozenset({name}),
        read,
        lambda config: (
            f"with --model_variant={config.model_variant} "
            "--aspp_with_batch_norm=false, without decoder"
        ),
        lambda _: "with --aspp_with_batch_norm, a decoder or an Xception",
    )


_CASCADE = "deeplab_v3_cascade"
_IMAGE_POOLING = (
    *("image_pooling_crop_size", "image_pooling_stride"),
    *("aspp_with_squeeze_and_excitation", "image_se_uses_qsigmoid"),
)
_BRANCHES = (
    *("add_image_level_feature", *_IMAGE_POOLING),
    *("aspp_with_separable_conv", "aspp_with_concat_projection"),
)
_RULES = (
    _network_rule(),
    _stride_rule(),
    unless("dense_prediction_cell_json", *_BRANCHES),
    _rates_rule(),
    _batch_norm_rule(),
    _bound_rule(),
    where("aspp_with_batch_norm", *_BRANCHES),
    where("has_encoder", "aspp_convs_filters", shown="aspp_with_batch_norm"),
    where("atrous_rates", "aspp_with_separable_conv"),
    where("add_image_level_feature", *_IMAGE_POOLING),
    where("image_pooling_crop_size", "image_pooling_stride"),
    where("aspp_with_squeeze_and_excitation", "image_se_uses_qsigmoid"),
    unless("decoder_output_is_logits", "decoder_use_separable_conv"),
    where(
        "image_pyramid",
        "merge_method",
        when=lambda scales: len(scales) > 1,
        company="with two scales or more in --image_pyramid",
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network, as far as a flag can change it."""

    follows: ClassVar = {
        "model_variant": "architecture",
        "output_stride": "architecture",
    }
    topic: ClassVar = "Network"
    rules: ClassVar = _RULES
    of_training: ClassVar = ("batch_norm_decay",)
    choices: ClassVar = {
        "architecture": tuple(ARCHITECTURES),
        "model_variant": tuple(FEATURE_EXTRACTORS),
        "output_stride": sorted(
            {each for row in ARCHITECTURES.values() for each in row.output_strides}
        ),
    }
    architecture: str = flag(
        "Network; by default deeplab_v3, or deeplab_v3plus where "
        "--decoder_output_stride is given. python -m deeplab_tf.models lists sizes.",
        "",
        common=True,
    )
    model_variant: str = flag(
        "Feature extractor (backbone); by default the architecture's own.",
        "",
        official="mobilenet_v2",
        common=True,
    )
    output_stride: int = flag(
        "Input size over feature size; by default the architecture's own. Of DeepLab "
        "v3, evaluation at 8 or 16 is possible, whatever was trained.",
        0,
        official=16,
        common=True,
    )
    atrous_rates: tuple[int, ...] = flag(
        "Dilations of the ASPP's 3x3 branches: 6,12,18 at output stride 16, 12,24,36 "
        "at 8; without any, the 1x1 branch and the image pooling remain.",
        (),
        within=POSITIVE,
        common=True,
    )
    multi_grid: tuple[int, ...] = flag(
        "Dilations within the last block of a ResNet v1 or an Xception, as 1,2,4.",
        (),
        within=POSITIVE,
    )
    depth_multiplier: float = flag(
        "Width of the network, as a factor; not of ResNet v1, Xception and NAS.",
        1.0,
        within=POSITIVE,
    )
    cascaded_blocks: int | None = flag(
        "Copies of the last block of a ResNet v1 behind it, 0 to 3, of "
        "deeplab_v3_cascade; by default 3.",
        None,
    )
    divisible_by: int | None = flag(
        "Channels of a MobileNet are multiples of this number; by default as "
        "published.",
        None,
        within=POSITIVE,
    )
    add_image_level_feature: bool = flag("Pool the whole image into the ASPP.", True)
    image_pooling_crop_size: tuple[int, int] | None = flag(
        "Height,width that the image pooling of the ASPP averages; by default the "
        "whole image.",
        None,
        within=POSITIVE,
    )
    image_pooling_stride: tuple[int, int] = flag(
        "Stride of the image pooling, with --image_pooling_crop_size.",
        (1, 1),
        within=POSITIVE,
    )
    aspp_convs_filters: int = flag(
        "Channels of each ASPP branch.", 256, within=POSITIVE
    )
    aspp_with_batch_norm: bool = flag(
        "ASPP with batch norm; without it, one logits layer a rate, summed.", True
    )
    aspp_with_separable_conv: bool = flag("Separable convolutions in the ASPP.", True)
    aspp_with_concat_projection: bool = flag("Project the ASPP's branches.", True)
    aspp_with_squeeze_and_excitation: bool = flag(
        "Gate the ASPP's branches by the image pooling.", False
    )
    image_se_uses_qsigmoid: bool = flag(
        "Let the gate of --aspp_with_squeeze_and_excitation be a hard sigmoid.", False
    )
    decoder_output_stride: tuple[int, ...] = flag(
        "Input size over decoder size, as 4: makes the network DeepLab v3+.",
        (),
        common=True,
    )
    decoder_filters: int = flag("Channels of the decoder.", 256, within=POSITIVE)
    decoder_use_separable_conv: bool = flag(
        "Separable convolutions in the decoder.", True
    )
    decoder_use_sum_merge: bool = flag(
        "Let the decoder sum its inputs, instead of concatenating them.", False
    )
    decoder_output_is_logits: bool = flag("The decoder gives the logits.", False)
    logits_kernel_size: int = flag(
        "Kernel of the logits layers where the ASPP has no batch norm.",
        1,
        within=POSITIVE,
    )
    image_pyramid: tuple[float, ...] = flag(
        "Scales at which the network sees its input, the logits merged by "
        "--merge_method.",
        (),
        within=POSITIVE,
    )
    merge_method: Literal["max", "avg"] = flag(
        "Merges the logits of an image pyramid: by their greatest, or their mean.",
        "max",
    )
    prediction_with_upsampled_logits: bool = flag(
        "Predict by upsampling logits, then classifying; or classify first.", True
    )
    use_bounded_activation: bool = flag("ReLU6 throughout, for quantization.", False)
    dense_prediction_cell_json: str = flag(
        "JSON file of a searched cell, which takes the place of the ASPP.", ""
    )
    nas_stem_output_num_conv_filters: int = flag(
        "Channels of a NAS cell's sums at stride 4; twice as many at each half size.",
        20,
        within=POSITIVE,
    )
    nas_use_classification_head: bool = flag(
        "End a NAS network with the layers of its image classifier.", False
    )
    nas_remove_os32_stride: bool = flag(
        "Cells of a NAS network that lie at stride 32 keep the stride 16.", False
    )
    batch_norm_decay: float | None = flag(
        "Decay of the moving statistics, everywhere, when given; by default as "
        "published (head and Xception 0.9997, MobileNet 0.997, ResNet 0.95).",
        None,
        official=0.9997,
        within=Range(minimum=0, below=1, words="between 0 and 1, as 0.99"),
    )

    def __post_init__(self) -> None:
        self._take_defaults()
        self._check_cascade()
        strides = self.decoder_output_stride
        if (
            not set(strides) <= {4, 8, 16}
            or list(strides) != sorted(set(strides))[::-1]
        ):
            raise FlagError(
                f"--decoder_output_stride={text(strides)}: 4, 8 or 16 are possible, "
                "several from large to small"
            )
        check_ranges(self)

    def _take_defaults(self) -> None:
        """Fills what was not given with what the architecture has."""
        if self.head not in ARCHITECTURES:
            raise FlagError(
                f"--architecture={self.architecture}: "
                f"{one_of(self.architecture, ARCHITECTURES)}"
            )
        if self.architecture == "deeplab_v3plus" and not self.decoder_output_stride:
            object.__setattr__(self, "decoder_output_stride", (4,))
        if self.decoder_output_stride and self.head != "deeplab_v3plus":
            raise FlagError(
                f"--decoder_output_stride: {self.head} has no such decoder; leave it "
                "out, or take --architecture=deeplab_v3plus"
            )
        possible = self.facts.output_strides
        if not self.model_variant:
            object.__setattr__(self, "model_variant", self.facts.model_variant)
        if not self.output_stride:
            object.__setattr__(self, "output_stride", possible[0])
        if self.output_stride not in possible:
            wanted = ", ".join(map(str, sorted(possible)))
            network = f" for --architecture={self.head}" if self.architecture else ""
            raise FlagError(
                f"--output_stride={self.output_stride}: one of {wanted} is needed"
                f"{network}"
            )

    def _check_cascade(self) -> None:
        count = self.cascaded_blocks
        if count is not None and self.cascade is None:
            raise FlagError(
                f"--cascaded_blocks={count}: {self.head} has none; leave it out, or "
                "take --architecture=deeplab_v3_cascade"
            )
        if count not in (None, 0, 1, 2, 3):
            raise FlagError(f"--cascaded_blocks={count}: 0, 1, 2 or 3 are possible")

    @property
    def head(self) -> str:
        """Name of the architecture, also where it was not given."""
        plain = "deeplab_v3plus" if self.decoder_output_stride else "deeplab_v3"
        return self.architecture or plain

    @property
    def facts(self) -> Architecture:
        """What is known of the architecture."""
        return ARCHITECTURES[self.head]

    @property
    def cascade(self) -> int | None:
        """Copies of a ResNet's last block; None where the network is no cascade."""
        if self.head != _CASCADE:
            return None
        return 3 if self.cascaded_blocks is None else self.cascaded_blocks

    @property
    def has_encoder(self) -> bool:
        """Whether an ASPP, where there may be one, or a searched cell is built."""
        return self.aspp_with_batch_norm or bool(self.dense_prediction_cell_json)

    @property
    def logits_stride(self) -> int:
        """Input size over logits size."""
        if self.facts.full_size:
            return 1
        own = self.facts.score_stride or self.output_stride
        return min((*self.decoder_output_stride, own))
