"""Export: what an annotation tool wrote, as photographs, class names and splits."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

import numpy as np
from absl import logging

from deeplab_tf import text_files
from deeplab_tf.data import image_folders
from deeplab_tf.data.labels.contract import list_first
from deeplab_tf.data.open_image import MAX_PIXELS
from deeplab_tf.data.spec import Color
from deeplab_tf.dataset_builders.coco import CocoSource
from deeplab_tf.dataset_builders.sources import FileSource, Pair
from deeplab_tf.dataset_builders.splits import Splitter
from deeplab_tf.errors import DamagedFile, FlagError, InputError

Source = FileSource | CocoSource
UNDIVIDED = ""  # The split of what an export does not divide.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a user may say of an export.

    Attributes:
        class_names: From id 0; empty: as the export has them.
        ignore_label: Id of what counts nowhere.
        line_width: Of lines, and diameter of points, in pixels.
        transparent: What transparent pixels of a mask are.
    """

    class_names: tuple[str, ...] = ()
    ignore_label: int = 255
    line_width: float = 5.0
    transparent: Literal["background", "ignore"] = "background"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """What is built of an export.

    Attributes:
        classes: Names from id 0.
        splits: Samples of each split; those of `UNDIVIDED` are to be divided.
        palette: Color of each class, where the export has some.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, Source]
    palette: tuple[Color, ...] | None = None

    def divide(
        self, folder: Path, splitter: Splitter, max_pixels: int = MAX_PIXELS
    ) -> "Export":
        """Divides what the export has not divided.

        Args:
            folder: Of the export, which errors name.
            splitter: How to divide.
            max_pixels: Larger images are refused.

        Raises:
            FlagError: It is divided already, and the user wants it otherwise.
        """
        if {*self.splits} - {UNDIVIDED, "train"}:
            given = "train_list" if splitter.lists else "split_by_folder"
            if splitter.lists or splitter.by_folder is False:
                raise FlagError(
                    f"--{given}: {folder} has the splits {', '.join(self.splits)} "
                    "already; leave it out"
                )
            splits = dict(self.splits)
            logging.info(
                "%s: splits as exported, %s, whatever --val_fraction and --seed say",
                folder,
                ", ".join(splits),
            )
        else:
            ((split, source),) = self.splits.items()
            if split:
                logging.info("%s: train is its only split; some becomes val", folder)
            splits = {
                name: dataclasses.replace(source, pairs=pairs)
                for name, pairs in splitter.split_export(folder, source.pairs).items()
            }
        return dataclasses.replace(
            self,
            splits={
                name: dataclasses.replace(source, max_pixels=max_pixels)
                for name, source in splits.items()
            },
        )


class ExportFolder:
    """The files of an export, and the photographs that belong to it.

    Attributes:
        path: Of the folder.
        photos: Folder of the photographs, if they are elsewhere.
        files: All files below the former, sorted; without hidden ones.
    """

    def __init__(self, path: Path, photos: Path | None = None) -> None:
        self.path, self.photos = path, photos
        self.files = image_folders.find_files(path)

    def named(self, *names: str) -> list[Path]:
        """Files of these names."""
        return [path for path in self.files if path.name in names]

    def ending(self, end: str) -> list[Path]:
        """Files whose names end so, in whatever case."""
        return [path for path in self.files if path.name.lower().endswith(end)]

    def has_json(self, fits: Callable[[Any], bool]) -> bool:
        """Whether a file of JSON says what fits; others may be damaged."""
        for path in self.ending(".json"):
            with contextlib.suppress(InputError):
                if fits(read_json(path)):
                    return True
        return False

    @functools.cached_property
    def images(self) -> list[Path]:
        """Image files, masks among them, and those of `photos`."""
        elsewhere = image_folders.find_files(self.photos) if self.photos else []
        files = dict.fromkeys([*elsewhere, *self.files])
        return [path for path in files if image_folders.is_image(path)]


class Photographs:
    """Photographs, to be found by the names that annotations give them.

    Only what lies below the folders of an export can be found, whatever a name says.
    """

    def __init__(self, folder: ExportFolder, photos: Iterable[Path]) -> None:
        self._folder, self._all = folder, list(photos)
        self._by_name: dict[str, list[Path]] = {}
        for path in self._all:
            for name in {path.name, path.stem, path.name.lower()}:
                self._by_name.setdefault(name, []).append(path)

    def find(self, named: str, beside: Path) -> Path | None:
        """The photograph of an annotation; None where there is none.

        Args:
            named: Name or path, as the tool wrote it on whatever system; with suffix
                or without.
            beside: Folder from which the path may start.

        Raises:
            InputError: Several could be meant.
        """
        path = PurePosixPath(named.replace("\\", "/"))
        fitting = self._by_name.get(path.name) or self._by_name.get(path.name.lower())
        if not fitting:
            return None
        place = os.path.normpath(beside / path)
        if exact := [one for one in fitting if os.path.normpath(one) == place]:
            return exact[0]
        # Of several, the one with most of the path's folders in common.
        most = max(_common_folders(one, path) for one in fitting)
        best = [one for one in fitting if _common_folders(one, path) == most]
        if len(best) > 1:
            raise InputError(
                f"{best[0]} and {best[1]}: either may be {named}, which annotations in "
                f"{beside} name"
            )
        return best[0]

    def pair(
        self,
        annotations: Mapping[Path, str],
        what: str,
        embedded: Container[Path] = frozenset(),
    ) -> dict[Path, Pair]:
        """Pairs of photographs and annotations, called as the former.

        Args:
            annotations: File -> name of its photograph. One of several in a file is
                FILE/NUMBER.
            what: They are, as "masks"; photographs without are told, and left out.
            embedded: Files that hold their photographs.

        Raises:
            InputError: Photographs are missing, or have two annotations.
        """
        photos: dict[Path, Path] = {}
        missing: list[Path] = []
        for file, named in annotations.items():
            beside = file.parent if file.parent.is_dir() else file.parent.parent
            photo = self.find(named, beside)
            photo = file if photo is None and file in embedded else photo
            if photo is None:
                missing.append(file)
            elif photo in photos:
                raise InputError(
                    f"{file} and {photos[photo]}: both are of {photo}; one alone can be"
                )
            else:
                photos[photo] = file
        if missing:
            raise self._missing(missing, annotations)
        self._warn_of_unused(photos, what)
        top = _common_folder(photos)
        return {
            file: Pair(name=_stem(photo, top), image=photo, label=file)
            for photo, file in photos.items()
        }

    def _missing(
        self, missing: Sequence[Path], annotations: Mapping[Path, str]
    ) -> InputError:
        folders = [path for path in (self._folder.path, self._folder.photos) if path]
        return InputError(
            f"{missing[0]}: no photograph {annotations[missing[0]]} below "
            f"{' or '.join(map(str, folders))}; so of {len(missing)} of "
            f"{len(annotations)} annotations; --image_dir says where they are"
        )

    def _warn_of_unused(self, used: Container[Path], what: str) -> None:
        if left := [path for path in self._all if path not in used]:
            logging.warning(
                "%d of %d photographs have no %s and are left out: %s",
                len(left),
                len(self._all),
                what,
                list_first(left),
            )


class Notes:
    """What a reader of annotations has to tell: a line for each kind of thing."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, what: str, where: object) -> None:
        """Counts a thing, as "shapes left out, which have too few points"."""
        self._places.setdefault(what, []).append(str(where))

    def tell(self) -> None:
        """Warns of each kind, with its count and where it is."""
        for what, places in self._places.items():
            where = list_first(list(dict.fromkeys(places)))
            logging.warning("%d %s: %s", len(places), what, where)


