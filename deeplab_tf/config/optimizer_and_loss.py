"""Settings of optimizer and loss."""

import dataclasses
import math
import re
from typing import Any, Literal

from deeplab_tf.config.fields import (
    flag,
    require_given,
    require_not_negative,
    require_positive,
    text,
)
from deeplab_tf.errors import FlagError


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
        multiplier = re.compile(pattern), float(factor)
    except re.error as error:
        raise FlagError(
            f"--gradient_multipliers={given}: {pattern} is no regular expression "
            f"({error})"
        ) from None
    except ValueError:
        multiplier = None
    if not (pattern and multiplier and 0 <= multiplier[1] < math.inf):
        raise FlagError(
            f"--gradient_multipliers={given}: PATTERN=FACTOR is needed, as logits=10, "
            "the factor 0 or more"
        )
    return multiplier


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Steps, rates and what is updated how fast."""

    training_number_of_steps: int = flag("Steps to train.", 30000)
    optimizer: Literal["momentum", "sgd", "adam", "adamw"] = flag(
        "Update rule: momentum with the rate outside the velocity, as TensorFlow 1 has "
        "it; with the rate inside, as Caffe's SGD; Adam at its own, constant rate; or "
        "AdamW at the rate of the policy, whose weight decay is no part of the loss.",
        "momentum",
    )
    momentum: float = flag("Of the first two rules.", 0.9)
    adam_learning_rate: float = flag("Rate of Adam, constant.", 0.001)
    adam_epsilon: float = flag("Epsilon of Adam.", 1e-8)
    learning_policy: Literal["poly", "step", "fixed", "inv", "multistep", "cosine"] = (
        flag(
            "How the rate falls: by a power of the steps left; by a factor at an "
            "interval; not at all; as base * (1 + gamma * step) ** -power; by a factor "
            "at given steps; along half a cosine.",
            "poly",
        )
    )
    base_learning_rate: float = flag("Rate at the start.", 0.0001)
    learning_power: float = flag("Exponent of the policies poly and inv.", 0.9)
    end_learning_rate: float = flag(
        "Rate at the end of the policies poly and cosine.", 0.0
    )
    decay_steps: float = flag(
        "Steps of the policies poly and cosine; 0 for all after the slow start.", 0.0
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
    gradient_clip_norm: float = flag(
        "Greatest norm of the gradients of all weights together; 0: any.", 0.0
    )
    ema_decay: float = flag(
        "Keep a moving average of the weights, as 0.9999, with which the run is "
        "evaluated, drawn and exported; 0: none.",
        0.0,
    )
    gradient_multipliers: tuple[str, ...] = flag(
        "Further factors of gradients, PATTERN=FACTOR,...: of a weight in whose name, "
        "as logits/semantic/weights, the regular expression (without comma) is found; "
        "the first counts, and 0 keeps it as it is. Of AdamW, of the rate.",
        (),
    )

    def __post_init__(self) -> None:
        require_positive(self, "training_number_of_steps", "learning_rate_decay_step")
        require_positive(self, "learning_rate_steps")
        require_not_negative(self, "decay_steps", "slow_start_step", "weight_decay")
        require_not_negative(self, "learning_rate_gamma", "gradient_clip_norm")
        self._check_steps()
        _ = self.factors  # Raises where a multiplier cannot be understood.
        if not 0 <= self.momentum < 1:
            raise FlagError(f"--momentum={self.momentum}: between 0 and 1, as 0.9")
        if not 0 <= self.ema_decay < 1:
            raise FlagError(f"--ema_decay={self.ema_decay}: between 0 and 1, as 0.9999")
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


_LOSSES = ("cross_entropy", "focal", "dice", "lovasz")


def _term(given: str) -> tuple[str, float]:
    """`NAME` or `NAME=FACTOR` in two."""
    name, _, factor = given.partition("=")
    try:
        weight = float(factor or 1)
    except ValueError:
        weight = 0.0
    if name not in _LOSSES or not 0 < weight < math.inf:
        raise FlagError(
            f"--losses={given}: one of {', '.join(_LOSSES)} is needed, or NAME=FACTOR, "
            "the factor more than 0"
        )
    return name, weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Losses, class weights, label smoothing and hard example mining."""

    upsample_logits: bool = flag("Compare at label size, or at logits size.", True)
    loss_normalization: Literal["pixels", "images"] = flag(
        "Mean over the pixels that count, or FCN's sum over those of an image, which "
        "wants rates like 1e-10.",
        "pixels",
    )
    losses: tuple[str, ...] = flag(
        "Of cross_entropy, focal, dice and lovasz, those that are added up, each as "
        "NAME or NAME=FACTOR: cross_entropy,dice=0.5.",
        ("cross_entropy",),
    )
    label_smoothing: float = flag(
        "Share of a label that is spread over all classes, as 0.1.", 0.0
    )
    focal_gamma: float = flag("How much focal neglects what is easy.", 2.0)
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
        require_not_negative(self, "hard_example_mining_step", "auxiliary_loss_weight")
        require_not_negative(self, "focal_gamma")
        require_given(self, "losses")
        _ = self.terms  # Raises where one is unknown.
        if not 0 <= self.label_smoothing < 1:
            raise FlagError(
                f"--label_smoothing={self.label_smoothing}: a share, as 0.1"
            )
        self._check_use()
        if self.class_weights and self.label_weights:
            raise FlagError(
                f"--class_weights={self.class_weights} and --label_weights="
                f"{text(self.label_weights)}: one of them"
            )
        if not 0 < self.top_k_percent_pixels <= 1:
            raise FlagError(
                f"--top_k_percent_pixels={self.top_k_percent_pixels}: a share, as 0.25"
            )

    def _check_use(self) -> None:
        """Raises where a setting is of a loss that is not there."""
        names = {name for name, _ in self.terms}
        of_pixels = names & {"cross_entropy", "focal"}
        wanted = {
            "label_smoothing": self.label_smoothing and "cross_entropy" not in names,
            "label_weights": self.label_weights and not of_pixels,
            "class_weights": self.class_weights and not of_pixels,
            "top_k_percent_pixels": self.top_k_percent_pixels < 1 and not of_pixels,
        }
        for name in (name for name, unused in wanted.items() if unused):
            raise FlagError(
                f"--{name}={text(getattr(self, name))} is of cross_entropy"
                f"{'' if name == 'label_smoothing' else ' and focal'}, which "
                f"--losses={text(self.losses)} has not"
            )

    @property
    def terms(self) -> tuple[tuple[str, float], ...]:
        """Name and factor of each of the losses."""
        return tuple(map(_term, self.losses))
