"""A task in a process of its own: its peak of memory is no other one's."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from deeplab_tf.errors import InputError


def run_in_process(task: Callable, *args: Any) -> Any:
    """What the task returns, from a process that began for it.

    Raises:
        InputError: The process was killed, as where memory does not suffice.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        try:
            return pool.submit(task, *args).result()
        except BrokenProcessPool:
            raise InputError(
                f"the process of {task.__name__} was killed: memory did not suffice?"
            ) from None
