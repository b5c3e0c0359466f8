"""The peak of a card: a large product of bfloat16 matrices, and how it is timed."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def measure(framework: str, side: int, steps: int, count: int) -> float:
    """Operations a second of a product of square matrices of normal numbers.

    Of ones it is a tenth faster: fewer bits change.

    Args:
        framework: "jax", "torch" or "tensorflow".
        side: Of the matrices.
        steps: Timed together.
        count: Rounds, whose median counts.
    """
    run, wait = _PRODUCTS[framework](side)
    return 2 * side**3 / statistics.median(rounds(run, wait, steps, count))


def rounds(
    run: Callable[[], Any], wait: Callable[[Any], None], steps: int, count: int
) -> list[float]:
    """Seconds of a step, in each of so many rounds; once more before, to be warm."""
    wait(run())
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        for _ in range(steps):
            results = run()
        wait(results)
        seconds.append((time.perf_counter() - began) / steps)
    return seconds


def wait_for_tensor(tensor: Any) -> None:
    """Waits for a tensor of TensorFlow, of which a number is copied to the host."""
    import tensorflow as tf

    tf.reshape(tensor, [-1])[:1].numpy()


def _jax_product(side: int) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    import jax

    matrix = jax.random.normal(jax.random.key(0), (side, side), "bfloat16")
    product = jax.jit(lambda x: x @ x)
    return lambda: product(matrix), jax.block_until_ready


def _torch_product(side: int) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    return lambda: matrix @ matrix, lambda _: synchronize()


def _tensorflow_product(side: int) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal((side, side)), tf.bfloat16)
    return tf.function(
        lambda: tf.matmul(matrix, matrix), autograph=False
    ), wait_for_tensor


_PRODUCTS: dict[str, Callable[[int], Any]] = {
    "jax": _jax_product,
    "torch": _torch_product,
    "tensorflow": _tensorflow_product,
}