class Drawer(Protocol):
    """A reader of masks that can tell what it does."""

    def draw(self, path: Path, notes: Notes) -> np.ndarray:
        """The mask of an annotation; notes what is worth telling."""


def draw_all(reader: Drawer, files: Iterable[Path], notes: Notes) -> None:
    """Draws all masks once, so that what is wrong or odd is told before the build.

    Damaged images are for the build to name, or to leave out.
    """
    for path in files:
        with contextlib.suppress(DamagedFile):
            reader.draw(path, notes)
    notes.tell()


def is_object(facts: Any, keys: Collection[str]) -> bool:
    """Whether JSON is an object with these keys."""
    return isinstance(facts, dict) and facts.keys() >= {*keys}


def read_json(path: Path) -> Any:
    """What a file of JSON says.

    Raises:
        InputError: It is no JSON.
    """
    return text_files.read_json(path, "JSON", object)


def _common_folders(path: Path, named: PurePosixPath) -> int:
    """How many of a path's last folders are those of another."""
    count = 0
    for one, other in zip(path.parts[-2::-1], named.parts[-2::-1], strict=False):
        if one != other:
            break
        count += 1
    return count


def _common_folder(photos: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([photo.parent for photo in photos]))


def _stem(path: Path, top: Path) -> str:
    return path.relative_to(top).with_suffix("").as_posix()
