"""`dataset.json` of a build, from the summaries of its shards."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
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
_BY_SHARD = ("shards", "shard_sizes")


def describe(
    writer: ShardWriter,
    plan: Mapping[str, Sequence[Shard]],
    by_split: Mapping[str, Sequence[ShardSummary]],
) -> DatasetSpec:
    """Describes the data set, all of whose shards are written.

    Args:
        writer: That wrote them.
        plan: Shards of each split.
        by_split: Their summaries.

    Raises:
        InputError: The masks break the label contract, or two images of a split have
            one name.
    """
    total, pixels, checksums = LabelStatistics(), {}, {}
    sizes: dict[str, int] = {}
    shards: dict[str, str] = {}
    shard_sizes: dict[str, int] = {}
    largest: dict[str, tuple[int, int]] = {}
    for split, summaries in by_split.items():
        tally = LabelStatistics()
        for shard, summary in zip(plan[split], summaries, strict=True):
            tally.add(summary.tally)
            shards[shard.name], shard_sizes[shard.name] = summary.sha256, summary.size
        _check_names(split, summaries)
        digests = [digest for summary in summaries for digest in summary.digests]
        checksums[split], sizes[split] = split_checksum(digests), len(digests)
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
        split_sizes=sizes,
        pixel_counts=pixels,
        id_mapping={
            split: format_label_map(table)
            for split, table in tables.items()
            if table is not None
        },
        checksums=checksums,
        shards=shards,
        shard_sizes=shard_sizes,
        largest_images=largest,
        version=VERSION,
        schema=SCHEMA,
    )


def load_summaries(
    writer: ShardWriter, plan: Mapping[str, Sequence[Shard]]
) -> dict[str, list[ShardSummary]]:
    """Summaries of the shards of each split.

    Raises:
        InputError: A shard could not be read.
    """
    summaries = {
        split: [ShardSummary.load(writer.folder / shard.name) for shard in shards]
        for split, shards in plan.items()
    }
    for some in summaries.values():
        if error := next((one.error for one in some if one.error), None):
            raise InputError(error)
    return summaries


def _check_names(split: str, summaries: Sequence[ShardSummary]) -> None:
    """Raises an InputError where two records of a split have one name."""
    names: set[str] = set()
    for name in (name for summary in summaries for name in summary.names):
        if name in names:
            raise InputError(f"split {split}: two images of one name, {name}")
        names.add(name)


def merge_splits(spec: DatasetSpec, others: DatasetSpec) -> DatasetSpec:
    """A data set with the splits of another, which lie in the same folder."""
    facts: dict[str, Any] = {
        name: {**getattr(spec, name), **getattr(others, name)}
        for name in (*_BY_SPLIT, *_BY_SHARD)
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
    facts |= {
        name: {
            shard: value
            for shard, value in getattr(spec, name).items()
            if tfrecord_writer.shard_split(shard) in splits
        }
        for name in _BY_SHARD
    }
    return dataclasses.replace(spec, **facts)


def format_label_map(table: np.ndarray) -> str:
    """A table of ids as `--label_map` writes it: "7:0,8:1", and "*:255" for others."""
    ids = np.arange(len(table))
    changed = np.flatnonzero(table != ids)
    others = np.bincount(table).argmax()
    distinct = np.flatnonzero(table != others)
    if len(changed) <= len(distinct):
        return ",".join(f"{i}:{table[i]}" for i in changed)
    return ",".join([*(f"{i}:{table[i]}" for i in distinct), f"*:{others}"])
