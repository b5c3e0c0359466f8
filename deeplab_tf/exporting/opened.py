"""Exports, read again: in a fresh process by their runtime, or here by TensorFlow."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import deeplab_tf
from deeplab_tf.errors import InputError
from deeplab_tf.exporting.agreement import classes_of

Outputs = Mapping[str, np.ndarray]
_PATIENCE = 5.0  # Seconds of measuring one latency.


class Opened(Protocol):
    """An export that was read again.

    Attributes:
        load_seconds: How long that took.
        is_fresh: Whether it was in a fresh process.
        has_tensorflow: Whether TensorFlow was loaded there.
        memory: Peak of that process in bytes, if that is known.
    """

    load_seconds: float
    is_fresh: bool
    has_tensorflow: bool
    memory: int | None

    def run(self, pixels: np.ndarray) -> Outputs:
        """Its outputs for images uint8 `[N, H, W, 3]`, by name."""

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Class ids `[H, W]` of a picture of any size, as a client gets them."""

    def time(self, pixels: np.ndarray) -> list[float]:
        """Seconds of each of some runs."""


class Here:
    """An export of TensorFlow, in this process; see `Opened`.

    Args:
        load: Gives the function: images -> outputs.
    """

    is_fresh, has_tensorflow = False, True

    def __init__(self, load: Callable[[], Callable[[np.ndarray], Any]]) -> None:
        self.memory: int | None = None
        start = time.perf_counter()
        self._function = load()
        self.load_seconds = time.perf_counter() - start

    def run(self, pixels: np.ndarray) -> Outputs:
        """See `Opened`."""
        outputs = self._function(pixels)
        return {name: np.asarray(each) for name, each in outputs.items()}

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """See `Opened`."""
        return classes_of(self.run(pixels[np.newaxis]))

    def time(self, pixels: np.ndarray) -> list[float]:
        """See `Opened`."""
        seconds = []
        self.run(pixels)
        for _ in range(5):
            start = time.perf_counter()
            self.run(pixels)
            seconds.append(time.perf_counter() - start)
        return seconds


class Fresh:
    """An export in a process of its own, by `deeplab_tf/runtime.py`; see `Opened`.

    Args:
        process: Of `worker.py`.
        folder: That both know.
        log: What it writes to its standard error.
    """

    is_fresh = True

    def __init__(self, process: subprocess.Popen[str], folder: Path, log: Path) -> None:
        self._process, self._folder, self._log = process, folder, log
        self.memory: int | None = None
        self.has_tensorflow = False
        self.load_seconds = float(self._answer()["load_seconds"])

    def run(self, pixels: np.ndarray) -> Outputs:
        """See `Opened`."""
        answer = self._ask("run", pixels)
        self.memory, self.has_tensorflow = answer["memory"], answer["tensorflow"]
        return self._outputs()

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """See `Opened`."""
        self._ask("predict", pixels)
        return self._outputs()["classes"]

    def time(self, pixels: np.ndarray) -> list[float]:
        """See `Opened`."""
        return self._ask("time", pixels, patience=_PATIENCE)["seconds"]

    def _outputs(self) -> dict[str, np.ndarray]:
        with np.load(self._folder / "outputs.npz") as file:
            return dict(file)

    def _ask(self, call: str, pixels: np.ndarray, **facts: Any) -> dict[str, Any]:
        np.save(self._folder / "pixels.npy", pixels)
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"call": call, **facts}) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            said = self._log.read_text(errors="replace").strip().splitlines()
            reason = said[-1] if said else f"it ended with {code}"
            raise InputError(
                f"the export cannot be run by its own runtime: {reason}; nothing was "
                "written"
            )
        return json.loads(line)


@contextlib.contextmanager
def fresh(model: Path, threads: int) -> Iterator[Fresh]:
    """Opens an export in a process of its own.

    Args:
        model: File or folder, with its description.
        threads: Of the runtime.

    Raises:
        InputError: The runtime cannot open it.
    """
    place = Path(deeplab_tf.__file__).parent
    with tempfile.TemporaryDirectory(prefix="deeplab-export-") as made:
        folder, log = Path(made), Path(made, "log")
        command = [
            *(sys.executable, "-P", str(place / "exporting" / "worker.py")),
            *(str(place / "runtime.py"), str(model), str(threads), str(folder)),
        ]
        with log.open("w") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            yield Fresh(process, folder, log)
        finally:
            process.kill()
            process.communicate()


def count_threads() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
