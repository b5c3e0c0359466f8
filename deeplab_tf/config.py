"""Every setting of the commands: frozen records, from which `flags` makes the flags.

A field with help is a flag of its name. Records nest, flags are flat. Names, types and
defaults are those of research/deeplab; what differs says so in its help.
"""

import dataclasses
import math
import re
from typing import Any, ClassVar, Literal

from deeplab_tf.architectures import ARCHITECTURES, Architecture
from deeplab_tf.errors import FlagError
from deeplab_tf.settings import (
    Overrides,
    flag,
    not_negative,
    positive,
    required,
    text,
)

ValidateLabels = Literal["off", "sample", "full"]


def _unavailable(record: Any) -> None:
    if record.quantize_delay_step >= 0:
        raise FlagError(
            f"--quantize_delay_step={record.quantize_delay_step}: training does not "
            "quantize; leave it at -1"
        )


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
        positive(self, "atrous_rates", "multi_grid", "depth_multiplier", "divisible_by")
        positive(self, "aspp_convs_filters", "decoder_filters", "image_pyramid")
        positive(
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResizeConfig:
    """Bringing images into a range of sizes before anything else."""

    min_resize_value: int | None = flag("Wanted size of the smaller side.", None)
    max_resize_value: int | None = flag("Greatest size of the larger side.", None)
    resize_factor: int | None = flag("Sizes become a multiple of it plus one.", None)
    keep_aspect_ratio: bool = flag("Keep the shape, or make both sides equal.", True)

    def __post_init__(self) -> None:
        positive(self, "min_resize_value", "max_resize_value", "resize_factor")
        if self.min_resize_value is None and self.max_resize_value is not None:
            raise FlagError(
                f"--max_resize_value={self.max_resize_value} needs --min_resize_value; "
                "give both the same number to fit the larger side"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompatibilityConfig:
    """What is done as research/deeplab does it, though it is wrong."""

    official_bugs: bool = flag(
        "Numbers and names as research/deeplab has them where they are wrong: softmax "
        "twice with several scales, no keep_aspect_ratio, files called b'...'.",
        False,
    )

    def resize(self, config: ResizeConfig) -> ResizeConfig:
        """The range of sizes that takes effect."""
        if not self.official_bugs:
            return config
        return dataclasses.replace(config, keep_aspect_ratio=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the records lie and what they mean."""

    dataset: str | None = flag(
        "Data set by name; by default the dataset.json of dataset_dir, or of the run.",
        None,
        official="pascal_voc_seg",
    )
    dataset_dir: str | None = flag("Folder of the TFRecord shards.", None)


def _factor(given: str) -> tuple[re.Pattern[str], float]:
    """`PATTERN=FACTOR` in two."""
    pattern, _, factor = given.rpartition("=")
    try:
        found = re.compile(pattern), float(factor)
    except re.error as error:
        raise FlagError(
            f"--gradient_multipliers={given}: {pattern} is no regular expression "
            f"({error})"
        ) from None
    except ValueError:
        found = None
    if not (pattern and found and 0 <= found[1] < math.inf):
        raise FlagError(
            f"--gradient_multipliers={given}: PATTERN=FACTOR is needed, as logits=10, "
            "the factor 0 or more"
        )
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Steps, rates and what is updated how fast."""

    training_number_of_steps: int = flag("Steps to train.", 30000)
    optimizer: Literal["momentum", "sgd", "adam"] = flag(
        "Update rule: momentum with the rate outside the velocity, as TensorFlow 1 has "
        "it; with the rate inside, as Caffe's SGD; or Adam.",
        "momentum",
    )
    momentum: float = flag("Of the first two rules.", 0.9)
    adam_learning_rate: float = flag("Rate of Adam, constant.", 0.001)
    adam_epsilon: float = flag("Epsilon of Adam.", 1e-8)
    learning_policy: Literal["poly", "step", "fixed", "inv", "multistep"] = flag(
        "How the rate falls: by a power of the steps left; by a factor at an interval; "
        "not at all; as base * (1 + gamma * step) ** -power; by a factor at given "
        "steps.",
        "poly",
    )
    base_learning_rate: float = flag("Rate at the start.", 0.0001)
    learning_power: float = flag("Exponent of the policies poly and inv.", 0.9)
    end_learning_rate: float = flag("Rate at the end of the poly policy.", 0.0)
    decay_steps: float = flag(
        "Steps of the poly policy; 0 for all after the slow start.", 0.0
    )
    learning_rate_decay_factor: float = flag(
        "Factor of the policies step and multistep.", 0.1
    )
    learning_rate_decay_step: int = flag("Interval of the step policy.", 2000)
    learning_rate_steps: tuple[int, ...] = flag(
        "Steps of the multistep policy, after the slow start, as 20000,40000.", ()
    )
    learning_rate_gamma: float = flag("Gamma of the inv policy.", 0.0001)
    slow_start_step: int = flag("Steps at slow_start_learning_rate, first.", 0)
    slow_start_learning_rate: float = flag("Rate of the slow start.", 0.0001)
    weight_decay: float = flag("L2 decay of convolutions; 1e-4 for ResNet.", 0.00004)
    last_layer_gradient_multiplier: float = flag(
        "Factor of the gradients of the last layers; biases get twice as much.", 1.0
    )
    last_layers_contain_logits_only: bool = flag(
        "The last layers are the logits alone, not ASPP and decoder too.", False
    )
    gradient_multipliers: tuple[str, ...] = flag(
        "Further factors of gradients, PATTERN=FACTOR,...: of a weight in whose name, "
        "as logits/semantic/weights, the regular expression (without comma) is found; "
        "the first counts, and 0 keeps it as it is.",
        (),
    )

    def __post_init__(self) -> None:
        positive(self, "training_number_of_steps", "learning_rate_decay_step")
        positive(self, "learning_rate_steps")
        not_negative(self, "decay_steps", "slow_start_step", "weight_decay")
        not_negative(self, "learning_rate_gamma")
        self._check_steps()
        _ = self.factors  # Raises where a multiplier cannot be understood.
        if not 0 <= self.momentum < 1:
            raise FlagError(f"--momentum={self.momentum}: between 0 and 1, as 0.9")
        if self.slow_start_step >= self.training_number_of_steps:
            raise FlagError(
                f"--slow_start_step={self.slow_start_step} is not below "
                f"--training_number_of_steps={self.training_number_of_steps}"
            )

    @property
    def factors(self) -> tuple[tuple[re.Pattern[str], float], ...]:
        """Pattern and factor of each of the gradient multipliers."""
        return tuple(map(_factor, self.gradient_multipliers))

    def _check_steps(self) -> None:
        steps = self.learning_rate_steps
        if list(steps) != sorted(set(steps)):
            raise FlagError(
                f"--learning_rate_steps={text(steps)}: from small to large, each once"
            )
        if self.learning_policy == "multistep" and not steps:
            raise FlagError(
                "--learning_policy=multistep needs --learning_rate_steps, as "
                "20000,40000"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What a wrong pixel costs."""

    upsample_logits: bool = flag("Compare at label size, or at logits size.", True)
    loss_normalization: Literal["pixels", "images"] = flag(
        "Mean over the pixels that count, or FCN's sum over those of an image, which "
        "wants rates like 1e-10.",
        "pixels",
    )
    label_weights: tuple[float, ...] = flag("Weight of each class, or of all.", ())
    class_weights: str = flag(
        "Weights by how often the classes occur in the records, median_frequency or "
        "inverse_log; or a file of them, one a line, with or without a name before it.",
        "",
    )
    top_k_percent_pixels: float = flag("Share of the hardest pixels that count.", 1.0)
    hard_example_mining_step: int = flag("Step at which that share is reached.", 0)
    auxiliary_loss_weight: float = flag(
        "What the loss of auxiliary logits counts, beside 1 of the last; of PSPNet.",
        0.4,
    )

    def __post_init__(self) -> None:
        not_negative(self, "hard_example_mining_step", "auxiliary_loss_weight")
        if self.class_weights and self.label_weights:
            raise FlagError(
                f"--class_weights={self.class_weights} and --label_weights="
                f"{text(self.label_weights)}: one of them"
            )
        if not 0 < self.top_k_percent_pixels <= 1:
            raise FlagError(
                f"--top_k_percent_pixels={self.top_k_percent_pixels}: a share, as 0.25"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What chance does to a training image."""

    train_crop_size: tuple[int, int] = flag(
        "Height,width of the crops; multiples of the output stride plus one.",
        (513, 513),
    )
    min_scale_factor: float = flag("Smallest random scale.", 0.5)
    max_scale_factor: float = flag("Greatest random scale.", 2.0)
    scale_factor_step_size: float = flag("Step between them; 0 for any scale.", 0.25)

    def __post_init__(self) -> None:
        positive(self, "train_crop_size", "min_scale_factor")
        not_negative(self, "scale_factor_step_size")
        if self.max_scale_factor < self.min_scale_factor:
            raise FlagError(
                f"--max_scale_factor={self.max_scale_factor} is below "
                f"--min_scale_factor={self.min_scale_factor}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """`train.py`."""

    train_logdir: str | None = flag("Folder of checkpoints and logs.", None)
    train_split: str = flag("Split to train on.", "train")
    train_batch_size: int = flag("Images a step, over all devices.", 8)
    tf_initial_checkpoint: str | None = flag(
        "Weights to start from: a TF1 or a native checkpoint, or an .h5 file of Keras "
        "Applications (VGG16, ResNet50, 101, 152, MobileNetV2).",
        None,
    )
    initialize_last_layer: bool = flag("Take the last layers from it too.", True)
    fine_tune_batch_norm: bool = flag(
        "Normalize by the batch (take 12 images or more), or by the statistics of the "
        "initial checkpoint.",
        True,
    )
    drop_path_keep_prob: float = flag(
        "Share of the images that keep a path of a NAS network's last cell at the end "
        "of training; earlier ones keep more.",
        1.0,
    )
    quantize_delay_step: int = flag("Step at which to train quantized; -1: never.", -1)
    log_steps: int = flag("Steps between two lines of the log.", 10)
    save_interval_secs: int = flag("Seconds between two checkpoints.", 1200)
    save_summaries_secs: int = flag("Seconds between two image summaries.", 600)
    save_summaries_images: bool = flag("Sample images in TensorBoard.", False)
    profile_logdir: str | None = flag("Folder for a profile of some early steps.", None)
    max_checkpoints_to_keep: int = flag("Older checkpoints are removed.", 5)
    seed: int = flag("Of initial values, order, augmentation and dropout.", 0)
    validate_labels: ValidateLabels = flag(
        "Read labels before starting: none, 200 of the split, or all.", "sample"
    )
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    resize: ResizeConfig = ResizeConfig()
    compatibility: CompatibilityConfig = CompatibilityConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()

    def __post_init__(self) -> None:
        required(self, "train_logdir")
        required(self.data, "dataset_dir")
        positive(self, "train_batch_size", "log_steps", "max_checkpoints_to_keep")
        not_negative(self, "seed")
        if not 0 < self.drop_path_keep_prob <= 1:
            raise FlagError(
                f"--drop_path_keep_prob={self.drop_path_keep_prob}: a share, as 0.8"
            )
        _unavailable(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """How a prediction is made from several looks at an image."""

    eval_scales: tuple[float, ...] = flag("Scales of which to average.", (1.0,))
    add_flipped_images: bool = flag("Average with the mirrored image too.", False)

    def __post_init__(self) -> None:
        required(self, "eval_scales")
        positive(self, "eval_scales")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrfConfig:
    """A fully connected CRF behind the network: a preset, numbers by hand, or both."""

    crf: str | None = flag(
        "Refine by a fully connected CRF with published numbers, as voc_v2_resnet101; "
        "numbers given by hand win.",
        None,
    )
    crf_w1: float | None = flag("Weight of its bilateral kernel.", None)
    crf_sigma_alpha: float | None = flag("Its range in pixels.", None)
    crf_sigma_beta: float | None = flag("Its range in colours of 0...255.", None)
    crf_w2: float | None = flag("Weight of its Gaussian kernel; by default 3.", None)
    crf_sigma_gamma: float | None = flag("Its range in pixels; by default 3.", None)
    crf_iterations: int | None = flag("Steps of the mean field; by default 10.", None)
    crf_normalization: Literal["after", "symmetric"] | None = flag(
        "Kernels divided by their sum after filtering, as DeepLab does and by default, "
        "or by its root before and after, as pydensecrf does unless told.",
        None,
    )
    crf_engine: Literal["auto", "numba", "tensorflow", "pydensecrf"] = flag(
        "What computes it; by default numba if installed, else TensorFlow.", "auto"
    )

    def __post_init__(self) -> None:
        not_negative(self, "crf_w1", "crf_w2")
        positive(self, "crf_sigma_alpha", "crf_sigma_beta", "crf_sigma_gamma")
        positive(self, "crf_iterations")

    @property
    def given(self) -> dict[str, Any]:
        """Numbers given by hand, by their name without `crf_`."""
        names = [field.name for field in dataclasses.fields(self)]
        numbers = {n: getattr(self, n) for n in names if n not in ("crf", "crf_engine")}
        return {n.removeprefix("crf_"): v for n, v in numbers.items() if v is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """`eval.py`."""

    checkpoint_dir: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index.", None
    )
    eval_logdir: str | None = flag("Folder of metrics.json and event files.", None)
    eval_split: str = flag("Split to evaluate.", "val")
    eval_batch_size: int = flag("Images at a time.", 1)
    eval_crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        official=(513, 513),
    )
    eval_interval_secs: int = flag("Seconds between two evaluations.", 300)
    validate_labels: ValidateLabels = flag(
        "Read labels before starting: none, 200 of the split, or all.", "sample"
    )
    max_number_of_evaluations: int = flag(
        "Evaluations to make; the official default, 0, waits for ever.", 1
    )
    trimap_widths: tuple[int, ...] = flag(
        "Score pixels within so many of a boundary, too, as 2,4,8,16,32.", ()
    )
    crf_search: bool = flag(
        "Instead of an evaluation, search for crf_w1, crf_sigma_alpha and "
        "crf_sigma_beta on the first 100 images of the split.",
        False,
    )
    quantize_delay_step: int = flag("As in training.", -1)
    model: Overrides[ModelConfig] = Overrides(ModelConfig())
    data: DataConfig = DataConfig()
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())
    compatibility: CompatibilityConfig = CompatibilityConfig()
    inference: InferenceConfig = InferenceConfig()
    refinement: CrfConfig = CrfConfig()

    def __post_init__(self) -> None:
        required(self, "checkpoint_dir", "eval_logdir")
        required(self.data, "dataset_dir")
        positive(self, "eval_batch_size", "eval_crop_size", "trimap_widths")
        if self.crf_search and self.trimap_widths:
            raise FlagError(
                f"--trimap_widths={text(self.trimap_widths)}: --crf_search does not "
                "evaluate; leave one out"
            )
        _unavailable(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisConfig:
    """`vis.py`."""

    checkpoint_dir: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index.", None
    )
    vis_logdir: str | None = flag("Folder of the pictures.", None)
    image: str | None = flag("An image, or a folder of them, instead of records.", None)
    vis_split: str = flag("Split to draw.", "val")
    vis_batch_size: int = flag("Images at a time.", 1)
    vis_crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        official=(513, 513),
    )
    eval_interval_secs: int = flag("Seconds between two rounds.", 300)
    max_number_of_iterations: int = flag(
        "Rounds to make; the official default, 0, waits for ever.", 1
    )
    also_save_raw_predictions: bool = flag("Write class ids as PNG, too.", False)
    colormap_type: Literal["pascal", "cityscapes", "ade20k"] | None = flag(
        "Colours, when given; by default the data set's own.", None, official="pascal"
    )
    quantize_delay_step: int = flag("As in training.", -1)
    model: Overrides[ModelConfig] = Overrides(ModelConfig())
    data: DataConfig = DataConfig()
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())
    compatibility: CompatibilityConfig = CompatibilityConfig()
    inference: InferenceConfig = InferenceConfig()
    refinement: CrfConfig = CrfConfig()

    def __post_init__(self) -> None:
        required(self, "checkpoint_dir", "vis_logdir")
        if self.image is None:
            required(self.data, "dataset_dir")
        positive(self, "vis_batch_size", "vis_crop_size")
        _unavailable(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """`export.py`."""

    checkpoint_path: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index.", None
    )
    export_path: str | None = flag(
        "Folder of the SavedModel, or name of the frozen graph; new.", None
    )
    num_classes: int | None = flag(
        "Classes of a checkpoint without dataset.json.", None, official=21
    )
    crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        official=(513, 513),
    )
    inference_scales: tuple[float, ...] = flag("Scales of which to average.", (1.0,))
    add_flipped_images: bool = flag("Average with the mirrored image too.", False)
    format: Literal["saved_model", "frozen_graph"] | None = flag(
        "A SavedModel, or a TensorFlow 1 GraphDef; by default the latter where "
        "export_path ends in .pb.",
        None,
    )
    save_inference_graph: bool = flag("Write the graph as text, too.", False)
    dataset: str | None = flag(
        "Data set that names the classes of a checkpoint without dataset.json.", None
    )
    check_image: str | None = flag(
        "Photograph on which export and network are compared; by default one of the "
        "training, or a packaged picture.",
        None,
    )
    quantize_delay_step: int = flag("As in training.", -1)
    model: Overrides[ModelConfig] = Overrides(ModelConfig(output_stride=8))
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())
    compatibility: CompatibilityConfig = CompatibilityConfig()

    def __post_init__(self) -> None:
        required(self, "checkpoint_path", "export_path", "inference_scales")
        positive(self, "crop_size", "inference_scales", "num_classes")
        _unavailable(self)

    @property
    def is_graph(self) -> bool:
        """Whether a frozen graph is wanted."""
        named = str(self.export_path).endswith(".pb")
        return self.format == "frozen_graph" or (self.format is None and named)
