"""What a command does beside its work: its log, and its end."""

import logging as standard_logging
import sys
from collections.abc import Callable, Sequence

from absl import logging

from deeplab_tf import flags
from deeplab_tf.errors import InputError


def run(
    record: type[flags.Record],
    command: Callable[[flags.Record], None],
    *,
    retired: flags.Retired | None = None,
    argv: Sequence[str] | None = None,
) -> None:
    """Runs a command on `argv`, or `sys.argv`; a user's mistake ends it with one line.

    Exits with 2 for a command line that cannot be meant, with 1 for bad input, with 130
    when interrupted.
    """
    logging.get_absl_handler().setFormatter(_Line())
    logging.get_absl_handler().addFilter(_is_worth_telling)
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    try:
        command(flags.parse(record, argv or sys.argv, retired=retired))
    except InputError as error:
        sys.exit(_told(str(error), error.exit_code))
    except OSError as error:  # A folder that cannot be written, a full disk.
        sys.exit(_told(f"{error.filename or ''}: {error.strerror or error}", 1))
    except KeyboardInterrupt:
        sys.exit(_told("interrupted", 130))
    except Exception as error:
        # TensorFlow's, by name: it is loaded by commands, not by `--help`.
        if type(error).__name__ != "ResourceExhaustedError":
            raise
        first = str(error).strip().splitlines()[0]
        sys.exit(
            _told(
                f"out of memory, or of disk ({first}); smaller batches or crops need "
                "less",
                1,
            )
        )


def _told(message: str, exit_code: int) -> int:
    sys.stderr.write(f"ERROR: {message}\n")
    return exit_code


def _is_worth_telling(record: standard_logging.LogRecord) -> bool:
    """Of other packages, warnings alone: TensorFlow tells of its shards, too."""
    ours = "deeplab_tf" in record.pathname or "site-packages" not in record.pathname
    return ours or record.levelno >= standard_logging.WARNING


class _Line(standard_logging.Formatter):
    """A message, with its level where it is a warning."""

    def format(self, record: standard_logging.LogRecord) -> str:
        message = record.getMessage()
        warns = record.levelno >= standard_logging.WARNING
        return f"{record.levelname}: {message}" if warns else message
