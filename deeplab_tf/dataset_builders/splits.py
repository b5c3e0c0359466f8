"""Splits: which photographs belong to which, by lists, folders, patterns or at random.

Where names of masks and photographs differ, glob patterns pair them.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from absl import logging

from deeplab_tf.data import image_folders
from deeplab_tf.dataset_builders import coco, pairing
from deeplab_tf.dataset_builders.sources import Pair, read_stems
from deeplab_tf.errors import FlagError, InputError

Splits = Mapping[str, Sequence[Pair]]
# Of splits, as other programs write them.
_OTHER_NAMES = {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Splitter:
    """Divides photographs into splits.

    Attributes:
        lists: File of the stems of each split; they win.
        by_folder: Whether folders are splits; None: unknown.
        fraction: Share to test on, where neither says.
        seed: Of that choice.
    """

    lists: Mapping[str, Path]
    by_folder: bool | None
    fraction: float
    seed: int

    def split_folders(self, photos: Path, masks: Path) -> Splits:
        """Splits of photographs and masks that have the same names.

        Raises:
            InputError: A file is missing.
            FlagError: There are folders train and val, and nobody said what they are.
        """
        if self.lists:
            splits = {
                split: pairing.pairs_by_list(path, photos, masks)
                for split, path in self.lists.items()
            }
            _tell_unlisted(photos, splits, "lists", without=masks)
            return _check_disjoint(splits)
        if self.by_folder:
            return _pair_below(photos, masks)
        self._check_not_mixed(photos, [path.name for path in _folders_in(photos)])
        return self._by_list_or_random(pairing.pairs_by_stem(photos, masks))

    def split_patterns(
        self, photos: Path, image_glob: str, masks: Path, label_glob: str
    ) -> Splits:
        """Splits of photographs and masks whose names fit glob patterns.

        Raises:
            InputError: A file is missing.
            FlagError: As `split_folders`, of what the first wildcard stands for.
        """
        by_wildcards = pairing.pairs_by_glob(photos, image_glob, masks, label_glob)
        pairs = list(by_wildcards.values())
        folders = [wild[0].split("/")[0] for wild in by_wildcards]
        if self.by_folder:
            return _group_by_folder(folders, pairs)
        self._check_not_mixed(photos, folders)
        return self._by_list_or_random(pairs)

    def split_annotations(
        self, photos: Path, files: Sequence[Path]
    ) -> dict[str, tuple[Path, Sequence[Pair]]]:
        """Splits of photographs that COCO's annotations list: file and pairs of each.

        Raises:
            InputError: A file is missing, or lies in no folder that could be a split.
            FlagError: As `split_folders`, of the names in a file; or two files are
                splits already.
        """
        if len(files) > 1:
            return self._from_two_files(photos, files)
        pairs = coco.find_images(coco.read_annotations(files[0]), [photos])
        _tell_unlisted(photos, {"": pairs}, "annotations")
        folders = [pair.name.rpartition("/")[0].split("/")[0] for pair in pairs]
        if self.by_folder:
            if "" in folders:
                flat = pairs[folders.index("")].image.name
                raise InputError(
                    f"--split_by_folder: {files[0]} names {flat}, without a folder; "
                    "give two files, to train and to test on, or lists"
                )
            splits = _group_by_folder(folders, pairs)
        else:
            self._check_not_mixed(photos, folders)
            splits = self._by_list_or_random(pairs)
        return {split: (files[0], pairs) for split, pairs in splits.items()}

    def split_export(self, folder: Path, pairs: Sequence[Pair]) -> Splits:
        """Splits of what an annotation tool has left undivided.

        Raises:
            InputError: A list names what is not there, or a name has no folder.
            FlagError: As `split_folders`, of the names.
        """
        folders = [pair.name.rpartition("/")[0].split("/")[0] for pair in pairs]
        if self.by_folder:
            if "" in folders:
                flat = pairs[folders.index("")].image
                raise InputError(
                    f"--split_by_folder: {flat} is in no folder of {folder}"
                )
            return _group_by_folder(folders, pairs)
        self._check_not_mixed(folder, folders, flag="annotation_dir")
        return self._by_list_or_random(pairs)

    def _from_two_files(
        self, photos: Path, files: Sequence[Path]
    ) -> dict[str, tuple[Path, Sequence[Pair]]]:
        if self.lists or self.by_folder:
            given = "train_list" if self.lists else "split_by_folder"
            raise FlagError(
                f"--coco_annotations and --{given}: two files of annotations are train "
                "and val already; leave it out, or give one file"
            )
        by_split = dict(zip(("train", "val"), files, strict=True))
        splits = _check_disjoint(
            {
                split: coco.find_images(
                    coco.read_annotations(file), _image_folders(photos, split)
                )
                for split, file in by_split.items()
            }
        )
        _tell_unlisted(photos, splits, "annotations")
        return {split: (file, splits[split]) for split, file in by_split.items()}

    def _check_not_mixed(
        self, photos: Path, folders: Collection[str], flag: str = "image_dir"
    ) -> None:
        """Raises a FlagError where splits would be mixed, and nobody said so."""
        splits = {split_name(folder): folder for folder in folders}
        mixed = self.by_folder is None and not self.lists
        if mixed and {"train", "val"} <= splits.keys():
            raise FlagError(
                f"--{flag}={photos}: it has folders {splits['train']} and "
                f"{splits['val']}; give --split_by_folder to keep them apart, or "
                "--nosplit_by_folder to mix them"
            )

    def _by_list_or_random(self, pairs: Sequence[Pair]) -> Splits:
        if self.lists:
            return _check_disjoint(
                {
                    split: _select_listed(pairs, path)
                    for split, path in self.lists.items()
                }
            )
        return pairing.random_split(pairs, self.fraction, self.seed)


def _check_disjoint(splits: Splits) -> Splits:
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


def _tell_unlisted(
    photos: Path, splits: Splits, what: str, without: Path | None = None
) -> None:
    """Warns of images in a folder that no list, or no annotations, name."""
    listed = {pair.image for pairs in splits.values() for pair in pairs}
    images = image_folders.find_images(photos, without=[without] if without else ())
    if left := [path for path in images if path not in listed]:
        logging.warning(
            "%s: %d of %d images are in none of the %s, first %s",
            photos,
            len(left),
            len(images),
            what,
            left[0],
        )


def _image_folders(photos: Path, split: str) -> list[Path]:
    """Where photographs of a split may lie: as train2017 in COCO's own folder."""
    below = [path for path in photos.glob(f"{split}*") if path.is_dir()]
    return [photos, *sorted(below)]


