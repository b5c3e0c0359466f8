"""The one error that a user's mistake raises; a command prints it as one line."""

import contextlib
import difflib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

LabelErrorKind = Literal[
    "class_count",
    "color_mask",
    "counts_from_1",
    "exif_mask",
    "gray_palette",
    "ids_beyond_classes",
    "interpolated",
    "jpeg_mask",
    "no_label",
    "not_png",
    "nothing_to_learn",
    "object_ignored",
    "photograph",
    "png_mode",
    "size",
    "wide_ids",
]
Remedies = Mapping[LabelErrorKind, str]
# Control characters, halves of pairs, those that are not seen, and those that turn the
# direction of writing; not the joiners that some scripts need.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def printable(text: object) -> str:
    r"""A text as a line can show it: control characters escaped, as `\n` and `\x1b`.

    So are characters that are not seen or turn the line around, and bytes of file names
    that are not in UTF-8.
    """
    return _UNPRINTABLE.sub(_escape, str(text))


def is_printable(text: str) -> bool:
    """Whether `printable` leaves a text as it is."""
    return not _UNPRINTABLE.search(text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if "\udc80" <= char <= "\udcff":  # How Python keeps a byte of a file name.
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


class InputError(ValueError):
    """What was given, in which file or flag, and what would do.

    One line: what looks like more is escaped where it is printed. Where steps follow
    that are to be done by hand, they are arguments of their own, a line each.
    """

    exit_code = 1

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class FlagError(InputError):
    """A command line that cannot be meant."""

    exit_code = 2


class OutOfMemory(InputError, MemoryError):
    """Memory was short, and something given needs less."""


class DamagedFile(InputError):
    """An image or mask file that cannot be read, whatever it holds.

    Builders name all of them, and may leave them out.
    """


class LabelError(InputError):
    """A mask, or the label of a record, breaks the label contract.

    What would do follows from how the records are made: commands tell it, by kind.

    Attributes:
        kind: Which mistake it is.
        file: Mask or record; the first one of several.
        ids: Those that are wrong, ascending.
    """

    def __init__(
        self,
        what: str,
        *,
        kind: LabelErrorKind = "ids_beyond_classes",  # Unpickling sets it afterwards.
        file: object = "",
        ids: Sequence[int] = (),
    ) -> None:
        super().__init__(what)
        self.kind: LabelErrorKind = kind
        self.file, self.ids = str(file), tuple(ids)

    def with_remedy(self, remedies: Remedies) -> str:
        """The whole line: what is wrong and, if the table knows it, what would do.

        In a remedy, `{first}` is the first wrong id, and `{changes}` what a map of ids
        begins with, as "7:...,9:...".
        """
        changes = ",".join(f"{label}:..." for label in self.ids[:2])
        first = self.ids[0] if self.ids else ""
        remedy = remedies.get(self.kind, "")
        return str(self) + remedy.format(first=first, changes=changes)


@contextlib.contextmanager
def tell_remedies(remedies: Remedies) -> Iterator[None]:
    """Ends the line of a LabelError with what a command says would do."""
    try:
        yield
    except LabelError as error:
        raise InputError(error.with_remedy(remedies)) from None


@contextlib.contextmanager
def flags_as_arguments() -> Iterator[None]:
    """Errors name arguments: these have the names of the flags, without dashes."""
    try:
        yield
    except InputError as error:
        dashes = r"(?<![^\s(])--(?=[a-z])"
        error.args = tuple(re.sub(dashes, "", str(line)) for line in error.args)
        raise


def one_of(given: object, choices: Iterable[object]) -> str:
    """What an error says of a name that is no choice.

    That whose letters are nearest, if one is near, and the choices; many are cut short
    where one is near. `_`, `-`, blanks and the size of letters are not looked at.
    """
    names = [str(each) for each in choices]
    near = nearest(str(given), names)
    if near and len(names) > _MANY:
        names = [*names[:_FEW], "..."]
    needed = f"ne of {', '.join(names)} is needed"
    return f"did you mean {near}? O{needed}" if near else f"o{needed}"


def nearest(given: str, names: Iterable[str]) -> str:
    """The name whose letters are nearest to those given; "" where none is near."""
    plain = {_letters(name): name for name in names}
    letters = _letters(given)
    near = difflib.get_close_matches(letters, plain, 1, cutoff=0.7)
    begun = [each for each in plain if letters and each.startswith(letters)]
    return plain[(near or begun)[0]] if near or begun else ""


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower().replace("+", "plus"))


_MANY, _FEW = 8, 3  # Choices that an error lists all, and of more, those first.


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory was short.

    TensorFlow's own error goes by its name: exports may be run without it.
    """
    is_tensorflows = type(error).__name__ == "ResourceExhaustedError"
    return isinstance(error, MemoryError) or is_tensorflows


def require_module(module: str, extra: str, *, needed_by: str) -> None:
    """Raises where a library that an extra installs is not there.

    Raises:
        InputError: Says how to install it.
    """
    if importlib.util.find_spec(module) is None:
        raise InputError(
            f"{needed_by} needs {module}: pip install 'deeplab-tf[{extra}]'"
        )
