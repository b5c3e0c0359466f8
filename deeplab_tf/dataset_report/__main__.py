"""Checks records: `python -m deeplab_tf.dataset_report DIR`."""

import dataclasses
import sys

from deeplab_tf import cli, noise
from deeplab_tf.config.fields import NOT_NEGATIVE, check_ranges, flag, require_given


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Reads every record: `python -m deeplab_tf.data check DIR`.

    Tells what is wrong, a line each, and writes a page with shares of classes, sizes,
    and pictures of masks. Ends with 1 where something is wrong.
    """

    dataset_dir: str | None = flag("Folder of the records: DIR.", None, required=True)
    dataset: str | None = flag(
        "Data set that tells what the ids mean, where there is no dataset.json: as "
        "pascal_voc_seg.",
        None,
    )
    page: str | None = flag("File of the page; by default check.html in DIR.", None)
    images: int = flag(
        "How many images of each split the page shows.", 24, within=NOT_NEGATIVE
    )

    def __post_init__(self) -> None:
        require_given(self)
        check_ranges(self)


def main() -> None:
    """`python -m deeplab_tf.dataset_report DIR`."""
    cli.run(CheckConfig, run, argv=[sys.argv[0], *name_folder(sys.argv[1:])])


def run(config: CheckConfig) -> None:
    """Checks the records.

    Raises:
        InputError: Something is wrong with them, or there are none.
    """
    noise.load_tensorflow()
    # TensorFlow: `--help` does not need it.
    from deeplab_tf.dataset_report.run import check

    check(
        str(config.dataset_dir),
        dataset=config.dataset,
        path=config.page,
        images=config.images,
    )


def name_folder(arguments: list[str]) -> list[str]:
    """`DIR --flags` as flags alone."""
    if arguments and not arguments[0].startswith("-"):
        return [f"--dataset_dir={arguments[0]}", *arguments[1:]]
    return arguments


if __name__ == "__main__":
    main()
