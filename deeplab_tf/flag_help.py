"""`--help` and `--helpfull`: what a command does, and its flags by topic."""

import dataclasses
import functools
import inspect
import re
import shutil
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from deeplab_tf.config.fields import text

REQUIRED = "Required"
_FEW = 50  # Flags that nobody minds seeing all.
FLAGFILES = "Flagfiles and checks"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A flag, as help tells of it.

    Attributes:
        name: Without dashes.
        help: What it does.
        facts: Its choices or range, and its default; empty where there are none.
        common: Whether `--help` has it, or `--helpfull` alone.
    """

    name: str
    help: str
    facts: str = ""
    common: bool = False

    def __str__(self) -> str:
        return f"{self.help} ({self.facts})" if self.facts else self.help


META = (
    Entry(
        name="recipe",
        help="Packaged flagfile of a published result, by its name, as "
        "voc_xception_65. What stands behind it wins.",
        common=True,
    ),
    Entry(
        name="flagfile",
        help="File of flags, read as a shell would read them; # begins a comment. What "
        "stands behind it wins.",
        common=True,
    ),
    Entry(
        name="validate_flags",
        help="What flags given by hand come to that have no effect beside the others.",
        facts="one of error, warn; default: error",
        common=True,
    ),
    Entry(name="help", help="This page; --helpfull has all flags.", common=True),
)


def page(record: type, retired: Mapping[str, Any], *, is_full: bool) -> str:
    """What a command prints for `--help` or, if `is_full`, for `--helpfull`.

    Args:
        record: Of the command's flags.
        retired: Flags that do nothing, by name: their type, and what replaces them.
        is_full: Show all flags.
    """
    width = max(40, shutil.get_terminal_size((80, 24)).columns)
    lines = _fill(manual(record), width)
    listed = list(topics(record, retired))
    count = sum(len(entries) for _, entries in listed)
    is_full = is_full or count <= _FEW
    for topic, entries in listed:
        shown = [entry for entry in entries if is_full or entry.common]
        if shown:
            lines += ["", f"{topic}:"]
        for entry in shown:
            lines += textwrap.wrap(
                str(entry),
                width,
                initial_indent=f"  --{entry.name}  ",
                subsequent_indent=" " * 6,
                break_on_hyphens=False,
                break_long_words=False,
            )
    if not is_full:
        lines += [
            "",
            f"--helpfull shows all {count} flags; docs/flags.md has them, too.",
        ]
    return "".join(f"{line}\n" for line in lines)


def _fill(prose: str, width: int) -> list[str]:
    """Lines of that width; an indented paragraph, an example, stays as it is."""
    lines: list[str] = []
    for paragraph in prose.split("\n\n"):
        lines += [""] if lines else []
        if paragraph.startswith(" "):
            lines += paragraph.splitlines()
            continue
        hangs = "\n " in paragraph  # A list: each item goes on indented.
        for item in re.split("\n(?! )", paragraph) if hangs else [paragraph]:
            lines += textwrap.wrap(
                " ".join(item.split()),
                width,
                subsequent_indent="  " if hangs else "",
                break_on_hyphens=False,
            )
    return lines


def manual(record: type) -> str:
    """What a command is for, and an example: of its record, or else of its script."""
    own = inspect.getdoc(record) or ""
    script = sys.modules.get(record.__module__)
    return own if "\n" in own else inspect.getdoc(script) or own


def topics(
    record: type, retired: Mapping[str, Any]
) -> Iterator[tuple[str, list[Entry]]]:
    """Yields topics and their flags: what is required first."""
    parts = list(groups(record))
    required = [
        entry(part, default, field)
        for part, default in parts
        for field in dataclasses.fields(part)
        if field.metadata.get("required")
    ]
    if required:
        yield REQUIRED, required
    for part, default in parts:
        yield (
            getattr(part, "topic", "Settings"),
            [
                entry(part, default, field)
                for field in dataclasses.fields(part)
                if "help" in field.metadata and not field.metadata["required"]
            ],
        )
    yield FLAGFILES, list(META)
    if retired:
        yield (
            "Flags of research/deeplab that do nothing here",
            [
                Entry(name=name, help=f"{reason[0].upper()}{reason[1:]}.")
                for name, (_, reason) in retired.items()
            ],
        )


def groups(record: type) -> Iterator[tuple[type, Any]]:
    """Yields the record and those inside it, each with the instance of its defaults."""
    yield record, record
    for field in dataclasses.fields(record):
        if dataclasses.is_dataclass(field.default):
            default = getattr(field.default, "defaults", field.default)
            yield type(default), default


def shown_default(default: Any, field: Any) -> Any:
    """The default of a flag as help has it, in a record of those defaults."""
    own = getattr(default, field.name, field.default)
    return field.metadata["shown"] if own == field.default else own


def entry(part: type, default: Any, field: Any) -> Entry:
    """What help tells of a field of a record."""
    facts = []
    hint = _hints(part)[field.name]
    if choices := _choices(part, field.name, hint):
        facts.append(f"one of {', '.join(map(str, choices))}")
    elif bool in (hint, *typing.get_args(hint)):
        facts.append("true or false")
    elif field.metadata["within"]:
        facts.append(str(field.metadata["within"]))
    shown = shown_default(default, field)
    if shown not in (None, "", ()):
        written = str(shown).lower() if isinstance(shown, bool) else text(shown)
        is_own = shown == getattr(default, field.name, shown)
        facts.append(f"default{'' if is_own else ' in research/deeplab'}: {written}")
    return Entry(
        name=field.name,
        help=field.metadata["help"],
        facts="; ".join(facts),
        common=field.metadata["common"],
    )


@functools.cache
def _hints(part: type) -> dict[str, Any]:
    return typing.get_type_hints(part)


def _choices(part: type, name: str, hint: Any) -> tuple[Any, ...]:
    """Values that a flag may have, where they are listed."""
    if name in (listed := getattr(part, "choices", {})):
        return tuple(listed[name])
    is_nested = _is_union(hint) or typing.get_origin(hint) is tuple
    kinds = typing.get_args(hint) if is_nested else (hint,)
    literals = [kind for kind in kinds if typing.get_origin(kind) is typing.Literal]
    return typing.get_args(literals[0]) if literals else ()


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (types.UnionType, typing.Union)
