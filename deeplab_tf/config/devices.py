"""Settings of what computes a step, and how."""

import dataclasses
from typing import Literal

from deeplab_tf.config.fields import flag, positive
from deeplab_tf.errors import FlagError


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
        positive(self, "cpu_replicas", "gradient_accumulation_steps")
        if self.cpu_replicas > 1 and self.strategy not in ("mirrored", "auto"):
            raise FlagError(
                f"--cpu_replicas={self.cpu_replicas} is for --strategy=mirrored, not "
                f"{self.strategy}"
            )
