"""Parallel building: the settings that all builders have, and how it may end."""

import dataclasses
from typing import ClassVar

from deeplab_tf.config.fields import POSITIVE, check_ranges, flag
from deeplab_tf.errors import FlagError, InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """Processes, or an Apache Beam pipeline."""

    topic: ClassVar = "Processes"
    processes: int | None = flag(
        "Processes to build in; by default one a core, as far as they gain time.",
        None,
        within=POSITIVE,
    )
    beam_runner: str | None = flag(
        "Build by Apache Beam, with this runner: DirectRunner, FlinkRunner, ...", None
    )
    beam_options: tuple[str, ...] = flag(
        "Options of the Beam pipeline of --beam_runner, as --flink_master=host:8081.",
        (),
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.beam_options and not self.beam_runner:
            raise FlagError("--beam_options needs --beam_runner")


class WorkerLost(InputError):
    """A worker process or a pipeline died; the same command goes on where it was."""
