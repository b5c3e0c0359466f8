"""Settings of the network."""

import dataclasses
from typing import ClassVar, Literal

from deeplab_tf.config.architectures import ARCHITECTURES, Architecture
from deeplab_tf.config.fields import flag, require_positive, text
from deeplab_tf.errors import FlagError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network, as far as a flag can change it."""

    follows: ClassVar = {
        "model_variant": "architecture",
        "output_stride": "architecture",
    }
    architecture: str = flag(
        "Network, as listed by python -m deeplab_tf.models; by default DeepLab v3, or "
        "v3+ where decoder_output_stride is given.",
        "",
    )
    model_variant: str = flag(
        "Feature extractor; by default the architecture's own.",
        "",
        official="mobilenet_v2",
    )
    output_stride: int = flag(
        "Input size over feature size; by default the architecture's own. 8 or 16 in "
        "evaluation of DeepLab v3, whatever was trained.",
        0,
        official=16,
    )
    atrous_rates: tuple[int, ...] = flag(
        "Dilations of the ASPP's 3x3 branches: 6,12,18 at output stride 16, 12,24,36 "
        "at 8; without any, the 1x1 branch and the image pooling remain.",
        (),
    )
    multi_grid: tuple[int, ...] = flag(
        "Dilations within the last block of a ResNet or Xception, as 1,2,4.", ()
    )
    depth_multiplier: float = flag(
        "Width of a MobileNet, VGG or Caffe ResNet, as a factor.", 1.0
    )
    cascaded_blocks: int | None = flag(
        "Copies of the last block of a ResNet v1 behind it, 0 to 3, of "
        "deeplab_v3_cascade; by default 3.",
        None,
    )
    divisible_by: int | None = flag(
        "Channels of a MobileNet are multiples of it; by default as published.", None
    )
    add_image_level_feature: bool = flag("Pool the whole image into the ASPP.", True)
    image_pooling_crop_size: tuple[int, int] | None = flag(
        "Height,width that the image pooling averages; by default the whole image.",
        None,
    )
    image_pooling_stride: tuple[int, int] = flag(
        "Stride of the image pooling, with image_pooling_crop_size.", (1, 1)
    )
    aspp_convs_filters: int = flag("Channels of each ASPP branch.", 256)
    aspp_with_batch_norm: bool = flag(
        "ASPP with batch norm; without it, one logits layer a rate, summed.", True
    )
    aspp_with_separable_conv: bool = flag("Separable convolutions in the ASPP.", True)
    aspp_with_concat_projection: bool = flag("Project the ASPP's branches.", True)
    aspp_with_squeeze_and_excitation: bool = flag("Gate ASPP by its pooling.", False)
    image_se_uses_qsigmoid: bool = flag("Gate by a hard sigmoid.", False)
    decoder_output_stride: tuple[int, ...] = flag(
        "Input size over decoder size, as 4: makes the network DeepLab v3+.", ()
    )
    decoder_filters: int = flag("Channels of the decoder.", 256)
    decoder_use_separable_conv: bool = flag("Separable convolutions in it.", True)
    decoder_use_sum_merge: bool = flag("Sum instead of concatenating.", False)
    decoder_output_is_logits: bool = flag("The decoder gives the logits.", False)
    logits_kernel_size: int = flag(
        "Kernel of the logits layers where the ASPP has no batch norm.", 1
    )
    image_pyramid: tuple[float, ...] = flag("Input scales, features merged.", ())
    merge_method: Literal["max", "avg"] = flag("Merges an image pyramid.", "max")
    prediction_with_upsampled_logits: bool = flag(
        "Upsample logits, then classify; or classify first.", True
    )
    use_bounded_activation: bool = flag("ReLU6 throughout, for quantization.", False)
    dense_prediction_cell_json: str = flag("A searched cell in place of the ASPP.", "")
    nas_stem_output_num_conv_filters: int = flag(
        "Channels of a NAS cell's sums at stride 4; twice as many at each half size.",
        20,
    )
    nas_use_classification_head: bool = flag("Image classifier of a NAS net.", False)
    nas_remove_os32_stride: bool = flag(
        "Cells of a NAS network that lie at stride 32 keep the stride 16.", False
    )
    batch_norm_decay: float | None = flag(
        "Decay of the moving statistics, everywhere, when given; by default as "
        "published (head and Xception 0.9997, MobileNet 0.997, ResNet 0.95).",
        None,
        official=0.9997,
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
        require_positive(
            self, "atrous_rates", "multi_grid", "depth_multiplier", "divisible_by"
        )
        require_positive(self, "aspp_convs_filters", "decoder_filters", "image_pyramid")
        require_positive(
            self,
            "nas_stem_output_num_conv_filters",
            "image_pooling_crop_size",
            "image_pooling_stride",
            "logits_kernel_size",
        )
        if (decay := self.batch_norm_decay) is not None and not 0 <= decay < 1:
            raise FlagError(f"--batch_norm_decay={decay}: between 0 and 1, as 0.99")

    def _take_defaults(self) -> None:
        """Fills what was not given with what the architecture has."""
        if self.head not in ARCHITECTURES:
            raise FlagError(
                f"--architecture={self.architecture}: one of "
                f"{', '.join(ARCHITECTURES)} is needed"
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
        if self.head != "deeplab_v3_cascade":
            return None
        return 3 if self.cascaded_blocks is None else self.cascaded_blocks

    @property
    def logits_stride(self) -> int:
        """Input size over logits size."""
        if self.facts.full_size:
            return 1
        own = self.facts.score_stride or self.output_stride
        return min((*self.decoder_output_stride, own))
