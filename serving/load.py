"""Throughput and latency of a server that speaks the KServe v2 protocol.

    python serving/load.py --url=http://127.0.0.1:8000/v2/models/segmentation

Needs NumPy and Pillow. Some threads send one request after another, for some seconds.
"""

import argparse
import sys
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).with_name("kserve")))
import client  # Of the folder above.


def measure(url: str, pixels: np.ndarray, *, threads: int, seconds: float) -> list:
    """Seconds that each request took, of so many threads at a time."""
    taken: list[float] = []
    end = time.perf_counter() + seconds

    def send() -> None:
        while (began := time.perf_counter()) < end:
            client.infer(url, pixels)
            taken.append(time.perf_counter() - began)

    senders = [threading.Thread(target=send) for _ in range(threads)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return taken


def main() -> None:
    """Prints images per second and latencies, by requests at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000/v2/models/segmentation")
    parser.add_argument("--size", default="513,513", help="height,width")
    parser.add_argument("--batch", type=int, default=1, help="images a request")
    parser.add_argument("--threads", default="1,2,4", help="requests at a time")
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    height, width = map(int, given.size.split(","))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (given.batch, height, width, 3)).astype(np.uint8)
    client.infer(given.url, pixels)  # Warm.
    for threads in map(int, given.threads.split(",")):
        began = time.perf_counter()
        taken = measure(given.url, pixels, threads=threads, seconds=given.seconds)
        rate = len(taken) * given.batch / (time.perf_counter() - began)
        p50, p95 = np.percentile(taken, [50, 95])
        print(
            f"{threads} at a time: {rate:.1f} images per second, "
            f"p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms"
        )


if __name__ == "__main__":
    main()
