"""Nodes and collectives of a training step, on one and on several replicas.

    python benchmarks/graph_size.py

The step is traced and not run, on replicas that are made of the CPU; nodes are those of
the graph and of all functions within it, collectives those that a replica takes part
in. Tracing is Python at work, before the first step; its seconds are of the processor.
"""

import collections
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.shared.fresh_process import run_in_process
from deeplab_tf import cli
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    DevicesConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)
from deeplab_tf.config.fields import flag

NETWORKS = ("mobilenet_v2", "xception_65", "resnet_v1_101_beta")
_SIDE = 65  # No node depends on it.


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Counts what a step of DeepLab v3+ is made of; no step is taken."""

    model_variants: tuple[str, ...] = flag("Feature extractors.", NETWORKS)
    replicas: tuple[int, ...] = flag("Numbers of replicas.", (1, 2))
    batch_norm: tuple[str, ...] = flag(
        "Of synchronized, local and frozen.", ("synchronized", "frozen")
    )
    json: bool = flag("A JSON line each instead of the rows of a table.", False)


def benchmark(config: BenchmarkConfig) -> None:
    """Logs a row for each network, kind of batch norm and number of replicas."""
    if not config.json:
        logging.info("| network | batch norm | replicas | nodes | a replica |")
        logging.info("| --- | --- | --- | --- | --- |")
    for variant in config.model_variants:
        for kind in config.batch_norm:
            for replicas in config.replicas:
                # One replica normalizes by its batch: these are the same.
                if replicas > 1 or kind != "local":
                    # A process makes but one set of devices.
                    row = run_in_process(count, variant, kind, replicas)
                    _show(config, row)


def _show(config: BenchmarkConfig, row: dict[str, Any]) -> None:
    if config.json:
        logging.info("%s", json.dumps(row))
        return
    logging.info(
        "| %s | %s | %d | %s | %s collectives, traced in %.0f s |",
        row["network"],
        row["batch_norm"],
        row["replicas"],
        f"{row['nodes']:,}",
        row["collectives"],
        row["seconds"],
    )


def count(variant: str, batch_norm: str, replicas: int) -> dict[str, Any]:
    """Traces a step.

    Args:
        variant: Feature extractor.
        batch_norm: "synchronized", "local" or "frozen".
        replicas: Out of this machine's CPU.

    Returns:
        Number of nodes, of collectives a replica, and of seconds of tracing.
    """
    import tensorflow as tf

    from deeplab_tf.data.specs import voc2012
    from deeplab_tf.training.distribution.strategy import make_strategy
    from deeplab_tf.training.setup import make_trainer

    settings = _settings(variant, batch_norm, replicas)
    strategy = make_strategy(settings.devices)
    trainer = make_trainer(settings, voc2012.SPEC, settings.loss, strategy)
    batch = {
        "image": tf.zeros((2, _SIDE, _SIDE, 3)),
        "label": tf.zeros((2, _SIDE, _SIDE, 1), tf.int32),
        "number": tf.range(2, dtype=tf.int64),
    }
    batches = iter(
        strategy.distribute_datasets_from_function(
            lambda _: tf.data.Dataset.from_tensors(batch).repeat()
        )
    )
    began = time.process_time()
    step = trainer._run.get_concrete_function(batches, tf.constant(1))
    seconds = time.process_time() - began
    types = _types(step.graph.as_graph_def())
    collectives = sum(n for name, n in types.items() if name.startswith("Collective"))
    return {
        "network": variant,
        "batch_norm": batch_norm,
        "replicas": replicas,
        "nodes": sum(types.values()),
        "collectives": collectives // replicas,
        "seconds": seconds,
        "most": dict(types.most_common(8)),
    }


def _types(graph: Any) -> collections.Counter[str]:
    """How many nodes of each type a graph has, with its functions, each once."""
    nodes = [*graph.node]
    for function in graph.library.function:
        nodes += function.node_def
    return collections.Counter(node.op for node in nodes)


def _settings(variant: str, batch_norm: str, replicas: int) -> TrainConfig:
    devices = DevicesConfig(cpu_replicas=replicas)
    if batch_norm == "local":
        devices = dataclasses.replace(devices, sync_batch_norm=False)
    return TrainConfig(
        train_logdir="none",
        train_batch_size=2 * replicas,
        fine_tune_batch_norm=batch_norm != "frozen",
        model=ModelConfig(model_variant=variant, decoder_output_stride=(4,)),
        data=DataConfig(dataset_dir="none"),
        augment=AugmentConfig(train_crop_size=(_SIDE, _SIDE)),
        optimizer=OptimizerConfig(base_learning_rate=1e-4),
        devices=devices,
    )


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
