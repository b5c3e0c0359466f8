"""The fresh process in which an export is opened by its own runtime, and run.

A script: it imports nothing of deeplab_tf but the one file `runtime.py`, by its path.
Requests and answers are lines of JSON; arrays lie in files of a folder that both know.
"""

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def main(runtime: str, model: str, threads: int, folder: Path) -> None:
    """Opens the model, tells how long that took, and answers until there is no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What runtimes print is no answer.

    def answer(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    spec = importlib.util.spec_from_file_location("runtime", runtime)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["runtime"] = module
    spec.loader.exec_module(module)
    start = time.perf_counter()
    segmenter = module.Segmenter(model, threads=threads)
    answer(load_seconds=time.perf_counter() - start)
    for line in sys.stdin:
        request = json.loads(line)
        pixels = np.load(folder / "pixels.npy")
        if request["call"] == "run":
            outputs = segmenter.run(pixels)
            np.savez(folder / "outputs.npz", **outputs)
            answer(memory=peak_memory(), tensorflow="tensorflow" in sys.modules)
        elif request["call"] == "predict":
            classes = segmenter.predict(pixels, probabilities=False).classes
            np.savez(folder / "outputs.npz", classes=classes)
            answer()
        else:
            answer(seconds=_time(segmenter, pixels, request["patience"]))


def _time(segmenter: Any, pixels: np.ndarray, patience: float) -> list[float]:
    """Seconds of each run: 5 at least, 50 at most, and no new one after `patience`."""
    segmenter.run(pixels)
    seconds: list[float] = []
    while len(seconds) < 5 or (sum(seconds) < patience and len(seconds) < 50):
        start = time.perf_counter()
        segmenter.run(pixels)
        seconds.append(time.perf_counter() - start)
    return seconds


def peak_memory() -> int | None:
    """Bytes that this process has held at most; None where the system does not tell.

    `getrusage` would count what the process before it held.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    (line,) = (each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
