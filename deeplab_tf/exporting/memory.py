"""Memory that is free, given back to the system between the steps of an export."""

import contextlib
import ctypes
import gc
import sys


def release() -> None:
    """Frees what nobody holds any more.

    Graphs hold their weights as constants, and copies of them come and go by the
    hundred megabytes; glibc keeps those that are smaller than 32 MB for later.
    """
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError, OSError):  # Another C library.
            ctypes.CDLL(None).malloc_trim(0)
