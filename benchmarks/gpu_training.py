"""Training on GPUs: this project's loop by precision, XLA, devices and batch norm.

    python benchmarks/gpu_training.py

`Trainer.run` takes steps on a batch that stays on the devices, then on crops of JPEG
records as a training reads them, beside `model.fit` of the same graph and loss. Each
row is a process with a time limit and prints a line of JSON as it ends, and then there
is the table of docs/gpu.md. In a quarter of an hour, or what --minutes says.
Without a GPU, --size=65 --batch_size=2 tries the code out; --cpu_replicas=2 the rows of
several devices, too.
"""

import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.shared import processes
from deeplab_tf import cli
from deeplab_tf.config.fields import POSITIVE, flag
from deeplab_tf.errors import InputError

NETWORKS: dict[str, dict[str, Any]] = {
    "xception_65": {"decoder_output_stride": (4,)},
    "resnet_v1_101_beta": {"decoder_output_stride": (4,)},
    "mobilenet_v2": {"decoder_output_stride": (4,)},
}
_TO_TRY = 129  # Sides of images up to which no GPU is needed.
_IMAGES = 32  # Of the records, which are read again and again.


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Times training steps of DeepLab v3+ on GPUs."""

    networks: tuple[str, ...] = flag("Feature extractors.", tuple(NETWORKS)[::2])
    precisions: tuple[str, ...] = flag(
        "Each without and with XLA.", ("mixed_bfloat16", "float32", "mixed_float16")
    )
    size: int = flag("Sides of the crops.", 513, within=POSITIVE)
    batch_size: int = flag("Images a device.", 16, within=POSITIVE)
    steps: int = flag("Timed together, up to 100.", 20, within=POSITIVE)
    rounds: int = flag("Of them, whose median counts.", 3, within=POSITIVE)
    cpu_replicas: int = flag("Without a GPU, devices.", 1, within=POSITIVE)
    limit_seconds: int = flag("Of a process.", 240, within=POSITIVE)
    minutes: float = flag("Of all.", 14.0, within=POSITIVE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """A row: what is measured in one process.

    Attributes:
        network: Of `NETWORKS`.
        precision: As the flag has it.
        jit_compile: Whether XLA compiles the step.
        devices: "one" or "all".
        sync_batch_norm: Of several devices.
        data: "resident", "records" or "model.fit".
        size: Sides of the crops.
        batch_size: Images a device.
        steps: Timed together.
        rounds: Of them.
        cpu_replicas: Devices out of a CPU.
    """

    network: str
    precision: str
    jit_compile: bool = False
    devices: str = "one"
    sync_batch_norm: bool = True
    data: str = "resident"
    size: int
    batch_size: int
    steps: int
    rounds: int
    cpu_replicas: int = 1


class Resident:
    """Batches that are one and the same, and stay on the devices.

    Args:
        strategy: Whose devices.
        images: Of a device, `[N, H, W, 3]`.
        labels: `[N, H, W]`.
    """

    def __init__(self, strategy: Any, images: np.ndarray, labels: np.ndarray) -> None:
        import tensorflow as tf

        batch = {
            "image": images.astype(np.float32),
            "label": labels[..., np.newaxis].astype(np.int32),
            "number": np.arange(len(images), dtype=np.int64),
        }
        self._batch = {
            name: strategy.experimental_distribute_values_from_function(
                lambda _, value=value: tf.constant(value)
            )
            for name, value in batch.items()
        }
        if strategy.num_replicas_in_sync == 1:
            self._batch = {
                name: strategy.experimental_local_results(value)[0]
                for name, value in self._batch.items()
            }

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        return self._batch


def settings(model: dict[str, Any], *, dataset_dir: str = "none", **given: Any) -> Any:
    """Settings of a training.

    Args:
        model: Of the network.
        dataset_dir: Folder of records.
        **given: `size`, `batch_size` of all devices, and those of `DevicesConfig`.
    """
    from deeplab_tf.config import (
        AugmentConfig,
        DataConfig,
        DevicesConfig,
        ModelConfig,
        OptimizerConfig,
        TrainConfig,
    )

    size, batch_size = given.pop("size"), given.pop("batch_size")
    return TrainConfig(
        train_logdir="none",
        train_batch_size=batch_size,
        validate_labels="off",
        model=ModelConfig(**model),
        data=DataConfig(dataset_dir=dataset_dir),
        augment=AugmentConfig(train_crop_size=(size, size)),
        optimizer=OptimizerConfig(base_learning_rate=1e-4),
        devices=DevicesConfig(**given),
    )


def make_trainer(
    model: dict[str, Any], *, strategy: Any = None, spec: Any = None, **given: Any
) -> Any:
    """A trainer of this project, of 21 classes; see `settings`."""
    import tensorflow as tf

    from deeplab_tf.data.specs import voc2012
    from deeplab_tf.training import setup

    config = settings(model, **given)
    strategy = strategy or tf.distribute.get_strategy()
    return setup.make_trainer(config, spec or voc2012.SPEC, config.loss, strategy)


def benchmark(config: BenchmarkConfig) -> None:
    """Prints a line of JSON for each row, and a table.

    Raises:
        InputError: There is no GPU.
    """
    cards = processes.gpus()
    if not cards and config.size > _TO_TRY:
        raise InputError(
            "no GPU, nvidia-smi lists none: --size=65 --batch_size=2 tries the code out"
        )
    clock = processes.Clock(60 * config.minutes)
    several = len(cards) > 1 or config.cpu_replicas > 1
    rows = [
        processes.run(
            "benchmarks.gpu_training", item, limit=config.limit_seconds, clock=clock
        )
        for item in _items(config, several=several)
    ]
    card = cards[0] if cards else "no GPU: these numbers say nothing"
    sys.stdout.write(_table(rows, card))


def _items(config: BenchmarkConfig, *, several: bool) -> Iterator[Item]:
    """All rows, those first that say most."""
    for network in config.networks:

        def item(network: str = network, **given: Any) -> Item:
            return Item(
                network=network,
                size=config.size,
                batch_size=config.batch_size,
                steps=config.steps,
                rounds=config.rounds,
                **given,
            )

        first, *others = config.precisions
        yield item(precision=first)
        yield item(precision=first, data="model.fit")
        yield item(precision=first, data="records")
        yield item(precision=first, jit_compile=True)
        if several:
            everywhere: dict[str, Any] = {
                "devices": "all",
                "cpu_replicas": config.cpu_replicas,
            }
            for synchronizes in (True, False):
                yield item(precision=first, sync_batch_norm=synchronizes, **everywhere)
            if config.cpu_replicas == 1:
                yield item(precision=first, jit_compile=True, **everywhere)
        for precision in others:
            yield item(precision=precision)
            yield item(precision=precision, jit_compile=True)


def _table(rows: Sequence[dict[str, Any]], card: str) -> str:
    """Markdown, as docs/gpu.md has it."""
    lines = [
        f"\n{card}\n",
        "| network | precision | XLA | devices | batch norm | data | images/s | "
        "waiting | GB | first step |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        replicas = row.get("replicas", row["devices"])
        cells = [
            row["network"],
            row["precision"],
            "yes" if row.get("jit_compile") else "no",
            str(replicas),
            "synchronized" if row.get("sync_batch_norm") else "local",
            row["data"],
        ]
        if row["devices"] == "one":
            cells[4] = "-"
        if "images_s" in row:
            cells += [
                f"{row['images_s']:.1f}",
                f"{row['waiting']:.0%}",
                f"{row['gb']:.1f}",
                f"{row['first_step_s']:.0f} s",
            ]
        else:
            cells += [row["error"], "", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def measure(item: Item) -> dict[str, float]:
    """Images a second of all devices, and what else a row has."""
    import tensorflow as tf

    from deeplab_tf.config import DevicesConfig
    from deeplab_tf.training.distribution.strategy import make_strategy

    strategy = make_strategy(
        DevicesConfig(
            strategy="auto" if item.devices == "all" else "one",
            cpu_replicas=item.cpu_replicas,
        )
    )
    replicas = strategy.num_replicas_in_sync
    with tempfile.TemporaryDirectory() as folder:
        run, waits = _runs(item, strategy, Path(folder))
        began = time.perf_counter()
        run(1)
        first = time.perf_counter() - began
        run(item.steps)
        waits.clear()
        seconds = []
        for _ in range(item.rounds):
            began = time.perf_counter()
            run(item.steps)
            seconds.append(time.perf_counter() - began)
    on_gpus = bool(tf.config.list_physical_devices("GPU"))
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] if on_gpus else 0
    images = item.steps * item.batch_size * replicas
    return {
        "replicas": replicas,
        "images_s": images / statistics.median(seconds),
        "best_images_s": images / min(seconds),
        "waiting": sum(waits) / sum(seconds),
        "gb": peak / 1e9,
        "first_step_s": first,
    }


def _runs(
    item: Item, strategy: Any, folder: Path
) -> tuple[Callable[[int], Any], list[float]]:
    """What takes so many steps, and where it notes how long it waited for data."""
    waits: list[float] = []
    given = {
        "size": item.size,
        "batch_size": item.batch_size * strategy.num_replicas_in_sync,
        "precision": item.precision,
        "jit_compile": item.jit_compile,
    }
    if item.devices == "all":
        given |= {
            "sync_batch_norm": item.sync_batch_norm,
            "cpu_replicas": item.cpu_replicas,
        }
    model = NETWORKS[item.network] | {"model_variant": item.network}
    if item.data == "model.fit":
        return _fit(make_trainer(model, **given).model, item), waits
    if item.data == "records":
        trainer, batches = _on_records(model, given, item, strategy, folder)
    else:
        trainer = make_trainer(model, strategy=strategy, **given)
        batches = Resident(strategy, *_noise(item.batch_size, item.size, item.size))

    def run(count: int) -> None:
        waits.extend(trainer.run(batches, count)["data_wait"])

    return run, waits


def _noise(count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, height, width, 3), np.uint8)
    return images, rng.integers(0, 6, (count, height, width), np.uint8)


def _on_records(
    model: dict[str, Any],
    given: dict[str, Any],
    item: Item,
    strategy: Any,
    folder: Path,
) -> tuple[Any, Any]:
    """A trainer, and batches of records of VOC's sizes, as a training reads them."""
    import cv2

    from deeplab_tf import dataset_builders
    from deeplab_tf.data.specs import shapes
    from deeplab_tf.training import setup

    for kind in ("images", "labels", "records"):
        (folder / kind).mkdir()
    # Blurred, or a JPEG of noise would be many times as long as one of a photograph.
    for i, (image, label) in enumerate(zip(*_noise(_IMAGES, 375, 500), strict=True)):
        image = cv2.GaussianBlur(image, (0, 0), 2)
        label = cv2.resize(label[::50, ::50], (500, 375), interpolation=0)
        cv2.imwrite(str(folder / "images" / f"{i}.jpg"), image)
        cv2.imwrite(str(folder / "labels" / f"{i}.png"), label)
    pairs = dataset_builders.pairs_by_stem(folder / "images", folder / "labels")
    dataset_builders.build(
        {"train": dataset_builders.FileSource(pairs=pairs)},
        shapes.SPEC,
        str(folder / "records"),
    )
    config = settings(model, dataset_dir=str(folder / "records"), **given)
    spec, source, _ = setup.open_data(config, folder)
    trainer = setup.make_trainer(config, spec, config.loss, strategy)
    batches = setup.distribute_batches(config, source, strategy, item.batch_size)
    return trainer, iter(batches)


def _fit(graph: Any, item: Item) -> Callable[[int], Any]:
    """`model.fit` of the same graph, loss at label size and rule of update."""
    import keras
    import tensorflow as tf

    from deeplab_tf.models.layers.resize import ResizeLike
    from deeplab_tf.training.distribution.strategy import prefetch_to_device

    logits = ResizeLike(dtype="float32")([graph.output, graph.input])
    model = keras.Model(graph.input, logits)
    model.compile(
        keras.optimizers.SGD(1e-4, momentum=0.9, weight_decay=4e-5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        jit_compile=item.jit_compile,
    )
    images, labels = _noise(item.batch_size, item.size, item.size)
    data = tf.data.Dataset.from_tensors(
        (images.astype(np.float32), labels[..., np.newaxis].astype(np.int32))
    ).repeat()
    data = prefetch_to_device(data, tf.distribute.get_strategy())
    return lambda count: model.fit(
        data, steps_per_epoch=count, verbose=0, shuffle=False
    )


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        from deeplab_tf import compat

        compat.allow_memory_growth()
        found = measure(Item(**json.loads(sys.argv[1])))
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        cli.run(BenchmarkConfig, benchmark)
