"""Settings of train.py: augmentation, devices, what is watched, and the run itself."""

import dataclasses
from typing import Literal

from deeplab_tf.config.data import (
    CompatibilityConfig,
    DataConfig,
    ResizeConfig,
    TfdsConfig,
    ValidateLabels,
)
from deeplab_tf.config.fields import (
    flag,
    require_given,
    require_not_negative,
    require_positive,
    text,
)
from deeplab_tf.config.model import ModelConfig
from deeplab_tf.config.optimizer_and_loss import (
    LossConfig,
    OptimizerConfig,
    refuse_quantization,
)
from deeplab_tf.errors import FlagError


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Data augmentation: scale, crop, mirror, colors, blur and rotation."""

    train_crop_size: tuple[int, int] = flag(
        "Height,width of the crops; multiples of the output stride plus one.",
        (513, 513),
    )
    min_scale_factor: float = flag("Smallest random scale.", 0.5)
    max_scale_factor: float = flag("Greatest random scale.", 2.0)
    scale_factor_step_size: float = flag("Step between them; 0 for any scale.", 0.25)
    rotation_degrees: float = flag(
        "Rotate by up to so much either way; mean color and ignore label come in.", 0.0
    )
    blur_sigma: float = flag("Blur by a Gaussian of up to so many pixels.", 0.0)
    brightness_jitter: float = flag(
        "Make brighter or darker by up to so much of white, as 0.2.", 0.0
    )
    contrast_jitter: float = flag(
        "Change contrast by a factor of 1 plus or minus up to so much.", 0.0
    )
    saturation_jitter: float = flag("The same of the saturation of colors.", 0.0)
    hue_jitter: float = flag(
        "Turn the circle of hues by up to so much of it, as 0.05.", 0.0
    )

    def __post_init__(self) -> None:
        require_positive(self, "train_crop_size", "min_scale_factor")
        require_not_negative(
            self, "scale_factor_step_size", "rotation_degrees", "blur_sigma"
        )
        if self.max_scale_factor < self.min_scale_factor:
            raise FlagError(
                f"--max_scale_factor={self.max_scale_factor} is below "
                f"--min_scale_factor={self.min_scale_factor}"
            )
        self._within("brightness_jitter", 1)
        self._within("contrast_jitter", 1)
        self._within("saturation_jitter", 1)
        self._within("hue_jitter", 0.5)
        self._within("rotation_degrees", 180)

    def _within(self, name: str, most: float) -> None:
        value = getattr(self, name)
        if not 0 <= value <= most:
            raise FlagError(f"--{name}={value}: between 0, for none, and {most}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DevicesConfig:
    """On what a step is computed, in which precision, and in how much memory."""

    strategy: Literal["auto", "one", "mirrored", "multi_worker", "tpu"] = flag(
        "Several hosts where TF_CONFIG or Slurm names them, else all GPUs of this one, "
        "else its CPU; the first device; all of this host; all hosts; a TPU.",
        "auto",
    )
    tpu: str = flag("Name or address of the TPU, for --strategy=tpu.", "local")
    cpu_replicas: int = flag(
        "Without a GPU, replicas on the CPU for --strategy=mirrored: to try out what "
        "several devices do.",
        1,
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = flag(
        "What layers compute in; weights, losses and logits are float32. float16 has "
        "its loss scaled.",
        "float32",
    )
    gradient_accumulation_steps: int = flag(
        "Compute a batch in so many parts, in so much less memory; batch norm sees a "
        "part at a time.",
        1,
    )
    remat: bool = flag(
        "Compute activations again in the backward pass rather than keep them: less "
        "memory, about a third more time.",
        False,
    )
    jit_compile: bool = flag(
        "Compile a step with XLA; for one GPU. A CPU becomes many times slower.", False
    )
    deterministic: bool = flag(
        "The same numbers at each run, from ops that are slower where they must.", False
    )

    def __post_init__(self) -> None:
        require_positive(self, "cpu_replicas", "gradient_accumulation_steps")
        if self.cpu_replicas > 1 and self.strategy not in ("mirrored", "auto"):
            raise FlagError(
                f"--cpu_replicas={self.cpu_replicas} is for --strategy=mirrored, not "
                f"{self.strategy}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """Logs, evaluations in between, and what they decide."""

    log_steps: int = flag("Steps between two lines of the log.", 10)
    save_summaries_secs: int = flag("Seconds between two image summaries.", 600)
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
    )
    eval_split: str = flag("Split for it.", "val")
    early_stopping_patience: int = flag(
        "Stop after so many evaluations without a better mIoU; 0: never.", 0
    )

    def __post_init__(self) -> None:
        require_positive(self, "log_steps")
        require_not_negative(self, "eval_interval_steps", "early_stopping_patience")
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """`train.py`."""

    train_logdir: str | None = flag("Folder of checkpoints and logs.", None)
    train_split: str = flag("Split to train on.", "train")
    train_batch_size: int = flag("Images a step, over all devices.", 8)
    tf_initial_checkpoint: str | None = flag(
        "Weights to start from, as for fine-tuning: zoo:NAME of the official model zoo "
        "(python -m deeplab_tf.checkpoints zoo), a TF1 or a native checkpoint, or an "
        ".h5 file of Keras Applications (VGG16, ResNet50, 101, 152, MobileNetV2).",
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
    save_interval_secs: int = flag("Seconds between two checkpoints.", 1200)
    save_interval_steps: int = flag(
        "Steps between two checkpoints, whatever the clock says; 0: by the clock.", 0
    )
    max_checkpoints_to_keep: int = flag("Older checkpoints are removed.", 5)
    check: bool = flag(
        "Take two steps in a folder of their own, look at all that could go wrong, "
        "estimate memory and time, and stop; nothing is kept.",
        False,
    )
    overfit_one_batch: bool = flag(
        "Train on one and the same batch without augmentation: a network that cannot "
        "learn it by heart has something wrong.",
        False,
    )
    seed: int = flag("Of initial values, order, augmentation and dropout.", 0)
    validate_labels: ValidateLabels = flag(
        "Read labels before starting: none, 200 of the split, or all.", "sample"
    )
    max_bad_records: int = flag(
        "If above 0: read all records before starting, name those that are damaged, "
        "leave them out, and stop if there are more than so many. At 0, the first one "
        "stops the run.",
        0,
    )
    cache_decoded_gb: float = flag(
        "Keep up to so many GB of decoded records in memory, so that they need not be "
        "decoded in each epoch; worth it where images are PNGs and memory is to spare.",
        0.0,
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
        require_given(self, "train_logdir")
        self.data.check(self.tfds.given)
        require_positive(self, "train_batch_size", "max_checkpoints_to_keep")
        require_not_negative(self, "seed", "max_bad_records", "cache_decoded_gb")
        require_not_negative(self, "save_interval_steps")
        if not 0 < self.drop_path_keep_prob <= 1:
            raise FlagError(
                f"--drop_path_keep_prob={self.drop_path_keep_prob}: a share, as 0.8"
            )
        refuse_quantization(self)

    @property
    def images_at_a_time(self) -> int:
        """From how many images, over all devices, batch norm takes its statistics."""
        return self.train_batch_size // self.devices.gradient_accumulation_steps
