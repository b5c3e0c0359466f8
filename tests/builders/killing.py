"""A process that starts builders and kills them; TensorFlow is imported but once.

It takes a line of JSON for each builder and answers with one. A builder is a forked
process in a group of its own: TensorFlow was imported, but never used.
"""

import json
import os
import signal
import sys
import time

from deeplab_tf.data import building
from tests.builders.drawn import SPEC, Drawn


def main():
    for line in sys.stdin:
        print(json.dumps(attempt(**json.loads(line))), flush=True)


def attempt(output, *, processes, kill_after, only_parent, **drawn):
    """Starts a builder; ends it after `kill_after` seconds, if that is not None."""
    builder = os.fork()
    if not builder:
        build(output, processes, drawn)
    begin, killed = time.monotonic(), False
    while True:
        seconds = time.monotonic() - begin
        if os.waitpid(builder, os.WNOHANG)[0]:
            break
        if not killed and kill_after is not None and seconds > kill_after:
            (os.kill if only_parent else os.killpg)(builder, signal.SIGKILL)
            killed = True
        time.sleep(0.002)
    wait_for_group(builder)
    return {"seconds": seconds, "killed": killed}


def build(output, processes, drawn):
    os.setsid()
    try:
        splits = {"train": Drawn(**drawn), "val": Drawn(**drawn | {"count": 3})}
        work = building.WorkConfig(processes=processes)
        building.build(splits, SPEC, output, shards=3, work=work)
    finally:
        os._exit(0)


def wait_for_group(group):
    """Returns once the workers of a builder are gone, too."""
    for _ in range(500):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise TimeoutError("workers outlive their builder")


if __name__ == "__main__":
    main()
