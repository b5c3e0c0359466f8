"""Image folders: which files below a folder are images, and what is passed over."""

import dataclasses
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from absl import logging

from deeplab_tf.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
# Kinds of images that are not read, as cameras and programs write them.
_OTHERS = (
    *(".arw", ".avif", ".cr2", ".cr3", ".dng", ".exr", ".gif", ".heic", ".heif"),
    *(".jfif", ".jp2", ".jpe", ".nef", ".orf", ".psd", ".raf", ".rw2", ".svg"),
)
# What systems and programs put beside files of people; names with a leading dot, too.
_SYSTEM = {
    *("#recycle", "#snapshot", "$recycle.bin", "@eadir", "@recycle", "@tmp"),
    *("__macosx", "lost+found", "recycler", "system volume information"),
}
PREDICTIONS, RAW = "segmentation_results", "raw_segmentation_results"
DRAWN = (PREDICTIONS, RAW)  # Folders of `vis.py`.
_LEGEND = "legend.png"  # That it puts beside them.
_WILD = re.compile(r"\*\*/|\*|\?")
_MEANING = {"**/": "((?:.*/)?)", "*": "([^/]*)", "?": "([^/])"}


def find_images(
    folder: Path,
    *,
    without: Collection[Path] = (),
    suffixes: tuple[str, ...] = SUFFIXES,
) -> list[Path]:
    """Image files below a folder, sorted; a line of the log tells what is passed over.

    Links are followed, to each folder once. Hidden files, folders of the system and
    what `vis.py` has drawn are no photographs.

    Args:
        folder: Where to look.
        without: Folders that are left out.
        suffixes: Of what is wanted, in small letters.

    Raises:
        InputError: There is no such folder, or it has no images.
    """
    files = find_files(folder, without=without)
    paths = [path for path in files if path.suffix.lower() in suffixes]
    others = [path for path in files if path.suffix.lower() in _OTHERS]
    if others:
        logging.warning(
            "%s: %d images are of kinds that are not read, as %s; read are %s",
            folder,
            len(others),
            others[0],
            ", ".join(SUFFIXES),
        )
    if not paths:
        raise InputError(f"{folder}: no images ({', '.join(suffixes)})")
    return paths


def find_files(folder: Path, *, without: Collection[Path] = ()) -> list[Path]:
    """All files below a folder, as `find_images`.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {what}")
    walk = _Walk(without={path.resolve() for path in without if path.is_dir()})
    walk.follow(folder)
    for what, paths in (
        ("images that are hidden or of the system", walk.hidden),
        ("images that vis.py drew", walk.drawn),
        ("links to folders that are read already", walk.again),
        ("links that lead nowhere", walk.broken),
    ):
        if paths:
            logging.warning(
                "%s: passed over %d %s, as %s", folder, len(paths), what, min(paths)
            )
    return sorted(walk.files)


def match_files(folder: Path, pattern: str) -> dict[tuple[str, ...], Path]:
    """What the wildcards of a pattern stand for -> file, by order of the files.

    Args:
        folder: That the pattern starts from.
        pattern: As `leftImg8bit/*/*/*_leftImg8bit.png`; `**/` are folders at will.
    """
    fixed = [re.escape(part) for part in _WILD.split(pattern)]
    wild = [_MEANING[mark] for mark in wildcards(pattern)]
    shape = re.compile("".join(a + b for a, b in zip(fixed, [*wild, ""], strict=True)))
    top = folder / _WILD.split(pattern)[0].rpartition("/")[0]
    return {
        match.groups(): path
        for path in (find_files(top) if top.is_dir() else ())
        if (match := shape.fullmatch(path.relative_to(folder).as_posix()))
    }


def wildcards(pattern: str) -> list[str]:
    """The wildcards of a pattern, in order."""
    return _WILD.findall(pattern)


def fill_wildcards(pattern: str, texts: Iterable[str]) -> str:
    """A pattern with texts in the place of its wildcards."""
    rest = iter(texts)
    return _WILD.sub(lambda _: next(rest), pattern)


def is_image(path: Path) -> bool:
    """Whether a path is a file that is taken for an image."""
    return path.is_file() and _has_suffix(path) and not _is_hidden(path.name)


def is_passed_over(folder: Path) -> bool:
    """Whether a folder is no place of photographs, by its name."""
    return folder.name in DRAWN or _is_hidden(folder.name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _has_suffix(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


@dataclasses.dataclass(kw_only=True)
class _Walk:
    """Files below a folder.

    Attributes:
        without: Folders to leave out, resolved.
        files: Those that are there.
        hidden: Images that are hidden, or below what is.
        drawn: Images in folders of `vis.py`.
        again: Links to folders that are read already, or around them.
        broken: Links to nothing, but for those that are called as images.
    """

    without: Collection[Path]
    files: list[Path] = dataclasses.field(default_factory=list)
    hidden: list[Path] = dataclasses.field(default_factory=list)
    drawn: list[Path] = dataclasses.field(default_factory=list)
    again: list[Path] = dataclasses.field(default_factory=list)
    broken: list[Path] = dataclasses.field(default_factory=list)

    def follow(self, folder: Path) -> None:
        """Reads a folder and those below, before those that links lead to."""
        seen = {*folder.resolve().parents}
        folders, links = [folder], list[Path]()
        while folders or links:
            here = folders.pop() if folders else links.pop(0)
            place = here.resolve()
            if place in self.without:
                continue
            if place in seen:
                self.again.append(here)
                continue
            seen.add(place)
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
            legend = _LEGEND if any(entry.name in DRAWN for entry in entries) else ""
            for entry in entries:
                path = here / entry.name
                if entry.name == legend:
                    self.drawn.append(path)
                elif not entry.is_dir():
                    self._add_file(path, entry)
                elif is_passed_over(path):
                    drawn = entry.name in DRAWN
                    (self.drawn if drawn else self.hidden).extend(_images_below(path))
                else:
                    (links if entry.is_symlink() else folders).append(path)

    def _add_file(self, path: Path, entry: os.DirEntry[str]) -> None:
        if _is_hidden(entry.name):
            self.hidden += _images_below(path)
        elif entry.is_file():
            self.files.append(path)
        elif entry.is_symlink():  # Who reads an image says that it is broken.
            (self.files if _has_suffix(path) else self.broken).append(path)


def _images_below(path: Path) -> list[Path]:
    """The images of a file or folder that is passed over; links are not followed."""
    below = [path] if path.is_file() else path.rglob("*")
    return [each for each in below if _has_suffix(each) and each.is_file()]
