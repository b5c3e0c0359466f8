"""Settings of train.py: augmentation, what is watched, and the run itself."""

import dataclasses
import re
from typing import Any, ClassVar

from deeplab_tf.config.data import (
    CompatibilityConfig,
    DataConfig,
    ResizeConfig,
    TfdsConfig,
    ValidateLabels,
)
from deeplab_tf.config.devices import DevicesConfig
from deeplab_tf.config.effects import Rule, unless, where
from deeplab_tf.config.fields import (
    NOT_NEGATIVE,
    POSITIVE,
    Range,
    check_ranges,
    flag,
    require_given,
    text,
)
from deeplab_tf.config.model import ModelConfig
from deeplab_tf.config.optimizer_and_loss import (
    LossConfig,
    OptimizerConfig,
    refuse_quantization,
)
from deeplab_tf.errors import FlagError


def _up_to(most: float) -> Range:
    """Of what is done by 0, not at all, up to that much."""
    return Range(minimum=0, maximum=most, words=f"between 0, for none, and {most:g}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Data augmentation: scale, crop, mirror, colors, blur and rotation."""

    topic: ClassVar = "Augmentation"
    rules: ClassVar = (
        Rule(
            "max_scale_factor",
            frozenset({"scale_factor_step_size"}),
            lambda augment: (
                ("scale_factor_step_size",)
                if augment.max_scale_factor > augment.min_scale_factor
                else ()
            ),
            lambda augment: (
                f"with --min_scale_factor={augment.min_scale_factor} "
                f"--max_scale_factor={augment.max_scale_factor}"
            ),
            lambda _: "with --max_scale_factor above --min_scale_factor",
        ),
    )
    train_crop_size: tuple[int, int] = flag(
        "Height,width of the crops; multiples of the output stride plus one.",
        (513, 513),
        within=POSITIVE,
        common=True,
    )
    min_scale_factor: float = flag(
        "Smallest random scale.", 0.5, within=POSITIVE, common=True
    )
    max_scale_factor: float = flag(
        "Greatest random scale.", 2.0, within=POSITIVE, common=True
    )
    scale_factor_step_size: float = flag(
        "Step between the random scales; 0 for any scale.", 0.25, within=NOT_NEGATIVE
    )
    rotation_degrees: float = flag(
        "Rotate by up to so much either way; mean color and ignore label come in.",
        0.0,
        within=_up_to(180),
    )
    blur_sigma: float = flag(
        "Blur by a Gaussian of up to so many pixels.", 0.0, within=NOT_NEGATIVE
    )
    brightness_jitter: float = flag(
        "Make brighter or darker by up to so much of white, as 0.2.",
        0.0,
        within=_up_to(1),
    )
    contrast_jitter: float = flag(
        "Change contrast by a factor of 1 plus or minus up to so much.",
        0.0,
        within=_up_to(1),
    )
    saturation_jitter: float = flag(
        "Change the saturation of colors by a factor of 1 plus or minus up to so much.",
        0.0,
        within=_up_to(1),
    )
    hue_jitter: float = flag(
        "Turn the circle of hues by up to so much of it, as 0.05.",
        0.0,
        within=_up_to(0.5),
    )
    uint8_images: bool = flag(
        "Send training images to the devices as uint8, a quarter of the bytes: colors "
        "of resized images are rounded, by up to half of 255's step. Evaluation is as "
        "without.",
        False,
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.max_scale_factor < self.min_scale_factor:
            raise FlagError(
                f"--max_scale_factor={self.max_scale_factor} is below "
                f"--min_scale_factor={self.min_scale_factor}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """Logs, evaluations in between, and what they decide."""

    topic: ClassVar = "Logs, summaries and evaluation while training"
    rules: ClassVar = (
        where("shows", "save_summaries_secs", shown="save_summaries_images"),
        where("eval_interval_steps", "eval_split", "best_metric"),
    )
    log_steps: int = flag("Steps between two lines of the log.", 10, within=POSITIVE)
    save_summaries_secs: int = flag(
        "Seconds between two image summaries.", 600, within=NOT_NEGATIVE
    )
    save_summaries_images: bool = flag("Sample images in TensorBoard.", False)
    save_summaries_histograms: bool = flag(
        "Histograms of weights in TensorBoard, with the images or as often.", False
    )
    profile_logdir: str | None = flag("Folder for a profile of some steps.", None)
    profile_steps: tuple[int, ...] = flag(
        "First and last step of the profile, as 100,110; by default early ones.", ()
    )
    eval_interval_steps: int = flag(
        "Evaluate on --eval_split every so many steps and at the end, and keep the "
        "best checkpoint in best/; 0: not while training.",
        0,
        within=NOT_NEGATIVE,
        common=True,
    )
    eval_split: str = flag(
        "Split of the evaluations that --eval_interval_steps asks for.",
        "val",
        common=True,
    )
    best_metric: str = flag(
        "Score by which best/ is chosen, and patience lost: miou, boundary_iou, or the "
        "IoU of a class, as class:dog.",
        "miou",
    )
    early_stopping_patience: int = flag(
        "Stop after so many evaluations without a better --best_metric; 0: never.",
        0,
        within=NOT_NEGATIVE,
    )

    @property
    def shows(self) -> bool:
        """Whether summaries of images or weights are asked for."""
        return self.save_summaries_images or self.save_summaries_histograms

    def __post_init__(self) -> None:
        check_ranges(self)
        is_class = re.fullmatch("class:.+", self.best_metric)
        if self.best_metric not in ("miou", "boundary_iou") and not is_class:
            raise FlagError(
                f"--best_metric={self.best_metric}: miou, boundary_iou or a class, as "
                "class:dog, is needed"
            )
        if self.early_stopping_patience and not self.eval_interval_steps:
            raise FlagError(
                f"--early_stopping_patience={self.early_stopping_patience} needs "
                "--eval_interval_steps"
            )
        steps = self.profile_steps
        if steps and not (len(steps) == 2 and 0 < steps[0] <= steps[1]):
            raise FlagError(
                f"--profile_steps={text(steps)}: the first and the last, as 100,110"
            )
        if steps and not self.profile_logdir:
            raise FlagError(f"--profile_steps={text(steps)} needs --profile_logdir")


def _last_layers_rule() -> Rule:
    """Which layers are the last is asked by what treats them apart."""

    def read(config: "TrainConfig") -> tuple[str, ...]:
        anew = config.tf_initial_checkpoint and not config.initialize_last_layer
        apart = anew or config.optimizer.last_layer_gradient_multiplier != 1
        return ("last_layers_contain_logits_only",) if apart else ()

    return Rule(
        "last_layer_gradient_multiplier",
        frozenset({"last_layers_contain_logits_only"}),
        read,
        lambda _: (
            "without --initialize_last_layer=false or --last_layer_gradient_multiplier"
        ),
        lambda _: (
            "with --last_layer_gradient_multiplier, or with --tf_initial_checkpoint "
            "and --initialize_last_layer=false"
        ),
    )


def _names(record: Any, *others: str) -> tuple[str, ...]:
    """Settings of a record but for some."""
    return tuple(f.name for f in dataclasses.fields(record) if f.name not in others)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Trains a network on records, or goes on with the run in its folder.

        python train.py --train_logdir=run --dataset_dir=records

    The same command goes on where it was stopped.
    """

    topic: ClassVar = "Run"
    rules: ClassVar = (
        where("tf_initial_checkpoint", "initialize_last_layer"),
        unless("save_interval_steps", "save_interval_secs"),
        unless("overfit_one_batch", *_names(AugmentConfig, "train_crop_size")),
        where(
            "resize.keep_aspect_ratio",
            "official_bugs",
            when=lambda keeps: not keeps,
            company="with --keep_aspect_ratio=false",
        ),
        unless("compatibility.official_bugs", "keep_aspect_ratio"),
        where(
            "fine_tune_batch_norm",
            "sync_batch_norm",
            company="with --fine_tune_batch_norm",
        ),
        _last_layers_rule(),
    )
    train_logdir: str | None = flag(
        "Folder of checkpoints and logs.", None, required=True
    )
    train_split: str = flag("Split to train on.", "train", common=True)
    train_batch_size: int = flag(
        "Images a step, over all devices.", 8, within=POSITIVE, common=True
    )
    tf_initial_checkpoint: str | None = flag(
        "Pretrained weights to start from, for fine-tuning: zoo:NAME of the official "
        "model zoo (python -m deeplab_tf.checkpoints zoo), a TF1 or a native "
        "checkpoint, or an .h5 file of Keras Applications (VGG16, ResNet50, 101, 152, "
        "MobileNetV2).",
        None,
        common=True,
    )
    initialize_last_layer: bool = flag(
        "Take the last layers from the initial checkpoint, too.", True, common=True
    )
    fine_tune_batch_norm: bool = flag(
        "Normalize by the batch (take 12 images or more), or by the statistics of the "
        "initial checkpoint.",
        True,
        common=True,
    )
    drop_path_keep_prob: float = flag(
        "Share of the images that keep a path of a NAS network's last cell at the end "
        "of training; earlier ones keep more.",
        1.0,
        within=Range(above=0, maximum=1, words="a share, as 0.8"),
    )
    quantize_delay_step: int = flag("Step at which to train quantized; -1: never.", -1)
    save_interval_secs: int = flag(
        "Seconds between two checkpoints.", 1200, within=NOT_NEGATIVE
    )
    save_interval_steps: int = flag(
        "Steps between two checkpoints, whatever the clock says; 0: by the clock.",
        0,
        within=NOT_NEGATIVE,
    )
    max_checkpoints_to_keep: int = flag(
        "Checkpoints that are kept; older ones are removed.", 5, within=POSITIVE
    )
    check: bool = flag(
        "Take two steps in a folder of their own, look at all that could go wrong, "
        "estimate memory and time, and stop; nothing is kept.",
        False,
        common=True,
    )
    overfit_one_batch: bool = flag(
        "Train on one and the same batch without augmentation: a network that cannot "
        "learn it by heart has something wrong.",
        False,
    )
    seed: int = flag(
        "Seed of initial values, order, augmentation and dropout.",
        0,
        within=NOT_NEGATIVE,
    )
    validate_labels: ValidateLabels = flag(
        "Read labels before starting: none, 200 of the split, or all.",
        "sample",
        common=True,
    )
    max_bad_records: int = flag(
        "If above 0: read all records before starting, name those that are damaged, "
        "leave them out, and stop if there are more than so many. At 0, the first one "
        "stops the run.",
        0,
        within=NOT_NEGATIVE,
    )
    cache_decoded_gb: float = flag(
        "Keep up to so many GB of decoded records in memory, so that they need not be "
        "decoded in each epoch; worth it where images are PNGs and memory is to spare.",
        0.0,
        within=NOT_NEGATIVE,
    )
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    tfds: TfdsConfig = TfdsConfig()
    resize: ResizeConfig = ResizeConfig()
    compatibility: CompatibilityConfig = CompatibilityConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    devices: DevicesConfig = DevicesConfig()
    watch: WatchConfig = WatchConfig()

    def __post_init__(self) -> None:
        require_given(self)
        self.data.check(self.tfds.given)
        check_ranges(self)
        refuse_quantization(self)

    def batch_norm_images(self, replicas: int) -> int:
        """From how many images batch norm takes its statistics.

        Args:
            replicas: Devices over which a batch is spread.
        """
        parts = self.devices.gradient_accumulation_steps
        shares = 1 if self.devices.sync_batch_norm else replicas
        return self.train_batch_size // parts // shares
