"""What a command does beside its work: its environment, its log, and its end."""

import contextlib
import logging as standard_logging
import numbers
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any


def tell_interrupt(kind: type[BaseException], *error: Any) -> None:
    """As `sys.excepthook`, but for Ctrl-C while a command's modules are loaded."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("ERROR: interrupted\n")
    else:
        sys.__excepthook__(kind, *error)


sys.excepthook = tell_interrupt  # Before what follows, since that takes a while.

from absl import logging  # noqa: E402

from deeplab_tf import compat, console, flags  # noqa: E402
from deeplab_tf.errors import InputError, is_out_of_memory, printable  # noqa: E402

INTERRUPTED = 130  # The exit code after Ctrl-C.
_FULL = "No space left on device"


def run(
    record: type[flags.Record],
    command: Callable[[flags.Record], None],
    *,
    retired: flags.Retired | None = None,
    argv: Sequence[str] | None = None,
) -> None:
    """Runs a command on `argv`, or `sys.argv`; exits with the code of `exit_code_of`.

    Args:
        record: Of the command's flags.
        command: Called with the record of the flags given.
        retired: See `flags.parse`.
        argv: The command line, program first.
    """
    arguments = argv or sys.argv
    code = exit_code_of(
        lambda: command(flags.parse(record, arguments, retired=retired))
    )
    if code == INTERRUPTED:
        _end_at_once_next_time()
    if code:
        sys.exit(code)


def exit_code_of(command: Callable[[], None]) -> int:
    """Calls a command in a command's environment; a user's mistake is told in one line.

    Returns:
        0, or 2 for a command line that cannot be meant, 1 for bad input, 130 when
        interrupted.
    """
    _set_environment()
    with _console_log():
        try:
            command()
        except InputError as error:
            return print_error(*error.args, exit_code=error.exit_code)
        except KeyboardInterrupt:
            return print_error("interrupted", exit_code=INTERRUPTED)
        except Exception as error:
            line = _shortage(error)
            if line is None:
                raise
            return print_error(line)
    return 0


def _shortage(error: Exception) -> str | None:
    """What is short, or may not be read or written; None for any other error."""
    first = next(iter(str(error).strip().splitlines()), "")
    first = re.sub(r"^\{\{.*?\}\} ", "", first)  # Which node of a graph it was.
    name = type(error).__name__
    if _FULL in str(error):  # Of a library, whichever error it makes of that.
        place = getattr(error, "filename", None)
        return f"{place or first}: {_FULL}" if place else f"the disk is full: {first}"
    if isinstance(error, OSError):  # A folder that cannot be written, as a rule.
        what = error.strerror or first or name
        return f"{error.filename}: {what}" if error.filename else what
    if is_out_of_memory(error):
        return f"out of memory ({first or name}); smaller batches or crops need less"
    return None


def _end_at_once_next_time() -> None:
    """Another Ctrl-C, while processes and threads end, ends this one without a word."""
    with contextlib.suppress(ValueError):  # In a thread, where there are no signals.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def print_error(*lines: object, exit_code: int = 1) -> int:
    """Writes the line that ends a command, and what follows; returns its exit code."""
    told = "\n".join(map(printable, lines))
    console.Lines().write(f"ERROR: {told}\n")
    return exit_code


def _set_environment() -> None:
    """For TensorFlow and Keras, which are not loaded yet; what is set already wins."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors alone.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # No folder: neither read nor written is ~/.keras/keras.json, which may say
    # channels_first or float16, in which no network of ours is built.
    os.environ.setdefault("KERAS_HOME", os.devnull)
    # What starts a GPU's kernels has threads of its own, apart from those of the data.
    os.environ.setdefault("TF_GPU_THREAD_MODE", "gpu_private")
    compat.allow_memory_growth()


@contextlib.contextmanager
def _console_log() -> Iterator[None]:
    """The log of a command, a line a message; afterwards, logging is as it was."""
    handler, verbosity = logging.get_absl_handler(), logging.get_verbosity()
    formatter, root = handler.python_handler.formatter, standard_logging.root
    stream = handler.python_handler.stream
    is_new = handler not in root.handlers
    handler.setFormatter(LineFormatter())
    handler.python_handler.setStream(console.Lines())
    handler.addFilter(_is_worth_telling)
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        handler.removeFilter(_is_worth_telling)
        handler.setFormatter(formatter)
        handler.python_handler.setStream(stream)
        if is_new:
            root.removeHandler(handler)


def _is_worth_telling(record: standard_logging.LogRecord) -> bool:
    """Of other packages, warnings alone: TensorFlow tells of its shards, too."""
    ours = "deeplab_tf" in record.pathname or "site-packages" not in record.pathname
    return ours or record.levelno >= standard_logging.WARNING


class LineFormatter(standard_logging.Formatter):
    """A message, with its level where it is a warning.

    Lines are those of the message's pattern; what is put into it, as the name of a
    file, makes none.
    """

    def format(self, record: standard_logging.LogRecord) -> str:
        pattern, given = str(record.msg), record.args
        if isinstance(given, tuple) and given:
            pattern %= tuple(map(_in_a_line, given))
        elif given:
            pattern = record.getMessage()
        message = "\n".join(map(printable, pattern.split("\n")))
        warns = record.levelno >= standard_logging.WARNING
        return f"{record.levelname}: {message}" if warns else message


def _in_a_line(given: object) -> object:
    """An argument of a message: a number as it is, all else as a line shows it."""
    return given if isinstance(given, numbers.Number) else _Shown(given)


class _Shown:
    """Text that `%s` and `%r` show in one line."""

    def __init__(self, given: object) -> None:
        self._given = given

    def __str__(self) -> str:
        return printable(self._given)

    def __repr__(self) -> str:
        return printable(repr(self._given))
