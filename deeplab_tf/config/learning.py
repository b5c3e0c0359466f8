"""Settings of train.py."""

import dataclasses
import math
import re
from typing import Any, Literal

from deeplab_tf.config.augmenting import AugmentConfig
from deeplab_tf.config.network import ModelConfig
from deeplab_tf.config.records import (
    CompatibilityConfig,
    DataConfig,
    ResizeConfig,
    TfdsConfig,
    ValidateLabels,
)
from deeplab_tf.errors import FlagError
from deeplab_tf.settings import flag, not_negative, positive, required, text


def refuse_quantization(record: Any) -> None:
    """Raises where a record asks for quantized training."""
    if record.quantize_delay_step >= 0:
        raise FlagError(
            f"--quantize_delay_step={record.quantize_delay_step}: training does not "
            "quantize; leave it at -1"
        )


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

    def __post_init__(self) -> None:
        required(self, "train_logdir")
        self.data.check(self.tfds.given)
        positive(self, "train_batch_size", "log_steps", "max_checkpoints_to_keep")
        not_negative(self, "seed", "max_bad_records", "cache_decoded_gb")
        if not 0 < self.drop_path_keep_prob <= 1:
            raise FlagError(
                f"--drop_path_keep_prob={self.drop_path_keep_prob}: a share, as 0.8"
            )
        refuse_quantization(self)
