"""`dataset.json` of a build, from the summaries of its shards."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import deeplab_tf
from deeplab_tf.data import tfrecord_writer
from deeplab_tf.data.labels import contract
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.spec import SCHEMA, DatasetSpec
from deeplab_tf.dataset_builders.shard import (
    Shard,
    ShardSummary,
    ShardWriter,
    split_checksum,
)
from deeplab_tf.errors import InputError, tell_remedies

VERSION = f"deeplab_tf {deeplab_tf.__version__}"
_BY_SPLIT = (
    "split_sizes",
    "pixel_counts",
    "id_mapping",
    "checksums",
    "largest_images",
)


def describe(writer: ShardWriter, plan: Mapping[str, Sequence[Shard]]) -> DatasetSpec:
    """Describes the data set, all of whose shards are written.

    Args:
        writer: That wrote them.
        plan: Shards of each split.

    Raises:
        InputError: The masks break the label contract, a shard could not be read, or
            two images of a split have one name.
    """
    total, pixels, checksums = LabelStatistics(), {}, {}
    shards: dict[str, str] = {}
    largest: dict[str, tuple[int, int]] = {}
    for split, planned in plan.items():
        tally = LabelStatistics()
        checksums[split] = split_checksum(_digests(writer, planned, tally, shards))
        total.add(tally)
        if tally.masks:
            counts = (
                tally.pixels.get(label, 0) for label in range(writer.spec.num_classes)
            )
            pixels[split] = tuple(counts)
            largest[split] = tally.largest
    with tell_remedies(writer.remedies):
        contract.check_statistics(total, writer.spec)
    tables = {split: source.table for split, source in writer.splits.items()}
    return dataclasses.replace(
        writer.spec,
        split_sizes={split: len(source) for split, source in writer.splits.items()},
        pixel_counts=pixels,
        id_mapping={
            split: format_label_map(table)
            for split, table in tables.items()
            if table is not None
        },
        checksums=checksums,
        shards=shards,
        largest_images=largest,
        version=VERSION,
        schema=SCHEMA,
    )


def _digests(
    writer: ShardWriter,
    planned: Sequence[Shard],
    tally: LabelStatistics,
    shards: dict[str, str],
) -> Iterator[str]:
    """Yields digests of a split's records; fills the tally and SHA-256 of shards."""
    names: set[str] = set()
    for shard in planned:
        summary = ShardSummary.load(writer.folder / shard.name)
        if summary.error:
            raise InputError(summary.error)
        for name in summary.names:
            if name in names:
                raise InputError(f"split {shard.split}: two images of one name, {name}")
            names.add(name)
        tally.add(summary.tally)
        shards[shard.name] = summary.sha256
        yield from summary.digests


def merge_splits(spec: DatasetSpec, others: DatasetSpec) -> DatasetSpec:
    """A data set with the splits of another, which lie in the same folder."""
    facts: dict[str, Any] = {
        name: {**getattr(spec, name), **getattr(others, name)}
        for name in (*_BY_SPLIT, "shards")
    }
    return dataclasses.replace(spec, **facts)


def select_splits(spec: DatasetSpec, splits: Collection[str]) -> DatasetSpec:
    """A data set with some of its splits alone."""
    facts: dict[str, Any] = {
        name: {
            key: value for key, value in getattr(spec, name).items() if key in splits
        }
        for name in _BY_SPLIT
    }
    shards = {
        name: sha256
        for name, sha256 in spec.shards.items()
        if tfrecord_writer.shard_split(name) in splits
    }
    return dataclasses.replace(spec, shards=shards, **facts)


def format_label_map(table: np.ndarray) -> str:
    """A table of ids as `--label_map` writes it: "7:0,8:1", and "*:255" for others."""
    ids = np.arange(len(table))
    changed = np.flatnonzero(table != ids)
    others = np.bincount(table).argmax()
    distinct = np.flatnonzero(table != others)
    if len(changed) <= len(distinct):
        return ",".join(f"{i}:{table[i]}" for i in changed)
    return ",".join([*(f"{i}:{table[i]}" for i in distinct), f"*:{others}"])
