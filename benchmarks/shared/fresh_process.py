"""A task in a process of its own: its peak of memory is no other one's."""

import multiprocessing
from collections.abc import Callable
from typing import Any


def run_in_process(task: Callable, *args: Any) -> Any:
    """What the task returns, from a process that began for it."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, args)
