"""Dataset report: splits, faults and doubts."""

import dataclasses
from collections import Counter

from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.dataset_report.scan import RecordEntry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Issue:
    """A fault, or a doubt.

    Attributes:
        where: Split, shard, record and name; or a split, or a shard, alone.
        what: What is the matter.
        picture: Of the record, a JPEG; empty where there is none.
    """

    where: str
    what: str
    picture: bytes = b""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclasses.dataclass(kw_only=True)
class SplitReport:
    """What is in a split.

    Attributes:
        name: "train".
        shards: Number of files.
        size: Of these, in bytes.
        records: Number of records.
        tally: What the masks hold.
        sizes: (height, width) -> images.
        is_whole: Whether all of its files could be opened.
        shown: Records of the contact sheet, with their pictures.
    """

    name: str
    shards: int = 0
    size: int = 0
    records: int = 0
    tally: LabelStatistics = dataclasses.field(default_factory=LabelStatistics)
    sizes: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    is_whole: bool = True
    shown: list[tuple[RecordEntry, bytes]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(kw_only=True)
class DatasetReport:
    """Report of a check.

    Attributes:
        folder: Of the records.
        spec: What the ids mean.
        splits: By name.
        faults: What is wrong.
        doubts: What may be meant, and may not be.
    """

    folder: str
    spec: DatasetSpec
    splits: dict[str, SplitReport] = dataclasses.field(default_factory=dict)
    faults: list[Issue] = dataclasses.field(default_factory=list)
    doubts: list[Issue] = dataclasses.field(default_factory=list)

    def total(self) -> LabelStatistics:
        """What all masks hold."""
        total = LabelStatistics()
        for split in self.splits.values():
            total.add(split.tally)
        return total
