"""Compares evaluations: `python -m deeplab_tf.evaluation compare EVAL_A EVAL_B`."""

import dataclasses
import sys
from pathlib import Path

from absl import logging

from deeplab_tf import cli
from deeplab_tf.config.fields import NOT_NEGATIVE, POSITIVE, check_ranges, flag
from deeplab_tf.errors import FlagError

TABLE, PAGE = "compare.csv", "compare.html"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Compares evaluations: `python -m deeplab_tf.evaluation compare A B ...`.

    A, B, ... are folders that eval.py wrote (--eval_logdir), or folders of runs in
    which one such folder lies. All are compared with the first, over the images that
    both have: the mIoU, each class and each image, with 95 % intervals and p by a
    paired bootstrap over images, and the settings that differ.
    """

    evaluations: tuple[str, ...] = flag(
        "Folders of the evaluations: A B ...", (), required=True
    )
    output_dir: str | None = flag(
        "Folder of compare.html and compare.csv; by default that of the second "
        "evaluation.",
        None,
        common=True,
    )
    pictures: tuple[str, ...] = flag(
        "Folders of vis.py's pictures, one of each evaluation in their order: the page "
        "shows what changed.",
        (),
        common=True,
    )
    images: int = flag(
        "How many images that got better, and worse, the page shows.",
        12,
        within=NOT_NEGATIVE,
        common=True,
    )
    resamples: int = flag(
        "Resamples of the bootstrap; p is 2 / (resamples + 1) or more.",
        1000,
        within=POSITIVE,
        common=True,
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if len(self.evaluations) < 2:
            raise FlagError(
                "two evaluations or more are needed: python -m deeplab_tf.evaluation "
                "compare A B"
            )
        if self.pictures and len(self.pictures) != len(self.evaluations):
            raise FlagError(
                f"--pictures: {len(self.pictures)} folders for {len(self.evaluations)} "
                "evaluations; one of each is needed"
            )


def main() -> None:
    """`python -m deeplab_tf.evaluation`."""
    cli.run(CompareConfig, run, argv=[sys.argv[0], *name_folders(sys.argv[1:])])


def name_folders(arguments: list[str]) -> list[str]:
    """`compare A B --flags` as flags alone."""
    if arguments[:1] == ["compare"]:
        arguments = arguments[1:]
    count = next(
        (i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments)
    )
    folders = [f"--evaluations={word}" for word in arguments[:count]]
    return [*folders, *arguments[count:]]


def run(config: CompareConfig) -> None:
    """Compares, prints the tables, and writes the page and the table.

    Raises:
        InputError: An evaluation cannot be read, or not be compared.
    """
    # NumPy: `--help` does not need it.
    from deeplab_tf.evaluation.comparing import html, texts
    from deeplab_tf.evaluation.comparing.compare import compare
    from deeplab_tf.evaluation.comparing.stored import open_evaluation
    from deeplab_tf.files import check_writable, write_whole

    first, *others = map(open_evaluation, config.evaluations)
    folder = Path(config.output_dir or others[0].folder)
    check_writable("output_dir", str(folder))
    comparisons = [compare(first, each, count=config.resamples) for each in others]
    for comparison in comparisons:
        for line in texts.warnings(comparison):
            logging.warning("%s", line)
    page = html.render(comparisons, pictures=config.pictures, images=config.images)
    sys.stdout.writelines(f"{line}\n" for line in texts.lines(comparisons))
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / TABLE, texts.to_csv(comparisons))
    write_whole(folder / PAGE, page)
    logging.info("Wrote %s and %s", folder / PAGE, TABLE)


if __name__ == "__main__":
    main()
