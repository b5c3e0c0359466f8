"""Settings of what is seen of a run, and of what ends it early."""

import dataclasses

from deeplab_tf.config.fields import flag, not_negative, positive, text
from deeplab_tf.errors import FlagError


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
        positive(self, "log_steps")
        not_negative(self, "eval_interval_steps", "early_stopping_patience")
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
