"""Flagfiles and recipes: command lines in files, read as a shell would read them."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from deeplab_tf.errors import FlagError, one_of
from deeplab_tf.files import RECIPES, find_recipe_file
from deeplab_tf.text_files import read_text

# The next word of a line, or the comment that ends it.
_WORD = re.compile(
    r"""\s*(?:(?P<comment>\#.*)|(?P<word>(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+))"""
)


class Layer(NamedTuple):
    """Words of a command line, or of a flagfile, between those that name flagfiles."""

    words: list[str]
    by_hand: bool


def layers(words: Sequence[str], opened: tuple[Path, ...] = ()) -> Iterator[Layer]:
    """Splits a command line into what stands before, in and after each flagfile.

    Args:
        words: Of a command line or a flagfile.
        opened: The flagfiles that these stand in, outermost first.

    Raises:
        FlagError: A flagfile is not there, reads itself or cannot be understood.
    """
    layer: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if match := re.fullmatch("--?(flagfile|recipe)(=.*)?", word, re.DOTALL):
            name, value = match[1], match[2]
            given = value[1:] if value else rest.pop(0) if rest else ""
            path = _find_recipe(given) if name == "recipe" else find_recipe_file(given)
            yield Layer(layer, not opened)
            if path.resolve() in opened:
                raise FlagError(f"--{name}={given}: the file reads itself")
            inner = _read(path, f"--{name}={given}")
            yield from layers(inner, (*opened, path.resolve()))
            layer = []
        else:
            layer.append(word)
    yield Layer(layer, not opened)


def recipes() -> list[str]:
    """Names of packaged recipes; those in a folder, as folder/name, come last.

    A file whose name begins with `_` is what others have in common, and none by itself.
    """
    files = [*sorted(RECIPES.glob("*.flags")), *sorted(RECIPES.glob("*/*.flags"))]
    return [
        path.relative_to(RECIPES).with_suffix("").as_posix()
        for path in files
        if not path.name.startswith("_")
    ]


def _find_recipe(name: str) -> Path:
    """The flagfile of a packaged recipe."""
    names = recipes()
    if name not in names:
        inner = [each for each in names if each.endswith(f"/{name}")]
        meant = inner[0] if inner else name
        raise FlagError(f"--recipe={name}: {one_of(meant, names)}")
    return RECIPES / f"{name}.flags"


def _read(path: Path, given: str) -> list[str]:
    """The words of a flagfile, but for comments."""
    if not given.partition("=")[2]:
        raise FlagError(f"{given}: a file is needed")
    if path.is_dir():
        raise FlagError(f"{given}: a folder, where a file of flags should be")
    if not path.is_file():
        raise FlagError(f"{given}: no such file")
    words: list[str] = []
    for number, line in _lines(read_text(path, given)):
        words += _split(line, f"{path}, line {number}")
    return words


def _lines(text: str) -> Iterator[tuple[int, str]]:
    r"""Numbers and lines, but for comments; one that ends in `\` goes on."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not begun and line.lstrip().startswith(("#", "//")):
            continue
        first = first if begun else number
        begun += line
        if begun.endswith("\\") and not begun.endswith("\\\\"):
            begun = f"{begun[:-1]} "
            continue
        yield first, begun
        begun = ""
    if begun:
        yield first, begun


def _split(line: str, place: str) -> Iterator[str]:
    """Words of a line, without quotes, up to a comment."""
    rest = line.strip()
    while rest:
        match = _WORD.match(rest)
        if not match:
            raise FlagError(f"{place}: {rest}: a quote is not closed")
        if match["comment"]:
            return
        _refuse_shell(match["word"], place)
        yield shlex.split(match["word"])[0]
        rest = rest[match.end() :].lstrip()


def _refuse_shell(word: str, place: str) -> None:
    """Raises where a shell would do with a word what is not done here."""
    plain = re.sub("'[^']*'", "", word)
    if variable := re.search(r"\$(\w+|\{[^}]*\}|\([^)]*\))|`[^`]*`", plain):
        raise FlagError(
            f"{place}: {word}: {variable[0]} is not replaced in a flagfile; write what "
            "it stands for"
        )
    plain = re.sub(r'"(\\.|[^"])*"', "", plain)
    if re.search(r"\\\w", plain):
        raise FlagError(
            f"{place}: {word}: a shell drops this \\; to keep it, quote: '{word}'"
        )
    if plain.endswith(";") or plain in ("&&", "||", "|", ">", "<", "&"):
        raise FlagError(f"{place}: {word}: a flagfile holds flags alone, no commands")
