"""Shard writer: samples read, checked and written in one pass, in any process.

A shard appears under its name once it is whole and on the disk; beside it, a summary
tells what is in it, so that nothing needs to be kept in memory, nor read twice.
"""

import contextlib
import dataclasses
import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from deeplab_tf.data import image_files, tfrecord_writer
from deeplab_tf.data.labels import contract
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.dataset_builders.images_config import ImagesConfig
from deeplab_tf.dataset_builders.shrink import shrink
from deeplab_tf.dataset_builders.sources import Sample, SampleSource
from deeplab_tf.errors import DamagedFile, Remedies, tell_remedies
from deeplab_tf.files import flush, name_in_error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """Which samples of a split a shard holds.

    Attributes:
        split: "train".
        index: Its number, from 0.
        count: Shards of the split.
        start: Number of its first sample.
        stop: Number of the sample behind its last.
    """

    split: str
    index: int
    count: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Of its file."""
        return tfrecord_writer.shard_name(self.split, self.index, self.count)

    def __len__(self) -> int:
        return self.stop - self.start


@dataclasses.dataclass(kw_only=True)
class ShardSummary:
    """What is in a shard.

    Attributes:
        sha256: Of its file; empty where the build cannot become whole.
        size: Of its file, in bytes.
        names: Of its records.
        digests: SHA-256 of name, image and mask of each record.
        tally: What its masks hold.
        damaged: What is said of each file that could not be read.
        remarks: What is not taken of images, and of which.
        shrunk: How many were larger than wanted.
        error: Why it could not be read.
    """

    sha256: str = ""
    size: int = 0
    names: list[str] = dataclasses.field(default_factory=list)
    digests: list[str] = dataclasses.field(default_factory=list)
    tally: LabelStatistics = dataclasses.field(default_factory=LabelStatistics)
    damaged: list[str] = dataclasses.field(default_factory=list)
    remarks: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    shrunk: int = 0
    error: str = ""

    def save(self, path: Path) -> None:
        """Writes the summary of the shard at `path`."""
        facts = dataclasses.asdict(self) | {"tally": self.tally.to_json()}
        target = _summary_path(path)
        with _unique_name(target) as unfinished, name_in_error(target):
            unfinished.write_text(json.dumps(facts), "utf-8")
            flush(unfinished)
            unfinished.replace(target)

    @classmethod
    def load(cls, path: Path) -> "ShardSummary":
        """Reads the summary of the shard at `path`."""
        facts = json.loads(_summary_path(path).read_text())
        return cls(**facts | {"tally": LabelStatistics.from_json(facts["tally"])})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardWriter:
    """Writes any shard of a build; can be pickled.

    Attributes:
        splits: Where the samples of each split come from.
        spec: What their ids mean.
        folder: Where the shards go.
        remedies: What errors say would do, by kind.
        images: Whether damaged ones are left out, and large ones shrunk.
    """

    splits: Mapping[str, SampleSource]
    spec: DatasetSpec
    folder: Path
    remedies: Remedies = dataclasses.field(default_factory=dict)
    images: ImagesConfig = ImagesConfig()

    def write(
        self, shard: Shard, on_sample: Callable[[], object] = lambda: None
    ) -> None:
        """Writes a shard and its summary.

        Where a mask is wrong or a file is damaged, the latter alone.

        Args:
            shard: Which one.
            on_sample: Called after each sample.

        Raises:
            InputError: A file is of no use.
            OSError: The disk is full.
        """
        path, summary = self.folder / shard.name, ShardSummary()
        samples = self._read(shard, summary, on_sample)
        with _unique_name(path) as unfinished, tell_remedies(self.remedies):
            records = self._records(samples, summary, on_sample)
            sha256 = tfrecord_writer.write_shard(records, unfinished)
            if self._is_right(summary):
                unfinished.replace(path)
                summary.sha256, summary.size = sha256, path.stat().st_size
        summary.save(path)

    def _is_right(self, summary: ShardSummary) -> bool:
        damaged = summary.damaged and not self.images.skip_damaged
        return not (damaged or summary.tally.wrong.count)

    def _read(
        self, shard: Shard, summary: ShardSummary, on_sample: Callable[[], object]
    ) -> Iterator[Sample]:
        """Yields the samples of a shard, and notes those that are damaged."""
        number = shard.start
        while number < shard.stop:
            try:
                for sample in self.splits[shard.split].samples(number, shard.stop):
                    number += 1
                    yield sample
            except DamagedFile as error:
                summary.damaged.append(str(error))
                number += 1
                on_sample()

    def _records(
        self,
        samples: Iterable[Sample],
        summary: ShardSummary,
        on_sample: Callable[[], object],
    ) -> Iterator[tfrecord_writer.Record]:
        """Yields records up to the first fault, and counts all of them."""
        for sample in samples:
            if sample.label is not None:
                contract.check_size(Path(sample.origin), sample.label, sample.size)
            side = self.images.max_side
            if side and max(sample.size) > side:
                sample = shrink(sample, side)
                summary.shrunk += 1
            if sample.label is not None:
                summary.tally.add(
                    LabelStatistics.of_mask(sample.origin, sample.label, self.spec)
                )
            for what, name in sample.remarks:
                summary.remarks.setdefault(what, []).append(name)
            if self._is_right(summary):
                record = _encode(sample)
                summary.names.append(record.name)
                summary.digests.append(record_digest(record))
                yield record
            on_sample()


def plan_shards(split: str, num_samples: int, num_shards: int) -> list[Shard]:
    """Divides a split as the official builders do; no shard is empty."""
    per_shard = -(-num_samples // num_shards)
    starts = range(0, num_samples, per_shard)
    return [
        Shard(
            split=split,
            index=index,
            count=len(starts),
            start=start,
            stop=min(start + per_shard, num_samples),
        )
        for index, start in enumerate(starts)
    ]


def record_digest(record: tfrecord_writer.Record) -> str:
    """SHA-256 of a record's name, image and mask, whatever shard it lies in."""
    sha256 = hashlib.sha256()
    for content in (record.encoded_name, record.image, record.label):
        sha256.update(len(content).to_bytes(8, "little") + content)
    return sha256.hexdigest()


def split_checksum(digests: Iterable[str]) -> str:
    """SHA-256 of a split: of its records' digests, in their order."""
    sha256 = hashlib.sha256()
    for digest in digests:
        sha256.update(bytes.fromhex(digest))
    return sha256.hexdigest()


def _encode(sample: Sample) -> tfrecord_writer.Record:
    label = b""
    if sample.label is not None:
        label = image_files.png(sample.label.astype(np.uint8))
    return tfrecord_writer.Record(
        name=sample.name,
        image=sample.image,
        image_format=sample.image_format,
        size=sample.size,
        label=label,
    )


@contextlib.contextmanager
def _unique_name(path: Path) -> Iterator[Path]:
    """A name of its own: a Beam runner may let two workers write one shard."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        yield unfinished
    finally:
        unfinished.unlink(missing_ok=True)


def _summary_path(path: Path) -> Path:
    return path.with_suffix(".json")
