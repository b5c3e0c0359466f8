"""Text files that users give: one reader for all of them, and for JSON."""

import codecs
import contextlib
import dataclasses
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from deeplab_tf.errors import InputError, printable

Record = TypeVar("Record")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")  # In no encoding of a text.
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_JSON: Mapping[type, str] = {dict: "an object", list: "a list"}


def read_text(path: Path, given: str | None = None) -> str:
    r"""The text of a file in UTF-8; lines end in `\n`, a byte order mark is left out.

    Args:
        path: Of the file.
        given: How the user named it, as "--train_list=train.txt".

    Raises:
        InputError: No such file, or no text in UTF-8; says what it is instead.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{given or path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{given or path}: a folder, not a file") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}{_what_else(content, error.start)}") from None
    if "\0" in text:
        raise InputError(f"{path}{_what_else(content, content.index(0))}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path, given: str | None = None) -> list[str]:
    """The lines of a file, without blanks around them; see `read_text`."""
    return [line.strip() for line in read_text(path, given).rstrip("\n").split("\n")]


def read_json(path: Path, what: str, shape: type = dict) -> Any:
    """What a file of JSON says.

    Args:
        path: Of the file.
        what: It should be, as "the settings of a run".
        shape: Of the outermost value: an object or a list.

    Raises:
        InputError: No such file, no JSON, or of another shape.
    """
    with explain(path, what):
        content = json.loads(read_text(path))
        if not isinstance(content, shape):
            raise ValueError(f"{_kind(content)}, where {_JSON[shape]} is needed")
    return content


@contextlib.contextmanager
def explain(path: Path, what: str) -> Iterator[None]:
    """Tells what goes wrong with a file's content in one line that names the file.

    Args:
        path: Of the file.
        what: It should be, as "the settings of a run".
    """
    try:
        yield
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"{path}: not {what} (it lacks {error})") from None
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise InputError(f"{path}: not {what} ({error})") from None
    except RecursionError:
        raise InputError(f"{path}: not {what} (nested too deeply)") from None


def to_record(record: type[Record], facts: Mapping[str, Any]) -> Record:
    """A dataclass from an object of JSON, whose lists become tuples.

    Raises:
        ValueError: A value is of another type than its field, or of no field.
    """
    hints = typing.get_type_hints(record)
    names = {field.name for field in dataclasses.fields(record)}  # type: ignore[arg-type]
    if not isinstance(facts, Mapping):
        raise ValueError(f"{_kind(facts)}, where an object is needed")
    if unknown := facts.keys() - names:
        raise ValueError(f'"{min(unknown)}" is unknown to this version of deeplab_tf')
    values = {name: _plain(value) for name, value in facts.items()}
    for name, value in values.items():
        if not fits(value, hints[name]):
            raise ValueError(f'"{name}" is {_short(value)}')
    return record(**values)


def _what_else(content: bytes, place: int) -> str:
    """What bytes are that are no text in UTF-8; `place` is the first that shows it."""
    remedy = "save it as UTF-8"
    if content.startswith(_WIDE) or _is_wide(content):
        return f": a text in UTF-16; {remedy}"
    if _BINARY.search(content):
        return ": not a text file"
    line = content.count(b"\n", 0, place) + 1
    shown = content.split(b"\n")[line - 1].strip().decode("latin-1")
    return (
        f" line {line}: {shown[:60]!r} is not in UTF-8, but in an older encoding, as "
        f"Latin-1; {remedy}"
    )


def _is_wide(content: bytes) -> bool:
    """Whether every second byte is 0, as UTF-16 has it in Western texts."""
    some = content[:1000]
    halves = some[::2], some[1::2]
    zeros = sorted(half.count(0) / max(1, len(half)) for half in halves)
    return zeros[0] < 0.1 and zeros[1] > 0.7


def _plain(value: Any) -> Any:
    """Lists as tuples, at any depth."""
    if isinstance(value, list):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as JSON has such."""
    origin, items = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, item) for item in items)
    if origin is typing.Literal:
        return value in items
    if origin is not None:
        return _holds(value, origin, items)
    if hint is Any or dataclasses.is_dataclass(hint):
        return True
    if isinstance(value, bool):  # Which Python takes for an int.
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _holds(value: Any, container: type, items: tuple[Any, ...]) -> bool:
    """Whether a value is a container of items of some types."""
    if issubclass(container, Mapping):
        return isinstance(value, dict) and all(
            fits(each, items[1]) for each in value.values()
        )
    if not isinstance(value, tuple):
        return False
    fixed = container is tuple and items[-1] is not ...
    wanted = items if fixed else items[:1] * len(value)
    return len(value) == len(wanted) and all(map(fits, value, wanted))


def _kind(value: Any) -> str:
    names: Mapping[type, str] = {**_JSON, tuple: "a list", str: "a text"}
    return names.get(type(value), "null" if value is None else f"{value!r}"[:40])


def _short(value: Any) -> str:
    shown = printable(json.dumps(value))
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
