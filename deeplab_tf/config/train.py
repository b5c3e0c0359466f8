"""Settings of train.py."""

import dataclasses

from deeplab_tf.config.augmenting import AugmentConfig
from deeplab_tf.config.data import (
    CompatibilityConfig,
    DataConfig,
    ResizeConfig,
    TfdsConfig,
    ValidateLabels,
)
from deeplab_tf.config.devices import DevicesConfig
from deeplab_tf.config.fields import flag, not_negative, positive, required
from deeplab_tf.config.model import ModelConfig
from deeplab_tf.config.optimizer_and_loss import (
    LossConfig,
    OptimizerConfig,
    refuse_quantization,
)
from deeplab_tf.config.watching import WatchConfig
from deeplab_tf.errors import FlagError


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
        required(self, "train_logdir")
        self.data.check(self.tfds.given)
        positive(self, "train_batch_size", "max_checkpoints_to_keep")
        not_negative(self, "seed", "max_bad_records", "cache_decoded_gb")
        not_negative(self, "save_interval_steps")
        if not 0 < self.drop_path_keep_prob <= 1:
            raise FlagError(
                f"--drop_path_keep_prob={self.drop_path_keep_prob}: a share, as 0.8"
            )
        refuse_quantization(self)

    @property
    def images_at_a_time(self) -> int:
        """From how many images, over all devices, batch norm takes its statistics."""
        return self.train_batch_size // self.devices.gradient_accumulation_steps
