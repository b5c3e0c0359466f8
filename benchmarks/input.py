"""Training crops per second of CPU: windows alone, against whole images.

    python benchmarks/input.py [--json=FILE]

Both read the same synthetic records in this process, in turn, on one thread; quote the
ratios. What they give is compared, too: `plain` is the official order of things, and
what the tests take as the truth.
"""

import dataclasses
import functools
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from deeplab_tf import cli, resize
from deeplab_tf.config import AugmentConfig, ResizeConfig
from deeplab_tf.config.fields import flag
from deeplab_tf.data import (
    decode,
    decode_cache,
    image_files,
    pipeline,
    tfrecord,
    transforms,
)
from deeplab_tf.data.decode import Sample
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.data.records import Shards

SIZES = {"jpeg": (375, 500), "png": (1024, 2048)}
Crop = Callable[..., Sample]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Crops of 513 at scales 0.5, 0.75, ..., 2, of VOC's and of Cityscapes' sizes."""

    records: int = flag("Of each kind.", 20)
    rounds: int = flag("Passes over the records, of each way.", 5)
    compared: int = flag("Crops that are compared, of each kind.", 100)
    json: str | None = flag(
        "File for the crops a CPU second: size -> way -> number.", None
    )


def plain(
    number: tf.Tensor,
    sample: Sample,
    *,
    source: InputData,
    config: AugmentConfig,
    seed: int,
) -> Sample:
    """As `pipeline.training_crop`, of the whole image: scaled, padded, cropped."""
    image, label, _ = source.to_network(sample, crop_size=(1, 1), multiple=1)
    seeds = tf.random.split(tf.stack([tf.cast(seed, tf.int64), number]), 3)
    scale = transforms.random_scale(
        config.min_scale_factor,
        config.max_scale_factor,
        config.scale_factor_step_size,
        seeds[0],
    )
    size = transforms.scaled_size(tf.shape(image)[:2], scale)
    images, label = resize.bilinear(image[tf.newaxis], size), label[tf.newaxis]
    label = resize.nearest(label, size)[0]
    images, size = transforms.to_network(
        images,
        resize=ResizeConfig(),
        crop_size=config.train_crop_size,
        multiple=1,
        mean_pixel=source.mean_pixel,
    )
    image = images[0]
    label = transforms.label_to_network(
        label, size, tf.shape(image)[:2], ignore_label=source.ignore_label
    )
    both = tf.concat([image, tf.cast(label, image.dtype)], axis=-1)
    crop_size = (*config.train_crop_size, 4)
    both = tf.image.stateless_random_crop(both, crop_size, seeds[1])
    flip = tf.random.stateless_uniform((), seeds[2]) < 0.5
    both = tf.where(flip, both[:, ::-1], both)
    label = tf.cast(both[..., 3:], label.dtype)
    return {"image": both[..., :3], "label": label, "name": sample["name"]}


def benchmark(config: BenchmarkConfig) -> None:
    """Logs crops per CPU second of each way, ratios, and how far crops differ."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rates: dict[str, dict[str, float]] = {}
    for image_format, (height, width) in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            source = _source(Path(folder), image_format, config.records)
            logging.info("%d x %d, %s", height, width, image_format)
            differences = _compare(source, config.compared)
            measured = _measure(source, config)
            rates[f"{width}x{height}"] = measured | differences
    if config.json:
        Path(config.json).write_text(json.dumps(rates, indent=1) + "\n")


def _measure(source: InputData, config: BenchmarkConfig) -> dict[str, float]:
    """Crops a CPU second of each way."""
    cache = decode_cache.make_cache(source.records, 1.0)
    cached = dataclasses.replace(source, decode=cache)
    ways = {
        "plain": _passes(source, plain),
        "windows": _passes(source, pipeline.training_crop),
        "cached": _passes(cached, pipeline.training_crop),
        "decoding": _passes(source, _decode_all),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for crops in ways.values():
        _take(crops, config.records)  # Traces, and fills the cache.
    for _ in range(config.rounds):
        for name, crops in ways.items():  # The same scales and windows in a round.
            seconds[name].append(_take(crops, config.records))
    # Other programs on the machine slow some rounds down.
    rates = {n: config.records / float(np.median(s)) for n, s in seconds.items()}
    for name, rate in rates.items():
        ratio = rate / rates["plain"]
        logging.info("%-9s %6.1f crops per CPU second, ratio %.2f", name, rate, ratio)
    return rates


def _passes(source: InputData, crop: Crop) -> Iterator[Sample]:
    crop = functools.partial(crop, source=source, config=AugmentConfig(), seed=0)
    options = tf.data.Options()
    # Nothing is made ahead, in the time of another way.
    options.autotune.enabled = False
    options.experimental_optimization.inject_prefetch = False
    options.experimental_optimization.map_parallelization = False
    crops = source.records.in_order().repeat().enumerate().map(crop)
    return iter(crops.with_options(options))


def _take(crops: Iterator[Sample], count: int) -> float:
    began = time.process_time()
    for _ in itertools.islice(crops, count):
        pass
    return time.process_time() - began


def _decode_all(number: tf.Tensor, sample: Sample, **_: object) -> Sample:
    """What no way can do without, unless it remembers."""
    image, ids = decode.decode_record(sample)
    return {"number": number, "image": image, "label": ids}


def _compare(source: InputData, count: int) -> dict[str, float]:
    """How far the crops of `plain` and of the pipeline differ."""
    pairs = zip(
        _passes(source, plain), _passes(source, pipeline.training_crop), strict=True
    )
    pixels, labels = 0.0, 0
    for expected, actual in itertools.islice(pairs, count):
        difference = np.abs(expected["image"].numpy() - actual["image"].numpy())
        pixels = max(pixels, float(difference.max()))
        labels += int((expected["label"].numpy() != actual["label"].numpy()).sum())
    logging.info(
        "%d crops: pixels differ by at most %.5f of 255, %d labels differ",
        count,
        pixels,
        labels,
    )
    return {"pixels_differ_by": pixels, "labels_differ": labels}


def _source(folder: Path, image_format: str, count: int) -> InputData:
    rng = np.random.default_rng(0)
    records = (_record(rng, image_format, f"image_{i}") for i in range(count))
    tfrecord.write_shards(records, folder, "train", per_shard=[count])
    return InputData(
        records=Shards(paths=tfrecord.find_shards(str(folder), "train")),
        ignore_label=255,
        mean_pixel=(127.5, 127.5, 127.5),
        resize=ResizeConfig(),
    )


def _record(rng: np.random.Generator, image_format: str, name: str) -> tfrecord.Record:
    """Textures on all scales, as a photograph has them, and areas of classes."""
    height, width = SIZES[image_format]
    image = np.zeros((height, width, 3), np.float32)
    for exponent in range(8):
        coarse = [side // 2**exponent + 2 for side in (height, width)]
        noise = rng.normal(0, 2 ** (0.8 * exponent), (*coarse, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(110 + 55 * (image - image.mean()) / image.std(), 0, 255)
    areas = rng.integers(0, 19, (height // 30, width // 30)).astype(np.uint8)
    label = cv2.resize(areas, (width, height), interpolation=cv2.INTER_NEAREST)
    pixels = image.astype(np.uint8)
    jpeg = image_format == "jpeg"
    return tfrecord.Record(
        name=name,
        image=tf.io.encode_jpeg(pixels, quality=95).numpy()
        if jpeg
        else image_files.png(pixels),
        image_format=image_format,
        size=(height, width),
        label=image_files.png(label),
    )


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
