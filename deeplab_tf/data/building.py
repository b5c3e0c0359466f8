"""Images and masks -> checked records: what all `datasets/build_*.py` share.

All masks are read and checked before the first record is written, and records appear in
the output folder only once all are written.
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from deeplab_tf.data import images, labels, tfrecord
from deeplab_tf.data import spec as spec_
from deeplab_tf.data.sources import (
    Files,
    MaskReader,
    Pair,
    Sample,
    Source,
    divided,
    pairs_by_list,
    pairs_by_stem,
    read_list,
)
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.tally import Tally
from deeplab_tf.data.work import WorkConfig
from deeplab_tf.errors import InputError
from deeplab_tf.files import check_writable

__all__ = [
    "Files",
    "MaskReader",
    "Pair",
    "Sample",
    "Source",
    "WorkConfig",
    "build",
    "divided",
    "pairs_by_list",
    "pairs_by_stem",
    "read_list",
]


def build(
    splits: Mapping[str, Source],
    spec: DatasetSpec,
    output_dir: str,
    *,
    shards: int = 4,
    work: WorkConfig = WorkConfig(),
) -> DatasetSpec:
    """Writes the shards of each split and `dataset.json`.

    Args:
        splits: Samples of each split, in the order of the records.
        spec: What the ids mean; sizes and pixel counts are counted here.
        output_dir: Made if need be. Shards of the same splits are replaced.
        shards: Files a split.
        work: In how many processes, or by Beam; the records are the same.

    Returns:
        The data set as described in `dataset.json`.

    Raises:
        InputError: A file is missing, damaged, or breaks the label contract.
    """
    folder = check_writable("output_dir", output_dir)
    before = spec_.load(folder)
    if before and before.name != spec.name:
        raise InputError(
            f"--output_dir={output_dir}: it holds records of {before.name}, by its "
            f"{spec_.FILE_NAME}; choose another folder for {spec.name}"
        )
    for split, source in splits.items():
        if not len(source):
            raise InputError(f"split {split}: no images")
    tallies = {split: _checked(source, split, spec) for split, source in splits.items()}
    together = Tally()
    for tally in tallies.values():
        together.add(tally)
    labels.check(together, spec)
    spec = _counted(spec, splits, tallies)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as temporary:
        for split, source in splits.items():
            sizes = shard_sizes(len(source), shards)
            tfrecord.write(_records(source), Path(temporary), split, per_shard=sizes)
        spec.save(Path(temporary))
        _move(Path(temporary), folder, splits)
    for split, source in splits.items():
        logging.info("%s: %d images of %s", folder, len(source), split)
    return spec


def shard_sizes(count: int, shards: int) -> list[int]:
    """Records of each shard: as the official builders split them, none empty."""
    per_shard = -(-count // shards)
    sizes = [min(per_shard, count - start) for start in range(0, count, per_shard)]
    return sizes


def _checked(source: Source, split: str, spec: DatasetSpec) -> Tally:
    tally = Tally()
    samples = source.samples(0, len(source))
    for sample in tqdm(samples, f"checking {split}", len(source), disable=None):
        if sample.label is not None:
            labels.check_size(Path(sample.origin), sample.label, sample.size)
            tally.add(Tally.of(sample.origin, sample.label, spec))
    return tally


def _records(source: Source) -> Iterator[tfrecord.Record]:
    for sample in source.samples(0, len(source)):
        label = b""
        if sample.label is not None:
            label = images.png(sample.label.astype(np.uint8))
        yield tfrecord.Record(
            name=sample.name,
            image=sample.image,
            image_format=sample.image_format,
            size=sample.size,
            label=label,
        )


def _counted(
    spec: DatasetSpec,
    splits: Mapping[str, Source],
    tallies: Mapping[str, Tally],
) -> DatasetSpec:
    pixels = {
        split: tuple(tally.pixels.get(label, 0) for label in range(spec.num_classes))
        for split, tally in tallies.items()
        if tally.masks
    }
    sizes = {split: len(source) for split, source in splits.items()}
    return dataclasses.replace(spec, split_sizes=sizes, pixel_counts=pixels)


def _move(source: Path, target: Path, splits: Mapping[str, Source]) -> None:
    for split in splits:
        for old in target.glob(f"{split}-?????-of-?????.tfrecord"):
            old.unlink()
    for path in sorted(source.iterdir(), key=lambda path: path.name == spec_.FILE_NAME):
        shutil.move(path, target / path.name)
