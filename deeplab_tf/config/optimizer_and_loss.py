"""Settings of optimizer and loss."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from deeplab_tf.config.effects import by_table, where
from deeplab_tf.config.fields import (
    NOT_NEGATIVE,
    POSITIVE,
    Range,
    check_ranges,
    flag,
    require_given,
    text,
)
from deeplab_tf.errors import FlagError, one_of


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


# Settings that each policy reads, and each update rule.
POLICIES: Mapping[str, tuple[str, ...]] = {
    "poly": ("learning_power", "end_learning_rate", "decay_steps"),
    "step": ("learning_rate_decay_factor", "learning_rate_decay_step"),
    "fixed": (),
    "inv": ("learning_power", "learning_rate_gamma"),
    "multistep": ("learning_rate_decay_factor", "learning_rate_steps"),
    "cosine": ("end_learning_rate", "decay_steps"),
}
_RATE = (
    *("learning_policy", "base_learning_rate"),
    *("slow_start_step", "slow_start_learning_rate"),
    *dict.fromkeys(name for names in POLICIES.values() for name in names),
)
OPTIMIZERS: Mapping[str, tuple[str, ...]] = {
    "momentum": ("momentum", *_RATE),
    "sgd": ("momentum", *_RATE),
    "adam": ("adam_learning_rate", "adam_epsilon"),
    "adamw": ("adam_epsilon", *_RATE),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Steps, rates and what is updated how fast."""

    topic: ClassVar = "Optimizer and learning rate"
    rules: ClassVar = (
        by_table("optimizer", OPTIMIZERS),
        by_table("learning_policy", POLICIES),
        where("slow_start_step", "slow_start_learning_rate"),
    )
    training_number_of_steps: int = flag(
        "Steps to train.", 30000, within=POSITIVE, common=True
    )
    optimizer: Literal["momentum", "sgd", "adam", "adamw"] = flag(
        "Update rule: momentum with the rate outside the velocity, as TensorFlow 1 has "
        "it; sgd, with the rate inside, as Caffe has it; Adam at its own, constant "
        "rate; or AdamW at the rate of the policy, whose weight decay is no part of "
        "the loss.",
        "momentum",
        common=True,
    )
    momentum: float = flag(
        "Momentum of the optimizers momentum and sgd.",
        0.9,
        within=Range(minimum=0, below=1, words="between 0 and 1, as 0.9"),
    )
    adam_learning_rate: float = flag(
        "Learning rate of --optimizer=adam, constant.", 0.001, within=NOT_NEGATIVE
    )
    adam_epsilon: float = flag(
        "Epsilon of the optimizers adam and adamw.", 1e-8, within=POSITIVE
    )
    learning_policy: Literal["poly", "step", "fixed", "inv", "multistep", "cosine"] = (
        flag(
            "How the learning rate falls: by a power of the steps left (poly); by a "
            "factor at an interval (step) or at given steps (multistep); not at all "
            "(fixed); as base * (1 + gamma * step) ** -power (inv); along half a "
            "cosine.",
            "poly",
            common=True,
        )
    )
    base_learning_rate: float = flag(
        "Learning rate at the start.", 0.0001, within=NOT_NEGATIVE, common=True
    )
    learning_power: float = flag(
        "Exponent of the policies poly and inv.", 0.9, within=NOT_NEGATIVE
    )
    end_learning_rate: float = flag(
        "Learning rate at the end of the policies poly and cosine.",
        0.0,
        within=NOT_NEGATIVE,
    )
    decay_steps: float = flag(
        "Steps of the policies poly and cosine; 0 for all after the slow start.",
        0.0,
        within=NOT_NEGATIVE,
    )
    learning_rate_decay_factor: float = flag(
        "Factor of the policies step and multistep.", 0.1, within=NOT_NEGATIVE
    )
    learning_rate_decay_step: int = flag(
        "Interval of the step policy, in steps.", 2000, within=POSITIVE
    )
    learning_rate_steps: tuple[int, ...] = flag(
        "Steps of the multistep policy, after the slow start, as 20000,40000.",
        (),
        within=POSITIVE,
    )
    learning_rate_gamma: float = flag(
        "Gamma of the inv policy.", 0.0001, within=NOT_NEGATIVE
    )
    slow_start_step: int = flag(
        "Steps at --slow_start_learning_rate, before the policy begins.",
        0,
        within=NOT_NEGATIVE,
    )
    slow_start_learning_rate: float = flag(
        "Learning rate of the slow start.", 0.0001, within=NOT_NEGATIVE
    )
    weight_decay: float = flag(
        "L2 weight decay of convolutions; 1e-4 for ResNet.",
        0.00004,
        within=NOT_NEGATIVE,
        common=True,
    )
    last_layer_gradient_multiplier: float = flag(
        "Factor of the gradients of the last layers; biases get twice as much.",
        1.0,
        within=NOT_NEGATIVE,
    )
    last_layers_contain_logits_only: bool = flag(
        "The last layers are the logits alone, not ASPP and decoder too.", False
    )
    gradient_clip_norm: float = flag(
        "Gradient clipping: greatest norm of the gradients of all weights together; 0: "
        "any.",
        0.0,
        within=NOT_NEGATIVE,
    )
    ema_decay: float = flag(
        "Keep a moving average (EMA) of the weights, as 0.9999, with which the run is "
        "evaluated, drawn and exported; 0: none.",
        0.0,
        within=Range(minimum=0, below=1, words="between 0 and 1, as 0.9999"),
    )
    gradient_multipliers: tuple[str, ...] = flag(
        "Further factors of gradients, PATTERN=FACTOR,...: of a weight in whose name, "
        "as logits/semantic/weights, the regular expression (without comma) is found; "
        "the first counts, and 0 keeps it as it is. Of AdamW, of the rate.",
        (),
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        self._check_steps()
        _ = self.factors  # Raises where a multiplier cannot be understood.
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


_OF_PIXELS = (
    *("label_weights", "class_weights", "loss_normalization"),
    *("top_k_percent_pixels", "hard_example_mining_step"),
)
# Settings that each loss reads.
LOSSES: Mapping[str, tuple[str, ...]] = {
    "cross_entropy": ("label_smoothing", *_OF_PIXELS),
    "focal": ("focal_gamma", *_OF_PIXELS),
    "dice": (),
    "lovasz": (),
}


def _term(given: str) -> tuple[str, float]:
    """`NAME` or `NAME=FACTOR` in two."""
    name, _, factor = given.partition("=")
    try:
        weight = float(factor or 1)
    except ValueError:
        weight = 0.0
    if name not in LOSSES or not 0 < weight < math.inf:
        raise FlagError(
            f"--losses={given}: {one_of(name, LOSSES)}, or NAME=FACTOR, the factor "
            "more than 0"
        )
    return name, weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Losses, class weights, label smoothing and hard example mining."""

    topic: ClassVar = "Loss"
    rules: ClassVar = (
        by_table("loss_names", LOSSES, shown="losses"),
        where(
            "top_k_percent_pixels",
            "hard_example_mining_step",
            when=lambda share: share < 1,
            company="with --top_k_percent_pixels below 1",
        ),
    )
    upsample_logits: bool = flag(
        "Compare logits and labels at the size of the labels; or at that of the "
        "logits.",
        True,
    )
    loss_normalization: Literal["pixels", "images"] = flag(
        "Mean over the pixels that count, or FCN's sum over those of an image, which "
        "wants rates like 1e-10.",
        "pixels",
    )
    losses: tuple[str, ...] = flag(
        "Losses that are added up, of cross_entropy, focal, dice and lovasz, each as "
        "NAME or NAME=FACTOR: cross_entropy,dice=0.5.",
        ("cross_entropy",),
        common=True,
    )
    label_smoothing: float = flag(
        "Share of a label that is spread over all classes, as 0.1.",
        0.0,
        within=Range(minimum=0, below=1, words="a share, as 0.1"),
    )
    focal_gamma: float = flag(
        "How much the focal loss neglects what is easy.", 2.0, within=NOT_NEGATIVE
    )
    label_weights: tuple[float, ...] = flag(
        "Weight of each class in the loss, or one of all.", (), within=NOT_NEGATIVE
    )
    class_weights: str = flag(
        "Class weights against class imbalance, by how often the classes occur in the "
        "records: median_frequency or inverse_log; or a file of them, one a line, with "
        "or without a name before it.",
        "",
        common=True,
    )
    top_k_percent_pixels: float = flag(
        "Hard example mining: share of the hardest pixels that count.",
        1.0,
        within=Range(above=0, maximum=1, words="a share, as 0.25"),
    )
    hard_example_mining_step: int = flag(
        "Step at which the share of --top_k_percent_pixels is reached.",
        0,
        within=NOT_NEGATIVE,
    )
    auxiliary_loss_weight: float = flag(
        "What the loss of auxiliary logits counts, beside 1 of the last; of PSPNet.",
        0.4,
        within=NOT_NEGATIVE,
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        require_given(self, "losses")
        _ = self.terms  # Raises where one is unknown.
        self._check_use()
        if self.class_weights and self.label_weights:
            raise FlagError(
                f"--class_weights={self.class_weights} and --label_weights="
                f"{text(self.label_weights)}: one of them"
            )

    def _check_use(self) -> None:
        """Raises where a setting is of a loss that is not there."""
        used = {
            "label_smoothing": self.label_smoothing,
            "label_weights": self.label_weights,
            "class_weights": self.class_weights,
            "top_k_percent_pixels": self.top_k_percent_pixels < 1,
        }
        for name in (name for name, is_used in used.items() if is_used):
            readers = [loss for loss, reads in LOSSES.items() if name in reads]
            if not set(readers) & set(self.loss_names):
                raise FlagError(
                    f"--{name}={text(getattr(self, name))} is of "
                    f"{' and '.join(readers)}, which --losses={text(self.losses)} has "
                    "not"
                )

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Names of the losses."""
        return tuple(name for name, _ in self.terms)

    @property
    def terms(self) -> tuple[tuple[str, float], ...]:
        """Name and factor of each of the losses."""
        return tuple(map(_term, self.losses))
