"""What converters print about themselves, left out unless it is needed."""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from deeplab_tf.errors import InputError

_LOGGERS = ("", "tensorflow", "tf2onnx", "nncf")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within it, nothing comes through the descriptors 1 and 2.

    After an error all of it does, unless that is told in one line.
    """
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    handlers = list(logging.root.handlers)  # Some converters set up a log of their own.
    with tempfile.TemporaryFile() as kept, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        sys.stdout.flush()
        sys.stderr.flush()
        before = os.dup(1), os.dup(2)
        for descriptor in (1, 2):
            os.dup2(kept.fileno(), descriptor)
        try:
            yield
        except InputError:
            raise
        except BaseException:
            kept.seek(0)
            os.write(before[1], kept.read())
            raise
        finally:
            for descriptor, place in zip((1, 2), before, strict=True):
                os.dup2(place, descriptor)
                os.close(place)
            logging.root.handlers[:] = handlers
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
