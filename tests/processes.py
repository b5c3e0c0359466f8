"""Training processes, alone or several workers, that are watched and stopped."""

import contextlib
import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from tests.recorded import ROOT

# Seconds without a sign of life; a worker waits ten minutes for those that never come.
_PATIENCE = 900.0


def train(*flags: str, workers: int = 1) -> "Processes":
    """Starts `train.py` with these flags, or several workers that train together."""
    return Processes(
        [
            subprocess.Popen(
                [sys.executable, "train.py", *flags],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"} | cluster,
            )
            for cluster in _clusters(workers)
        ]
    )


class Processes:
    """Running workers; the first one's log tells the step."""

    def __init__(self, workers: list[subprocess.Popen]) -> None:
        self.workers = workers
        self.log: list[str] = []
        self.step = 0
        self._lines: queue.Queue[str | None] = queue.Queue()
        for number, worker in enumerate(workers):
            threading.Thread(target=self._read, args=(number, worker)).start()

    def _read(self, number: int, worker: subprocess.Popen) -> None:
        assert worker.stderr
        with worker.stderr:
            for line in worker.stderr:
                self.log.append(line.rstrip())
                if number == 0:
                    self._lines.put(line)
        if number == 0:
            self._lines.put(None)

    def lines(self) -> Iterator[str]:
        """Yields lines of the first worker until it ends; then none, however often."""
        while (line := self._lines.get(timeout=_PATIENCE)) is not None:
            if found := re.match(r"step (\d+)/", line):
                self.step = int(found[1])
            yield line
        self._lines.put(None)

    def wait_for_step(self, step: int) -> bool:
        """Whether the run came to a step; it may have ended before."""
        return self.step >= step or any(self.step >= step for _ in self.lines())

    def wait(self, seconds: float) -> None:
        """Lets time go by, or the first worker end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.workers[0].wait(seconds)

    def end(self) -> list[int]:
        """Waits until all workers ended; their exit codes."""
        deadline = time.monotonic() + _PATIENCE
        codes = [
            worker.wait(max(1.0, deadline - time.monotonic()))
            for worker in self.workers
        ]
        for _ in self.lines():
            pass
        return codes

    def text(self) -> str:
        """All that they said."""
        return "\n".join(self.log)


def _clusters(workers: int) -> list[dict[str, str]]:
    """Environment of each worker."""
    if workers == 1:
        return [{}]
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for place in places:
            place.bind(("localhost", 0))
        hosts = [f"localhost:{place.getsockname()[1]}" for place in places]
    return [
        {
            "TF_CONFIG": json.dumps(
                {
                    "cluster": {"worker": hosts},
                    "task": {"type": "worker", "index": index},
                }
            )
        }
        for index in range(workers)
    ]
