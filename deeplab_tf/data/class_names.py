"""Class names: what may be one, and the file or flag that lists them from id 0."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from deeplab_tf.errors import FlagError, InputError, is_printable, printable
from deeplab_tf.text_files import read_lines

_IGNORED = "__ignore__"  # The first line of a file of labelme: what is ignored.
_FILES = re.compile(r"\.(txt|csv|json|ya?ml|xml|names|pbtxt|lst)$", re.IGNORECASE)
_NUMBER = r"-?\d+(?:\.\d+)?"
# What lines of files look like that are no class names: of other tools, or of ours.
_OTHERS = {
    re.compile(r"[\[{}\]]|\"[^\"]*\"\s*:"): "JSON",
    re.compile(r"<"): "XML",
    re.compile(r"---$|- |[\w-]+:$|(?:nc|path|train|val|test|names|\d+):\s"): "YAML",
    re.compile(r"#|//"): "a comment or a heading",
    re.compile(r"--\w"): "a flag",
    re.compile(r"pixel value\s*,", re.IGNORECASE): "a table of Roboflow",
    re.compile(rf".*{_NUMBER}([\s,;]+){_NUMBER}\1{_NUMBER}"): (
        "a color table (--color_table) or coordinates"
    ),
    re.compile(r".*#[0-9a-fA-F]{6}\b"): "a color table (--color_table)",
    re.compile(r".*\.(jpe?g|png|tiff?|bmp|webp)\b", re.IGNORECASE): "a list of images",
    re.compile(r"\d{4}_\d{6}\b|.*\S\s+-1$"): "a list of images of PASCAL VOC",
    re.compile(r".*\s\d+\.\d+$"): "a weight (--class_weights)",
    re.compile(r"\d+\s*[,;\t:]\s*\S"): "an id and a name; the id follows from the line",
    re.compile(r".*\t"): "columns of a table",
    re.compile(r"[\"']"): "a name in quotes",
}


def resolve(
    given: Sequence[str], *, flag: str = "class_names", photos: Path | None = None
) -> tuple[str, ...]:
    """The names that a flag lists, or those in the file that it names.

    Args:
        given: Items of the flag.
        flag: Its name.
        photos: Folder of the images; a list of those cannot be meant.

    Raises:
        InputError: No such file, one class alone, or what is no name of a class.
    """
    where = f"--{flag}={','.join(given)}"
    if len(given) == 1:  # Two classes are the fewest there can be.
        path = Path(given[0]).expanduser()
        if not (path.exists() or _FILES.search(given[0]) or "/" in given[0]):
            raise FlagError(f"{where}: {_one_class(flag, given[0])}")
        where, names = given[0], read(path)
    else:
        names = tuple(given)
        if file := next(filter(_FILES.search, names), None):
            raise InputError(
                f"{where}: {file} is a file, not a class; give one file of all names, "
                "or the names"
            )
    names = check(names, where)
    if names[:1] == (_IGNORED,):
        logging.info("%s: %s is no class; ids count from the next", where, _IGNORED)
        names = names[1:]
    if _IGNORED in names:
        raise InputError(f"{where}: {_IGNORED} is no class; leave it out")
    if len(names) == 1:
        raise InputError(
            f"{where}: one class, {names[0]}; one object is two classes, it and the "
            "background"
        )
    if photos and names and all(_is_image(photos, name) for name in names):
        raise InputError(
            f"{where}: {names[0]}, {names[1]}, ... are images in {photos}, not classes"
        )
    return names


def _one_class(flag: str, name: str) -> str:
    """What is said of a class alone."""
    if " " in name:
        return f"one class; join several by commas: --{flag}={','.join(name.split())}"
    return (
        "one class, and no file of that name; one object is two classes, it and the "
        f"background: --{flag}=background,{name}"
    )


def read(path: Path) -> tuple[str, ...]:
    """The names in a file, one a line, from id 0.

    Raises:
        InputError: No such file, no text, or a file that lists something else.
    """
    lines = read_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise InputError(f"{path}: an empty file; one class name a line is needed")
    if len(lines) == 1 and "," in lines[0]:
        raise InputError(f"{path}: all in one line; one class name a line is needed")
    for number, line in enumerate(lines, 1):
        for shape, what in _OTHERS.items():
            if shape.match(line):
                raise InputError(
                    f"{path} line {number}: {line[:60]!r} is {what}, not a class name; "
                    "one name a line is needed, from id 0"
                )
    return tuple(lines)


def check(names: Sequence[object], where: object) -> tuple[str, ...]:
    """Names of classes without blanks around them.

    Args:
        names: From id 0.
        where: File, flag or data set that has them, which errors name.

    Raises:
        InputError: One is empty, has control characters, or is there twice.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InputError(f"{where}: {names!r:.40} is no list of class names")
    trimmed = tuple(_trim(name, where) for name in names)
    for number, name in enumerate(trimmed):
        if not name:
            raise InputError(
                f"{where}: class {number} has no name; ids follow the order of names"
            )
        if not is_printable(name):
            raise InputError(
                f'{where}: class {number}, "{printable(name)}", has a control '
                "character; a name is one line of text"
            )
        if name in trimmed[:number]:
            raise InputError(f"{where}: class {name} is named twice")
    return trimmed


def _is_image(photos: Path, name: str) -> bool:
    return any(photos.glob(glob.escape(name) + ".*"))


def _trim(name: object, where: object) -> str:
    if not isinstance(name, str):
        raise InputError(f"{where}: {name!r} is no name of a class; a text is needed")
    return name.strip().strip("\ufeff").strip()
