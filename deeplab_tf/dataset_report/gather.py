"""Every record of a folder, looked at in processes, and what is wrong between them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from deeplab_tf.data import spec as spec_
from deeplab_tf.data import specs, tfrecord
from deeplab_tf.data.labels import contract
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.dataset_report import reading
from deeplab_tf.dataset_report.crossing import Duplicates, Said, without_masks
from deeplab_tf.dataset_report.reading import Entry, Found, Piece
from deeplab_tf.dataset_report.report import Remark, Report, Split
from deeplab_tf.errors import InputError
from deeplab_tf.parallel import in_processes

_PICTURES = 60  # Remarks that are worth reading a record again for its picture.
_ALONE = 300  # Records that are read before a process has begun its work.


def gather(folder: str, dataset: str | None, images: int) -> Report:
    """Looks at all records.

    Args:
        folder: Of the shards.
        dataset: What their ids mean, where there is no dataset.json.
        images: How many of each split to draw.

    Raises:
        InputError: There are no records, or nothing says what their ids mean.
    """
    spec = specs.resolve(dataset, folder, None)
    report = Report(folder=folder, spec=spec)
    described = spec_.load(Path(folder))
    pieces: list[Piece] = []
    for name in _split_names(folder, described):
        pieces += _opened(report, name, images)
    hashes, entries = _read(report, pieces)
    if described:
        _compare(report, described, hashes)
    _cross(report, entries, pieces)
    _judge_classes(report)
    return report


def _split_names(folder: str, described: DatasetSpec | None) -> list[str]:
    files = (path.name for path in Path(folder).glob("*-of-*") if path.is_file())
    found = {tfrecord.split_prefix(name) for name in files}
    if not found:
        raise InputError(f"{folder}: no records in it; they are called *-of-*")
    said = set(described.split_sizes) if described else set()
    return sorted(found | said, key=_order)


def _order(split: str) -> tuple[int, str]:
    """Those to train on first."""
    return next(
        (i for i, role in enumerate(("train", "val")) if role in split), 2
    ), split


def _opened(report: Report, name: str, images: int) -> Iterator[Piece]:
    """Yields the pieces of a split; keeps what is wrong with its files."""
    try:
        shards = tfrecord.find_shards(report.folder, name)
    except InputError as error:
        what = str(error).removeprefix(f"{report.folder}: ")
        report.faults.append(Remark(where=name, what=what))
        return
    split = report.splits[name] = Split(name=name)
    offsets = {}
    for path in shards:
        split.shards += 1
        split.size += Path(path).stat().st_size
        try:
            offsets[path] = tfrecord.offsets(path)
        except InputError as error:
            where = f"{name}, {Path(path).name}"
            what = str(error).removeprefix(f"{path}: ")
            report.faults.append(Remark(where=where, what=what))
            split.is_whole = False
    split.records = sum(map(len, offsets.values()))
    shown = {split.records * i // images for i in range(images)} if images else set()
    first = 0
    for path, positions in offsets.items():
        here = {i - first for i in shown if first <= i < first + len(positions)}
        yield from reading.pieces(name, path, positions, here, report.spec)
        first += len(positions)


def _read(
    report: Report, pieces: list[Piece]
) -> tuple[dict[str, str], Iterable[Entry]]:
    """Fills the report; gives SHA-256 of shards without damage, and the records."""
    hashes: dict[str, str] = {}
    entries: list[Entry] = []
    broken = set()
    with tqdm(
        None, "checking", sum(map(len, pieces)), unit=" records", disable=None
    ) as bar:
        for piece, found in _found(pieces):
            shard = Path(piece.path).name
            hashes[shard] = hashes.get(shard) or found.sha256
            broken |= {shard} if len(found.entries) < len(piece) else set()
            entries += found.entries
            _add(report, piece, found)
            bar.update(len(piece))
    return {
        name: hash_ for name, hash_ in hashes.items() if name not in broken
    }, entries


def _found(pieces: list[Piece]) -> Iterator[tuple[Piece, Found]]:
    if sum(map(len, pieces)) <= _ALONE:
        return ((piece, reading.read(piece)) for piece in pieces)
    calls = ((piece, (piece,)) for piece in pieces)
    return in_processes(reading.read, calls, total=len(pieces))


def _add(report: Report, piece: Piece, found: Found) -> None:
    split = report.splits[piece.split]
    split.tally.add(found.tally)
    split.sizes.update(found.sizes)
    by_index = {entry.index: entry for entry in found.entries}
    for index, picture in found.overlays.items():
        split.shown.append((by_index[index], picture))
    for remarks, said in (
        (report.faults, found.faults),
        (report.doubts, found.doubts),
    ):
        for entry, what in said:
            picture = found.pictures.get(entry.index, b"")
            remarks.append(Remark(where=entry.where, what=what, picture=picture))


def _compare(report: Report, described: DatasetSpec, hashes: dict[str, str]) -> None:
    """Keeps what dataset.json says that is not so."""
    for name, split in report.splits.items():
        said = described.split_sizes.get(name, split.records)
        if split.is_whole and said != split.records:
            what = f"{split.records} records, and dataset.json says {said}"
            report.faults.append(Remark(where=name, what=what))
    for name in _unlisted(report, described, hashes):
        what = "dataset.json does not list it; is it of another data set?"
        report.faults.append(Remark(where=name, what=what))
    for shard, sha256 in described.shards.items():
        if hashes.get(shard, sha256) != sha256:
            what = (
                "its SHA-256 is not that in dataset.json; it was changed, or is of "
                "another build"
            )
            report.faults.append(Remark(where=shard, what=what))


def _unlisted(
    report: Report, described: DatasetSpec, shards: Iterable[str]
) -> Iterator[str]:
    """Yields splits, and shards of others, that dataset.json does not list.

    One that lists none says nothing of them.
    """
    known = described.split_sizes or report.splits
    yield from (name for name in report.splits if name not in known)
    if described.shards:
        some = sorted(set(shards) - described.shards.keys())
        yield from (shard for shard in some if tfrecord.split_prefix(shard) in known)


def _cross(report: Report, entries: Iterable[Entry], pieces: Iterable[Piece]) -> None:
    """Keeps what is wrong between records."""
    by_shard: dict[str, list[Piece]] = {}
    for piece in pieces:
        by_shard.setdefault(Path(piece.path).name, []).append(piece)

    def keep(remarks: list[Remark], said: Iterable[Said]) -> None:
        for entry, what in said:
            picture = b""
            if len(remarks) < _PICTURES:
                some = by_shard[entry.shard]  # All as long as the first, but the last.
                piece = some[entry.index // len(some[0])]
                picture = reading.picture(piece, entry.index)
            remarks.append(Remark(where=entry.where, what=what, picture=picture))

    duplicates = Duplicates()
    for entry in entries:
        faults, doubts = duplicates.faults_and_doubts(entry)
        keep(report.faults, faults)
        keep(report.doubts, doubts)
    keep(report.faults, without_masks(entries))


def _judge_classes(report: Report) -> None:
    """Keeps what all masks together cannot mean, and classes that are missing."""
    spec, total = report.spec, report.total()
    if not total.masks:
        return
    try:
        contract.check_meaning(set(total.pixels), spec)
    except InputError as error:
        report.faults.append(Remark(where="all splits", what=str(error)))
    train = report.splits.get("train")
    for i, name in enumerate(spec.classes):
        if i == spec.ignore_label:
            continue
        if i not in total.pixels:
            what = f'class {i} "{name}" is in no mask'
            report.doubts.append(Remark(where="all splits", what=what))
        elif train and train.tally.masks and i not in train.tally.pixels:
            what = f'class {i} "{name}" is in masks of other splits alone'
            report.doubts.append(Remark(where="train", what=what))
