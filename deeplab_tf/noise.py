"""TensorFlow's known lines of noise, left out while a command loads it.

Run as a script, this file is the process that reads what goes to the descriptor 2
meanwhile: known lines it keeps, all else it passes on at once. If the command dies, it
writes what it kept as well, whatever killed the command.
"""

import contextlib
import importlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

# What TensorFlow 2.21 says at its import, some of it at any TF_CPP_MIN_LOG_LEVEL: which
# log this is, how it computes on this CPU, and that there is no GPU.
_KNOWN = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called are written "
    rb"to STDERR"
    rb"|.*\bport\.cc:\d+\] oneDNN custom operations are on\. .*"
    rb"|.*\bcpu_feature_guard\.cc:\d+\] This TensorFlow binary is optimized .*"
    rb"|To enable the following instructions: .* rebuild TensorFlow with the .*"
    rb"|I.*\bcudart_stub\.cc:\d+\] Could not find cuda drivers on your machine, .*"
)
_DROP, _REPLAY = b"\0drop\n", b"\0replay\n"  # Signs for the end, after the last line.
_lock = threading.Lock()


def load_tensorflow() -> None:
    """Imports TensorFlow; its known lines are shown if `TF_CPP_MIN_LOG_LEVEL` is 0."""
    with _lock:
        if "tensorflow" in sys.modules or os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
            return
        with drop_known_lines():
            importlib.import_module("tensorflow")


@contextlib.contextmanager
def drop_known_lines() -> Iterator[None]:
    """Within it, known lines do not come through the descriptor 2.

    Afterwards it is what it was, and all else that came was passed on; after an error,
    all that came.
    """
    try:
        reader = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is not for it.
        )
    except OSError:  # No further process: noise is no reason to stop.
        yield
        return
    assert reader.stdin
    before = os.dup(2)
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    sign = _REPLAY
    try:
        yield
        sign = _DROP
    finally:
        with contextlib.suppress(OSError):
            os.write(2, sign)
        os.dup2(before, 2)
        os.close(before)
        reader.wait()


def pass_on(source: BinaryIO, target: BinaryIO) -> None:
    """Copies lines but known ones; these, too, where no sign says to drop them."""
    kept = []
    for line in source:
        rest = line.removesuffix(_DROP).removesuffix(_REPLAY)
        if _KNOWN.fullmatch(rest.rstrip()):
            kept.append(rest)
        else:
            target.write(rest)
        if line.endswith(_DROP):
            return
        if rest != line:
            break
    target.write(b"".join(kept))


if __name__ == "__main__":
    pass_on(sys.stdin.buffer, os.fdopen(2, "wb", 0))