def split_name(folder: str) -> str:
    """The split that a folder is: "val" of "valid", as some programs write it."""
    name = folder.lower()
    known = {*_OTHER_NAMES.values()}
    return _OTHER_NAMES.get(name, name if name in known else folder)


def _pair_below(photos: Path, masks: Path) -> Splits:
    """Pairs by stem of each folder right below two: train, val, ..."""
    if not photos.is_dir():
        raise InputError(f"{photos}: no such folder")
    folders = [
        path for path in _folders_in(photos) if path.resolve() != masks.resolve()
    ]
    if not folders:
        raise InputError(f"{photos}: no folders in it, as train and val")
    loose = [path for path in photos.iterdir() if image_folders.is_image(path)]
    if loose:
        logging.warning(
            "%s: %d images lie in no folder, and so in no split, first %s",
            photos,
            len(loose),
            min(loose),
        )
    pairs = [_pair_split(folder, masks / folder.name) for folder in folders]
    return _join_splits([path.name for path in folders], pairs)


def _pair_split(photos: Path, masks: Path) -> list[Pair]:
    if photos.name.startswith("test") and not masks.is_dir():
        return [
            Pair(name=path.stem, image=path, label=None)
            for path in image_folders.find_images(photos)
        ]
    return pairing.pairs_by_stem(photos, masks)


def _folders_in(folder: Path) -> list[Path]:
    """Folders right below one, by name, but for hidden ones."""
    return sorted(
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.is_dir() and not image_folders.is_passed_over(path)
    )


def _group_by_folder(folders: Sequence[str], pairs: Sequence[Pair]) -> Splits:
    groups: dict[str, list[Pair]] = {}
    for folder, pair in zip(folders, pairs, strict=True):
        groups.setdefault(folder, []).append(pair)
    return _join_splits(list(groups), list(groups.values()))


def _join_splits(folders: Sequence[str], pairs: Sequence[Sequence[Pair]]) -> Splits:
    """Pairs of each folder, by the split that it is.

    Raises:
        InputError: Two folders are one split.
    """
    splits: dict[str, Sequence[Pair]] = {}
    for folder, some in zip(folders, pairs, strict=True):
        split = split_name(folder)
        if split in splits:
            raise InputError(
                f"folders {split} and {folder}: both are the split {split}; put their "
                "files into one"
            )
        if split != folder:
            logging.info("%s becomes the split %s", folder, split)
        splits[split] = some
    return splits


def _select_listed(pairs: Sequence[Pair], list_file: Path) -> list[Pair]:
    """The pairs that a list names, one a line, in its order."""
    by_name = {pair.name: pair for pair in pairs}
    stems = read_stems(list_file)
    for stem in stems:
        if stem not in by_name:
            raise InputError(
                f"{list_file}: no image is called {stem}; one is {next(iter(by_name))}"
            )
    return [by_name[stem] for stem in stems]
