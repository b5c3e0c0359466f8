"""What a check of a run has found, and how it is told."""

import contextlib
import logging as standard_logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from absl import logging

from deeplab_tf.errors import InputError

T = TypeVar("T")


class Findings:
    """What is wrong, what would be better, and what is as it should be."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.advice: list[str] = []
        self.facts: list[str] = []

    def collected(self, call: Callable[..., T], *arguments: Any) -> T | None:
        """What the call returns; None where it finds a mistake, which is kept."""
        try:
            return call(*arguments)
        except InputError as error:
            self.add(str(error))
        return None

    def add(self, finding: str | None) -> None:
        """Keeps what is wrong, once."""
        if finding and finding not in self.wrong:
            self.wrong.append(finding)

    @contextlib.contextmanager
    def of_warnings(self) -> Iterator[None]:
        """Keeps the warnings of what is done within it as advice."""

        def keep(record: standard_logging.LogRecord) -> bool:
            warns = record.levelno == standard_logging.WARNING
            if warns and record.getMessage() not in self.advice:
                self.advice.append(record.getMessage())
            return not warns

        logger = logging.get_absl_logger()
        logger.addFilter(keep)
        try:
            yield
        finally:
            logger.removeFilter(keep)

    def tell(self) -> None:
        """Tells all, a line for each.

        Raises:
            InputError: Something is wrong.
        """
        logging.info("--check of this run, of which nothing is kept:")
        for fact in self.facts:
            logging.info("  %s", fact)
        for advised in self.advice:
            logging.info("  Advice: %s", advised)
        for wrong in self.wrong:
            logging.info("  Wrong: %s", wrong)
        if count := len(self.wrong):
            raise InputError(
                f"--check: {count} thing{'s are' if count > 1 else ' is'} wrong; see "
                "above"
            )
        logging.info("--check: nothing is wrong; without it, the run begins")
