"""The command of a run to which things happen."""

import dataclasses
from pathlib import Path

from tests import processes

STEPS = 12
INTERVAL = 3  # Steps between two checkpoints.
_FLAGS = (
    *("--train_batch_size=2", "--train_crop_size=33", "--depth_multiplier=0.25"),
    *("--aspp_convs_filters=16", "--decoder_filters=16", "--decoder_output_stride=4"),
    *("--log_steps=1", f"--training_number_of_steps={STEPS}", "--deterministic"),
    *(f"--save_interval_steps={INTERVAL}", "--base_learning_rate=0.01"),
    *("--ema_decay=0.9", "--gradient_clip_norm=5", "--eval_interval_steps=6"),
)


@dataclasses.dataclass(frozen=True)
class Command:
    """It is given again after each disturbance.

    Attributes:
        records: Folder of the data set.
        folder: Of the run.
        workers: Processes that train together.
    """

    records: Path
    folder: Path
    workers: int = 1

    def start(self) -> processes.Processes:
        """Starts all workers."""
        places = (f"--dataset_dir={self.records}", f"--train_logdir={self.folder}")
        return processes.train(*_FLAGS, *places, workers=self.workers)
