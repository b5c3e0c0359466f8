"""Images and masks -> checked records: what all `datasets/build_*.py` share.

All masks are read and checked before the first record is written, and records appear in
the output folder only once all are written.
"""

import dataclasses
import random
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging
from tqdm import tqdm

from deeplab_tf.data import images, labels, tfrecord
from deeplab_tf.data import spec as spec_
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.files import check_writable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """An image file and its mask, which a test split has not."""

    name: str
    image: Path
    label: Path | None


def build(
    splits: Mapping[str, Sequence[Pair]],
    spec: DatasetSpec,
    output_dir: str,
    *,
    shards: int = 4,
    table: np.ndarray | None = None,
) -> DatasetSpec:
    """Writes the shards of each split and `dataset.json`.

    Args:
        splits: Pairs of each split, in the order of the records.
        spec: What the ids mean; sizes and pixel counts are counted here.
        output_dir: Made if need be. Shards of the same splits are replaced.
        shards: Files a split.
        table: Id in the masks -> id in the records (`labels.mapping`).

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
    for split, pairs in splits.items():
        _check_names(pairs, split)
    histograms = {
        split: _read_labels(pairs, split, table) for split, pairs in splits.items()
    }
    together = {
        name: ids for split in histograms.values() for name, ids in split.items()
    }
    if together:
        labels.check(together, spec)
    spec = _counted(spec, splits, histograms)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as temporary:
        for split, pairs in splits.items():
            records = _records(tqdm(pairs, f"writing {split}", disable=None), table)
            sizes = shard_sizes(len(pairs), shards)
            tfrecord.write(records, Path(temporary), split, per_shard=sizes)
        spec.save(Path(temporary))
        _move(Path(temporary), folder, splits)
    for split, pairs in splits.items():
        logging.info("%s: %d images of %s", folder, len(pairs), split)
    return spec


def shard_sizes(count: int, shards: int) -> list[int]:
    """Records of each shard: as the official builders split them, none empty."""
    per_shard = -(-count // shards)
    sizes = [min(per_shard, count - start) for start in range(0, count, per_shard)]
    return sizes


def pairs_by_stem(image_dir: Path, label_dir: Path) -> list[Pair]:
    """Pairs images and masks below two folders by their paths without suffix.

    Raises:
        InputError: An image has no mask, or no folder is there.
    """
    by_stem: dict[str, Path] = {}
    for path in images.find_images(label_dir):
        stem = _stem(path, label_dir)
        if stem in by_stem:
            raise InputError(f"{path} and {by_stem[stem]}: two masks of one name")
        by_stem[stem] = path
    found = [(_stem(path, image_dir), path) for path in images.find_images(image_dir)]
    missing = [path for stem, path in found if stem not in by_stem]
    if missing:
        first, stem = missing[0], _stem(missing[0], image_dir)
        raise InputError(
            f"{first}: no mask {label_dir / stem}.png; so of {len(missing)} of "
            f"{len(found)} images"
        )
    return [Pair(name=stem, image=path, label=by_stem[stem]) for stem, path in found]


def pairs_by_list(
    list_file: Path, image_dir: Path, label_dir: Path | None
) -> list[Pair]:
    """Pairs of the stems in a list file, one a line, in its order.

    Raises:
        InputError: No such list, or an image or mask is missing.
    """
    if not list_file.is_file():
        raise InputError(f"{list_file}: no such file")
    try:
        lines = list_file.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{list_file}: not a text file") from None
    stems = [line.strip() for line in lines if line.strip()]
    pairs = []
    for stem in stems:
        image = _with_suffix(image_dir, stem, list_file)
        label = _with_suffix(label_dir, stem, list_file) if label_dir else None
        pairs.append(Pair(name=stem, image=image, label=label))
    return pairs


def divided(pairs: Sequence[Pair], fraction: float, seed: int) -> dict[str, list[Pair]]:
    """Splits at random into "train" and a `fraction` for "val", at least one each."""
    shuffled = sorted(pairs, key=lambda pair: pair.name)
    random.Random(seed).shuffle(shuffled)
    held = min(max(1, round(len(shuffled) * fraction)), len(shuffled) - 1)
    if held < 1:
        raise InputError(
            f"{len(shuffled)} images: two are needed, to train and to test"
        )
    return {"train": shuffled[held:], "val": shuffled[:held]}


def _check_names(pairs: Sequence[Pair], split: str) -> None:
    if not pairs:
        raise InputError(f"split {split}: no images")
    named: dict[str, Path] = {}
    for pair in pairs:
        name = _record_name(pair)
        if name in named:
            raise InputError(f"{pair.image} and {named[name]}: two images of one name")
        named[name] = pair.image


def _record_name(pair: Pair) -> str:
    """Of one part: readers of records leave folders out of a name."""
    return pair.name.replace("/", "_")


def _read_labels(
    pairs: Sequence[Pair], split: str, table: np.ndarray | None
) -> dict[str, labels.Histogram]:
    found = {}
    for pair in tqdm(pairs, f"checking {split}", disable=None):
        _, _, size = images.encoded_image(pair.image)
        if pair.label:
            mask = images.read_mask(pair.label)
            labels.check_size(pair.label, mask, size)
            mask = mask if table is None else table[mask]
            found[str(pair.label)] = labels.histogram(mask)
    return found


def _records(
    pairs: Iterable[Pair], table: np.ndarray | None
) -> Iterator[tfrecord.Record]:
    for pair in pairs:
        encoded, image_format, size = images.encoded_image(pair.image)
        label = b""
        if pair.label:
            mask = images.read_mask(pair.label)
            mask = mask if table is None else table[mask]
            label = images.png(mask.astype(np.uint8))
        yield tfrecord.Record(
            name=_record_name(pair),
            image=encoded,
            image_format=image_format,
            size=size,
            label=label,
        )


def _counted(
    spec: DatasetSpec,
    splits: Mapping[str, Sequence[Pair]],
    histograms: Mapping[str, Mapping[str, labels.Histogram]],
) -> DatasetSpec:
    pixels = {
        split: tuple(
            sum(ids.get(label, 0) for ids in found.values())
            for label in range(spec.num_classes)
        )
        for split, found in histograms.items()
        if found
    }
    sizes = {split: len(pairs) for split, pairs in splits.items()}
    return dataclasses.replace(spec, split_sizes=sizes, pixel_counts=pixels)


def _move(source: Path, target: Path, splits: Mapping[str, Sequence[Pair]]) -> None:
    for split in splits:
        for old in target.glob(f"{split}-?????-of-?????.tfrecord"):
            old.unlink()
    for path in sorted(source.iterdir(), key=lambda path: path.name == spec_.FILE_NAME):
        shutil.move(path, target / path.name)


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _with_suffix(folder: Path, stem: str, list_file: Path) -> Path:
    for suffix in images.SUFFIXES:
        for name in (stem + suffix, stem + suffix.upper()):
            if (folder / name).is_file():
                return folder / name
    raise InputError(f"{folder / stem}.*: no such image; {list_file} lists it")
