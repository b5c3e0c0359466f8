"""Splits: which photographs belong to which, by lists, folders, patterns or at random.

Where names of masks and photographs differ, glob patterns pair them.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from deeplab_tf.data import image_files
from deeplab_tf.dataset_builders import coco, sources
from deeplab_tf.dataset_builders.sources import Pair
from deeplab_tf.errors import FlagError, InputError

Splits = Mapping[str, Sequence[Pair]]
_WILD = re.compile(r"\*\*/|\*|\?")
_MEANING = {"**/": "((?:.*/)?)", "*": "([^/]*)", "?": "([^/])"}


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
            return _check_disjoint(
                {
                    split: sources.pairs_by_list(path, photos, masks)
                    for split, path in self.lists.items()
                }
            )
        if self.by_folder:
            return _pair_below(photos, masks)
        self._check_not_mixed(photos, [path.name for path in photos.glob("*/")])
        return self._by_list_or_random(sources.pairs_by_stem(photos, masks))

    def split_patterns(
        self, photos: Path, image_glob: str, masks: Path, label_glob: str
    ) -> Splits:
        """Splits of photographs and masks whose names fit glob patterns.

        Raises:
            InputError: A file is missing.
            FlagError: As `split_folders`, of what the first wildcard stands for.
        """
        by_wildcards = pairs_by_glob(photos, image_glob, masks, label_glob)
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
        return {split: (file, splits[split]) for split, file in by_split.items()}

    def _check_not_mixed(self, photos: Path, folders: Collection[str]) -> None:
        """Raises a FlagError where splits would be mixed, and nobody said so."""
        if self.by_folder is None and not self.lists and {"train", "val"} <= {*folders}:
            raise FlagError(
                f"--image_dir={photos}: it has folders train and val; give "
                "--split_by_folder to keep them apart, or --nosplit_by_folder to mix "
                "them"
            )

    def _by_list_or_random(self, pairs: Sequence[Pair]) -> Splits:
        if self.lists:
            return _check_disjoint(
                {
                    split: _select_listed(pairs, path)
                    for split, path in self.lists.items()
                }
            )
        return sources.random_split(pairs, self.fraction, self.seed)


def pairs_by_glob(
    image_dir: Path, image_glob: str, label_dir: Path, label_glob: str
) -> dict[tuple[str, ...], Pair]:
    """Pairs files of two patterns whose wildcards stand for the same.

    Args:
        image_dir: Folder that the first pattern starts from.
        image_glob: As `leftImg8bit/*/*/*_leftImg8bit.png`; `**/` are folders at will.
        label_dir: Folder that the second one starts from.
        label_glob: As `gtFine/*/*/*_gtFine_labelIds.png`.

    Returns:
        What the wildcards stand for -> pair, sorted. Its name is what the last one
        stands for where that tells all apart, or else all of them.

    Raises:
        FlagError: The patterns have not as many wildcards.
        InputError: Nothing fits, or an image has no mask.
    """
    if image_glob.startswith("/") or label_glob.startswith("/"):
        raise FlagError(
            f"--image_glob={image_glob} --label_glob={label_glob}: below --image_dir "
            "and --label_dir, so without / at the beginning"
        )
    count = len(_WILD.findall(image_glob))
    if not count or count != len(_WILD.findall(label_glob)):
        raise FlagError(
            f"--image_glob={image_glob} --label_glob={label_glob}: as many * in the "
            "one as in the other are needed, and one at least"
        )
    images = _match_files(image_dir, image_glob)
    if not images:
        raise InputError(f"--image_glob={image_glob}: no files in {image_dir}")
    last = {wild[-1] for wild in images}
    pairs, missing = {}, []
    for wild, image in images.items():
        label = label_dir / _fill_wildcards(label_glob, wild)
        if not label.is_file():
            missing.append((image, label))
        name = wild[-1] if len(last) == len(images) else "_".join(filter(None, wild))
        pairs[wild] = Pair(name=name.strip("/"), image=image, label=label)
    if missing:
        image, label = missing[0]
        raise InputError(
            f"{image}: no mask {label}; so of {len(missing)} of {len(images)} images"
        )
    return pairs


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


def _image_folders(photos: Path, split: str) -> list[Path]:
    """Where photographs of a split may lie: as train2017 in COCO's own folder."""
    below = [path for path in photos.glob(f"{split}*") if path.is_dir()]
    return [photos, *sorted(below)]


def _pair_below(photos: Path, masks: Path) -> Splits:
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


def _group_by_folder(folders: Sequence[str], pairs: Sequence[Pair]) -> Splits:
    splits: dict[str, list[Pair]] = {}
    for folder, pair in zip(folders, pairs, strict=True):
        splits.setdefault(folder, []).append(pair)
    return splits


def _select_listed(pairs: Sequence[Pair], list_file: Path) -> list[Pair]:
    """The pairs that a list names, one a line, in its order."""
    by_name = {pair.name: pair for pair in pairs}
    stems = sources.read_list(list_file)
    for stem in stems:
        if stem not in by_name:
            raise InputError(
                f"{list_file}: no image is called {stem}; one is {next(iter(by_name))}"
            )
    return [by_name[stem] for stem in stems]


def _match_files(folder: Path, pattern: str) -> dict[tuple[str, ...], Path]:
    """What the wildcards stand for -> file."""
    fixed = [re.escape(part) for part in _WILD.split(pattern)]
    wild = [_MEANING[mark] for mark in _WILD.findall(pattern)]
    shape = re.compile("".join(a + b for a, b in zip(fixed, [*wild, ""], strict=True)))
    files = {}
    for path in sorted(folder.glob(pattern)):
        match = shape.fullmatch(path.relative_to(folder).as_posix())
        if match and path.is_file():
            files[match.groups()] = path
    return files


def _fill_wildcards(pattern: str, texts: Sequence[str]) -> str:
    rest = iter(texts)
    return _WILD.sub(lambda _: next(rest), pattern)
