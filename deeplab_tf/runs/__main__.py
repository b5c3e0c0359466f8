"""Lists the runs below a folder: `python -m deeplab_tf.runs FOLDER`."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Literal

from deeplab_tf import cli
from deeplab_tf.config.fields import flag, require_given
from deeplab_tf.errors import InputError
from deeplab_tf.runs import table
from deeplab_tf.runs.listing import find_runs, sort_runs


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunsConfig:
    """Lists training runs: `python -m deeplab_tf.runs FOLDER`.

    Of each: whether it runs, is finished, was stopped or crashed (its process left its
    lock behind), as far as its files say; steps taken, of all; the best mIoU; the time
    of its steps; the size of its folder; and the settings in which the runs differ.
    """

    folder: str | None = flag("Folder of the runs: FOLDER.", None, required=True)
    sort: Literal["name", "miou", "steps", "time"] = flag(
        "By name, or the best, the farthest or the latest first.", "name", common=True
    )
    json: bool = flag("Print JSON alone: a list of objects.", False, common=True)

    def __post_init__(self) -> None:
        require_given(self)


def main() -> None:
    """`python -m deeplab_tf.runs FOLDER`."""
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        arguments[0] = f"--folder={arguments[0]}"
    cli.run(RunsConfig, run, argv=[sys.argv[0], *arguments])


def run(config: RunsConfig) -> None:
    """Prints the runs.

    Raises:
        InputError: There is no such folder, or no run in it.
    """
    folder = Path(config.folder or "")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    runs = sort_runs(find_runs(folder), config.sort)
    if not runs:
        raise InputError(
            f"{folder}: no run in it, nor below: none has a config.json of train.py, a "
            "metrics.jsonl or checkpoints"
        )
    if config.json:
        sys.stdout.write(json.dumps(table.facts(runs), indent=1) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in table.lines(runs))


if __name__ == "__main__":
    main()
