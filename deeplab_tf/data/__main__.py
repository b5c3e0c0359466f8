"""Checks records: `python -m deeplab_tf.data check DIR`."""

import dataclasses
import sys

from deeplab_tf import cli
from deeplab_tf.config.fields import flag, require_given, require_not_negative


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Reads every record: `python -m deeplab_tf.data check DIR`.

    Tells what is wrong, a line each, and writes a page with shares of classes, sizes,
    and pictures of masks. Ends with 1 where something is wrong.
    """

    dataset_dir: str | None = flag("Folder of the records: DIR.", None)
    dataset: str | None = flag(
        "What their ids mean, where there is no dataset.json: as pascal_voc_seg.", None
    )
    page: str | None = flag("The page; by default check.html in DIR.", None)
    images: int = flag("How many of each split the page shows.", 24)

    def __post_init__(self) -> None:
        require_given(self, "dataset_dir")
        require_not_negative(self, "images")


def main() -> None:
    """`python -m deeplab_tf.data`."""
    cli.run(CheckConfig, run, argv=[sys.argv[0], *_named(sys.argv[1:])])


def run(config: CheckConfig) -> None:
    """Checks the records.

    Raises:
        InputError: Something is wrong with them, or there are none.
    """
    from deeplab_tf.dataset_report.run import (
        check,  # TensorFlow: `--help` does not need it.
    )

    check(
        str(config.dataset_dir),
        dataset=config.dataset,
        path=config.page,
        images=config.images,
    )


def _named(arguments: list[str]) -> list[str]:
    """`check DIR --flags` as flags alone."""
    if arguments[:1] != ["check"]:
        return arguments
    folder, flags = arguments[1:2], arguments[2:]
    if folder and not folder[0].startswith("-"):
        folder = [f"--dataset_dir={folder[0]}"]
    return folder + flags


if __name__ == "__main__":
    main()
