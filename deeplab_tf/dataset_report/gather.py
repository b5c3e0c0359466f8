"""Gathers the report: records scanned in processes, and compared with each other.

Duplicates are found by pixels and by names.
"""

from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path

from deeplab_tf import console
from deeplab_tf.config.remedies import FOLDER
from deeplab_tf.data import spec as spec_
from deeplab_tf.data import specs, tfrecord
from deeplab_tf.data.labels import contract
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.dataset_report import scan
from deeplab_tf.dataset_report.report import DatasetReport, Issue, SplitReport
from deeplab_tf.dataset_report.scan import RangeScan, RecordEntry, RecordRange
from deeplab_tf.errors import InputError, tell_remedies
from deeplab_tf.parallel import map_in_processes

_PICTURES = 60  # Issues that are worth reading a record again for its picture.
_ALONE = 300  # Records that are read before a process has begun its work.
_ROLES = ("train", "val", "test")  # Of splits.
EntryIssue = tuple[RecordEntry, str]


def gather(folder: str, dataset: str | None, images: int) -> DatasetReport:
    """Inspects all records.

    Args:
        folder: Of the shards.
        dataset: What their ids mean, where there is no dataset.json.
        images: How many of each split to draw.

    Raises:
        InputError: There are no records, or nothing says what their ids mean.
    """
    spec = specs.resolve(dataset, folder, None)
    report = DatasetReport(folder=folder, spec=spec)
    described = spec_.load(Path(folder))
    ranges: list[RecordRange] = []
    for name in _split_names(folder, described):
        ranges += _open_split(report, name, images)
    hashes, entries = _scan_all(report, ranges)
    if described:
        _compare_description(report, described, hashes)
    _compare_records(report, entries, ranges)
    _check_classes(report)
    return report


def _split_names(folder: str, described: DatasetSpec | None) -> list[str]:
    files = (path.name for path in Path(folder).glob("*-of-*") if path.is_file())
    present = {tfrecord.split_prefix(name) for name in files}
    if not present:
        raise InputError(f"{folder}: no records in it; they are called *-of-*")
    listed = set(described.split_sizes) if described else set()
    return sorted(present | listed, key=_sort_key)


def _sort_key(split: str) -> tuple[int, str]:
    """Those to train on first."""
    return next(
        (i for i, role in enumerate(("train", "val")) if role in split), 2
    ), split


