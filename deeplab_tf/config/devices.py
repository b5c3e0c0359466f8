"""Settings of the devices that train: which, in which precision, in how much memory."""

import dataclasses
from typing import ClassVar, Literal

from deeplab_tf.config.effects import where
from deeplab_tf.config.fields import POSITIVE, check_ranges, flag
from deeplab_tf.errors import FlagError

Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DevicesConfig:
    """On what a step is computed, in which precision, and in how much memory."""

    topic: ClassVar = "Devices, precision and memory"
    rules: ClassVar = (
        where(
            "strategy",
            "tpu",
            when=lambda name: name == "tpu",
            company="with --strategy=tpu",
        ),
        where(
            "strategy",
            "sync_batch_norm",
            when=lambda name: name != "one",
            company="with several devices",
        ),
    )
    strategy: Literal["auto", "one", "mirrored", "multi_worker", "tpu"] = flag(
        "Devices to train on. auto: several hosts where TF_CONFIG or Slurm names them, "
        "else all GPUs of this one, else its CPU; one: the first device; mirrored: all "
        "of this host; multi_worker: all hosts; tpu: a TPU, which was never tried.",
        "auto",
        common=True,
    )
    tpu: str = flag("Name or address of the TPU, for --strategy=tpu.", "local")
    cpu_replicas: int = flag(
        "Without a GPU, replicas on the CPU for --strategy=mirrored: to try out what "
        "several devices do.",
        1,
        within=POSITIVE,
    )
    precision: Precision = flag(
        "What layers compute in; weights, losses and logits are float32. float16 has "
        "its loss scaled.",
        "float32",
        common=True,
    )
    gradient_accumulation_steps: int = flag(
        "Compute a batch in so many parts, in so much less memory; batch norm sees a "
        "part at a time.",
        1,
        within=POSITIVE,
    )
    sync_batch_norm: bool = flag(
        "On several devices, normalize by the whole batch; false: each device by its "
        "own images, as the official clones, which is faster; take 12 images a device "
        "or more.",
        True,
    )
    remat: bool = flag(
        "Compute activations again in the backward pass rather than keep them: less "
        "memory, about a third more time.",
        False,
    )
    jit_compile: bool = flag(
        "Compile a step with XLA; for GPUs. A CPU becomes many times slower.", False
    )
    deterministic: bool = flag(
        "Compute the same numbers at each run, by ops that are slower where they must "
        "be.",
        False,
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.cpu_replicas > 1 and self.strategy not in ("mirrored", "auto"):
            raise FlagError(
                f"--cpu_replicas={self.cpu_replicas} is for --strategy=mirrored, not "
                f"{self.strategy}"
            )
