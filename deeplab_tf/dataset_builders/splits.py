"""Which photograph belongs to which split: by lists, by folders, or by chance."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from deeplab_tf.data import image_files
from deeplab_tf.dataset_builders import coco, pairing, sources
from deeplab_tf.dataset_builders.sources import Pair
from deeplab_tf.errors import FlagError, InputError

Splits = Mapping[str, Sequence[Pair]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Splitting:
    """How photographs are divided.

    Attributes:
        lists: File of the stems of each split; they win.
        by_folder: Whether folders are splits; None: not said.
        fraction: Share to test on, where neither says.
        seed: Of that choice.
    """

    lists: Mapping[str, Path]
    by_folder: bool | None
    fraction: float
    seed: int

    def folders(self, photos: Path, masks: Path) -> Splits:
        """Of photographs and masks that have the same names.

        Raises:
            InputError: A file is missing.
            FlagError: There are folders train and val, and nobody said what they are.
        """
        if self.lists:
            return _apart(
                {
                    split: sources.pairs_by_list(path, photos, masks)
                    for split, path in self.lists.items()
                }
            )
        if self.by_folder:
            return _below(photos, masks)
        self._check_asked(photos, [path.name for path in photos.glob("*/")])
        return self._divided(sources.pairs_by_stem(photos, masks))

    def patterns(
        self, photos: Path, image_glob: str, masks: Path, label_glob: str
    ) -> Splits:
        """Of photographs and masks whose names fit patterns.

        Raises:
            InputError: A file is missing.
            FlagError: As `folders`, of what the first wildcard stands for.
        """
        found = pairing.pairs_by_glob(photos, image_glob, masks, label_glob)
        firsts = [parts[0].split("/")[0] for parts in found]
        if self.by_folder:
            return _by_first(firsts, list(found.values()))
        self._check_asked(photos, firsts)
        return self._divided(list(found.values()))

    def annotations(
        self, photos: Path, files: Sequence[Path]
    ) -> dict[str, tuple[Path, Sequence[Pair]]]:
        """Of photographs that COCO's annotations list: file and photographs of each.

        Raises:
            InputError: A file is missing, or lies in no folder that could be a split.
            FlagError: As `folders`, of the names in a file; or two files are splits
                already.
        """
        if len(files) > 1:
            return self._two(photos, files)
        pairs = coco.pairs(coco.read(files[0]), [photos])
        firsts = [pair.name.rpartition("/")[0].split("/")[0] for pair in pairs]
        if self.by_folder:
            if "" in firsts:
                flat = pairs[firsts.index("")].image.name
                raise InputError(
                    f"--split_by_folder: {files[0]} names {flat}, without a folder; "
                    "give two files, to train and to test on, or lists"
                )
            splits = _by_first(firsts, pairs)
        else:
            self._check_asked(photos, firsts)
            splits = self._divided(pairs)
        return {split: (files[0], some) for split, some in splits.items()}

    def _two(
        self, photos: Path, files: Sequence[Path]
    ) -> dict[str, tuple[Path, Sequence[Pair]]]:
        if self.lists or self.by_folder:
            given = "train_list" if self.lists else "split_by_folder"
            raise FlagError(
                f"--coco_annotations and --{given}: two files of annotations are train "
                "and val already; leave it out, or give one file"
            )
        found = dict(zip(("train", "val"), files, strict=True))
        splits = _apart(
            {
                split: coco.pairs(coco.read(file), _places(photos, split))
                for split, file in found.items()
            }
        )
        return {split: (file, splits[split]) for split, file in found.items()}

    def _check_asked(self, photos: Path, firsts: Collection[str]) -> None:
        """Raises a FlagError where splits would be mixed, and nobody said so."""
        if self.by_folder is None and not self.lists and {"train", "val"} <= {*firsts}:
            raise FlagError(
                f"--image_dir={photos}: it has folders train and val; give "
                "--split_by_folder to keep them apart, or --nosplit_by_folder to mix "
                "them"
            )

    def _divided(self, pairs: Sequence[Pair]) -> Splits:
        if self.lists:
            return _apart(
                {split: _chosen(pairs, path) for split, path in self.lists.items()}
            )
        return sources.divided(pairs, self.fraction, self.seed)


def _apart(splits: Splits) -> Splits:
    """Raises an InputError where a photograph is in two splits."""
    seen: dict[Path, str] = {}
    for split, pairs in splits.items():
        for pair in pairs:
            if seen.setdefault(pair.image, split) != split:
                raise InputError(
                    f"{pair.image}: in the splits {seen[pair.image]} and {split}; in "
                    "one alone is needed"
                )
    return splits


def _places(photos: Path, split: str) -> list[Path]:
    """Where photographs of a split may lie: as train2017 in COCO's own folder."""
    below = [path for path in photos.glob(f"{split}*") if path.is_dir()]
    return [photos, *sorted(below)]


def _below(photos: Path, masks: Path) -> Splits:
    """Pairs by stem of each folder right below two: train, val, ..."""
    if not photos.is_dir():
        raise InputError(f"{photos}: no such folder")
    names = sorted(path.name for path in photos.iterdir() if path.is_dir())
    if not names:
        raise InputError(f"{photos}: no folders in it, as train and val")
    splits = {}
    for name in names:
        if name.startswith("test") and not (masks / name).is_dir():
            splits[name] = [
                Pair(name=path.stem, image=path, label=None)
                for path in image_files.find_images(photos / name)
            ]
        else:
            splits[name] = sources.pairs_by_stem(photos / name, masks / name)
    return splits


def _by_first(firsts: Sequence[str], pairs: Sequence[Pair]) -> Splits:
    splits: dict[str, list[Pair]] = {}
    for first, pair in zip(firsts, pairs, strict=True):
        splits.setdefault(first, []).append(pair)
    return splits


def _chosen(pairs: Sequence[Pair], list_file: Path) -> list[Pair]:
    """The pairs that a list names, one a line, in its order."""
    by_name = {pair.name: pair for pair in pairs}
    stems = sources.read_list(list_file)
    for stem in stems:
        if stem not in by_name:
            raise InputError(
                f"{list_file}: no image is called {stem}; one is {next(iter(by_name))}"
            )
    return [by_name[stem] for stem in stems]