def _open_split(report: DatasetReport, name: str, images: int) -> Iterator[RecordRange]:
    """Yields the ranges of a split; reports what is wrong with its files."""
    try:
        shards = tfrecord.find_shards(report.folder, name)
    except InputError as error:
        what = str(error).removeprefix(f"{report.folder}: ")
        report.faults.append(Issue(where=name, what=what))
        return
    split = report.splits[name] = SplitReport(name=name)
    offsets = {}
    for path in shards:
        split.shards += 1
        split.size += Path(path).stat().st_size
        try:
            offsets[path] = tfrecord.offsets(path)
        except InputError as error:
            where = f"{name}, {Path(path).name}"
            what = str(error).removeprefix(f"{path}: ")
            report.faults.append(Issue(where=where, what=what))
            split.is_whole = False
    split.records = sum(map(len, offsets.values()))
    shown = {split.records * i // images for i in range(images)} if images else set()
    first = 0
    for path, positions in offsets.items():
        here = {i - first for i in shown if first <= i < first + len(positions)}
        yield from scan.split_shard(name, path, positions, here, report.spec)
        first += len(positions)


def _scan_all(
    report: DatasetReport, ranges: list[RecordRange]
) -> tuple[dict[str, str], Iterable[RecordEntry]]:
    """Fills the report; returns SHA-256 of shards without damage, and the records."""
    hashes: dict[str, str] = {}
    entries: list[RecordEntry] = []
    broken = set()
    with console.bar(
        desc="checking", total=sum(map(len, ranges)), unit=" records"
    ) as bar:
        for records, scanned in _scan_ranges(ranges):
            shard = Path(records.path).name
            hashes[shard] = hashes.get(shard) or scanned.sha256
            broken |= {shard} if len(scanned.entries) < len(records) else set()
            entries += scanned.entries
            _add(report, records, scanned)
            bar.update(len(records))
    return {
        name: hash_ for name, hash_ in hashes.items() if name not in broken
    }, entries


def _scan_ranges(
    ranges: list[RecordRange],
) -> Iterator[tuple[RecordRange, RangeScan]]:
    if sum(map(len, ranges)) <= _ALONE:
        return ((records, scan.scan_range(records)) for records in ranges)
    calls = ((records, (records,)) for records in ranges)
    return map_in_processes(
        scan.scan_range, calls, total=len(ranges), needs_tensorflow=True
    )


def _add(report: DatasetReport, records: RecordRange, scanned: RangeScan) -> None:
    split = report.splits[records.split]
    split.tally.add(scanned.tally)
    split.sizes.update(scanned.sizes)
    by_index = {entry.index: entry for entry in scanned.entries}
    for index, picture in scanned.overlays.items():
        split.shown.append((by_index[index], picture))
    for issues, more in (
        (report.faults, scanned.faults),
        (report.doubts, scanned.doubts),
    ):
        for entry, what in more:
            picture = scanned.pictures.get(entry.index, b"")
            issues.append(Issue(where=entry.where, what=what, picture=picture))


def _compare_description(
    report: DatasetReport, described: DatasetSpec, hashes: dict[str, str]
) -> None:
    """Reports what dataset.json says that is not so."""
    for name, split in report.splits.items():
        size = described.split_sizes.get(name, split.records)
        if split.is_whole and size != split.records:
            what = f"{split.records} records, and dataset.json says {size}"
            report.faults.append(Issue(where=name, what=what))
    for name in _unlisted_splits(report, described, hashes):
        what = "dataset.json does not list it; is it of another data set?"
        report.faults.append(Issue(where=name, what=what))
    for shard, sha256 in described.shards.items():
        if hashes.get(shard, sha256) != sha256:
            what = (
                "its SHA-256 is not that in dataset.json; it was changed, or is of "
                "another build"
            )
            report.faults.append(Issue(where=shard, what=what))


def _unlisted_splits(
    report: DatasetReport, described: DatasetSpec, shards: Iterable[str]
) -> Iterator[str]:
    """Yields splits, and shards of others, that dataset.json does not list.

    One that lists none says nothing of them.
    """
    known = described.split_sizes or report.splits
    yield from (name for name in report.splits if name not in known)
    if described.shards:
        some = sorted(set(shards) - described.shards.keys())
        yield from (shard for shard in some if tfrecord.split_prefix(shard) in known)


def _compare_records(
    report: DatasetReport,
    entries: Iterable[RecordEntry],
    ranges: Iterable[RecordRange],
) -> None:
    """Reports duplicates, and masks that are missing."""
    by_shard: dict[str, list[RecordRange]] = {}
    for records in ranges:
        by_shard.setdefault(Path(records.path).name, []).append(records)

    def add(issues: list[Issue], more: Iterable[EntryIssue]) -> None:
        for entry, what in more:
            picture = b""
            if len(issues) < _PICTURES:
                some = by_shard[entry.shard]  # All as long as the first, but the last.
                records = some[entry.index // len(some[0])]
                picture = scan.draw_record(records, entry.index)
            issues.append(Issue(where=entry.where, what=what, picture=picture))

    duplicates = DuplicateFinder()
    for entry in entries:
        faults, doubts = duplicates.compare(entry)
        add(report.faults, faults)
        add(report.doubts, doubts)
    add(report.faults, find_missing_masks(entries))


def _check_classes(report: DatasetReport) -> None:
    """Reports what all masks together cannot mean, and classes that are missing."""
    spec, total = report.spec, report.total()
    if not total.masks:
        return
    try:
        with tell_remedies(FOLDER):
            contract.check_meaning(set(total.pixels), spec)
    except InputError as error:
        report.faults.append(Issue(where="all splits", what=str(error)))
    train = report.splits.get("train")
    for i, name in enumerate(spec.classes):
        if i == spec.ignore_label:
            continue
        if i not in total.pixels:
            what = f'class {i} "{name}" is in no mask'
            report.doubts.append(Issue(where="all splits", what=what))
        elif train and train.tally.masks and i not in train.tally.pixels:
            what = f'class {i} "{name}" is in masks of other splits alone'
            report.doubts.append(Issue(where="train", what=what))


class DuplicateFinder:
    """Finds images that are there twice.

    Splits that share images on purpose, as trainval does with train, are not compared:
    only those for different things, to train on, to validate on and to test on.
    """

    def __init__(self) -> None:
        self._images: dict[Hashable, list[RecordEntry]] = {}
        self._names: dict[Hashable, list[RecordEntry]] = {}

    def compare(self, entry: RecordEntry) -> tuple[list[EntryIssue], list[EntryIssue]]:
        """Faults and doubts of a record, compared with those before it."""
        image = _find_earlier(self._images, entry.digest, entry)
        name = _find_earlier(self._names, entry.name, entry)
        faults: list[EntryIssue] = []
        doubts: list[EntryIssue] = []
        if image:
            same = entry, f"the same image as {image.where}"
            (doubts if image.split == entry.split else faults).append(same)
        if name and name.split == entry.split:
            faults.append((entry, f"the same name as {name.where}"))
        elif name and name != image:
            doubts.append((entry, f"another image of the same name is {name.where}"))
        return faults, doubts


def find_missing_masks(entries: Iterable[RecordEntry]) -> Iterator[EntryIssue]:
    """Yields records without a mask, of splits where others have one."""
    entries = list(entries)
    labeled = {entry.split for entry in entries if entry.has_label}
    for entry in entries:
        if not entry.has_label and entry.split in labeled:
            yield entry, "it has no mask, and others of its split have"


def _find_earlier(
    seen: dict[Hashable, list[RecordEntry]], key: Hashable, entry: RecordEntry
) -> RecordEntry | None:
    """The first record with this key, of the same split or of one to be kept apart."""
    if not key:
        return None
    others = seen.setdefault(key, [])
    earlier = next(
        (other for other in others if _are_disjoint(other.split, entry.split)), None
    )
    others.append(entry)
    return earlier


def _are_disjoint(one: str, other: str) -> bool:
    roles = _roles(one), _roles(other)
    return one == other or (all(roles) and roles[0].isdisjoint(roles[1]))


def _roles(split: str) -> set[str]:
    """What a split is for, by its name: trainval is for more than one thing."""
    return {role for role in _ROLES if role in split}
