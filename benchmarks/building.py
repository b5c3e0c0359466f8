"""Records of 500x375 photographs with palette masks, built by one and by two processes.

    python benchmarks/building.py --images=500,5000

Each build runs in a process of its own. Images per second depend on what else the
machine does; images per second of CPU time hardly do. Memory is the peak of the builder
and that of its largest worker.
"""

import dataclasses
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
from absl import logging
from PIL import Image

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from deeplab_tf import cli, dataset_builders
from deeplab_tf.config.fields import flag
from deeplab_tf.data import image_files
from deeplab_tf.data.specs import voc2012

_SIZE = 375, 500  # Height, width: most of VOC.
_DIFFERENT = 50  # Pairs that are drawn; others are links to them.


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times the building of records."""

    images: tuple[int, ...] = flag("Sizes of the data set.", (500, 5000))
    processes: tuple[int, ...] = flag("Processes.", (1, 2))
    shards: int = flag("Files.", 8)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs speed and memory for each size and number of processes."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = _draw(Path(folder), max(config.images))
        logging.info("%.0f kB an image", pairs[0].image.stat().st_size / 1000)
        for count in config.images:
            for processes in config.processes:
                _measure(pairs[:count], Path(folder), processes, config.shards)


def _measure(
    pairs: list[dataset_builders.Pair], folder: Path, processes: int, shards: int
) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    arguments = there, pairs, str(folder / "records"), processes, shards
    process = context.Process(target=_build, args=arguments)
    process.start()
    seconds, cpu, builder, worker = here.recv()
    process.join()
    shutil.rmtree(folder / "records")
    logging.info(
        "%d images, %d processes: %.0f s, %.0f images/s, %.0f images per second of "
        "CPU; %.0f MB in the builder, %.0f MB in a worker",
        len(pairs),
        processes,
        seconds,
        len(pairs) / seconds,
        len(pairs) / cpu,
        builder,
        worker,
    )


def _build(
    there: Connection,
    pairs: list[dataset_builders.Pair],
    output_dir: str,
    processes: int,
    shards: int,
) -> None:
    """Sends seconds, CPU seconds with those of workers, and peaks of memory in MB."""
    peaks: dict[int, float] = {}
    threading.Thread(target=_watch, args=(peaks,), daemon=True).start()
    began, before = time.perf_counter(), os.times()
    dataset_builders.build(
        {"train": dataset_builders.FileSource(pairs=pairs)},
        voc2012.SPEC,
        output_dir,
        shards=shards,
        parallel=dataset_builders.ParallelConfig(processes=processes),
    )
    seconds, after = time.perf_counter() - began, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    there.send((seconds, cpu, _peak(os.getpid()), max(peaks.values(), default=0.0)))


def _watch(peaks: dict[int, float]) -> None:
    """Keeps the peak of each process that this one starts."""
    while True:
        for task in Path("/proc/self/task").iterdir():
            for child in (task / "children").read_text().split():
                peaks[int(child)] = _peak(int(child)) or peaks.get(int(child), 0.0)
        time.sleep(0.1)


def _peak(process: int) -> float:
    """Largest resident memory of a process so far, in MB; 0 if it ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    match = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(match[1]) / 1000 if match else 0.0


def _draw(folder: Path, count: int) -> list[dataset_builders.Pair]:
    rng = np.random.default_rng(0)
    pairs: list[dataset_builders.Pair] = []
    for i in range(count):
        image, label = folder / f"{i:06d}.jpg", folder / f"{i:06d}.png"
        if i < _DIFFERENT:
            Image.fromarray(_photograph(rng)).save(image, quality=92)
            label.write_bytes(image_files.png(_mask(rng), voc2012.SPEC.palette))
        else:
            image.hardlink_to(folder / f"{i % _DIFFERENT:06d}.jpg")
            label.hardlink_to(folder / f"{i % _DIFFERENT:06d}.png")
        pairs.append(dataset_builders.Pair(name=f"{i:06d}", image=image, label=label))
    return pairs


def _photograph(rng: np.random.Generator) -> np.ndarray:
    coarse = _smooth(rng, 6, 3) + 0.4 * _smooth(rng, 60, 3)
    return np.clip(70 * coarse + rng.normal(128, 6, coarse.shape), 0, 255).astype(
        np.uint8
    )


def _mask(rng: np.random.Generator) -> np.ndarray:
    """Three objects on a ground, with borders that do not count."""
    fields = _smooth(rng, 5, 4)
    order = np.sort(fields, axis=-1)
    label = rng.permutation(21)[:4].astype(np.uint8)[fields.argmax(-1)]
    label[order[..., -1] - order[..., -2] < 0.03] = 255
    return label


def _smooth(rng: np.random.Generator, cells: int, channels: int) -> np.ndarray:
    coarse = rng.normal(0, 1, (cells, cells, channels)).astype(np.float32)
    return cv2.resize(coarse, _SIZE[::-1], interpolation=cv2.INTER_CUBIC)


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
