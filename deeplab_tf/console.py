"""The console of a command: lines that keep clear of bars."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm


def bar(iterable: Iterable[Any] | None = None, **settings: Any) -> tqdm:
    """A progress bar at a terminal, as wide as that; elsewhere, it shows nothing.

    Args:
        iterable: What it counts, if it is not updated by hand.
        **settings: Of tqdm.
    """
    hidden = settings.pop("disable", False) or not shows_bars()
    return tqdm(iterable, disable=hidden, dynamic_ncols=True, **settings)


def shows_bars() -> bool:
    """Whether standard error is a terminal, and one of some width and height.

    A terminal that does not know its size says 0, and would show an empty bar.
    """
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # No terminal; a file in memory.
        return False
    return size.columns > 0 and size.lines > 0


class Lines:
    """Standard error, as it is at the time, as a stream that keeps clear of bars."""

    def write(self, text: str) -> None:
        """Writes whole lines where the bars stand, and these anew below."""
        with tqdm.external_write_mode(file=sys.stderr):
            sys.stderr.write(text)

    def flush(self) -> None:
        """Hands on what is buffered."""
        sys.stderr.flush()


def command_line(command: str, **flags: Any) -> str:
    """Another command, called as this one was: a line to be copied into a shell.

    Args:
        command: "train", "eval", "vis" or "export".
        **flags: Those that are None are left out.
    """
    called = Path(sys.argv[0])
    script = called.with_name(f"{command}.py")
    is_script = called.suffix == ".py" and script.is_file()
    words = [_python(), str(script)] if is_script else [f"deeplab-{command}"]
    words += [f"--{name}={value}" for name, value in flags.items() if value is not None]
    return shlex.join(words)


def _python() -> str:
    """This interpreter, as short as it can be called from here."""
    for name in ("python", "python3"):
        if shutil.which(name) == sys.executable:
            return name
    path = Path(sys.executable)
    return str(
        path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    )
