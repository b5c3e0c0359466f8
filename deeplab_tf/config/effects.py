"""Effects: which settings the others leave without effect, by tables of what is read.

A record says by its `rules` what reads its settings. A setting takes effect where every
rule that governs it reads it; one that no rule governs always does.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from operator import attrgetter
from typing import Any, Literal

from absl import logging

from deeplab_tf.config.fields import text
from deeplab_tf.config.official import OFFICIAL
from deeplab_tf.errors import FlagError

Policy = Literal["error", "warn"]


@dataclasses.dataclass(frozen=True)
class Rule:
    """Settings that are read beside some values of others alone.

    Attributes:
        setting: The other one that decides. Where it has no effect itself, it decides
            nothing.
        governed: Names of the settings.
        read: Record -> which of them it reads.
        beside: Record -> what leaves the rest without effect, as "without --crf".
        company: Name of a setting -> what it needs, as "with --crf".
    """

    setting: str
    governed: frozenset[str]
    read: Callable[[Any], Collection[str]]
    beside: Callable[[Any], str]
    company: Callable[[str], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """Flags of a command line, by where they stand.

    Attributes:
        by_hand: On the command line itself.
        from_files: In a flagfile or a recipe.
        policy: What those that have no effect come to, if given by hand.
        told: Warnings that were given: once is enough, however many checkpoints come.
    """

    by_hand: frozenset[str] = frozenset()
    from_files: frozenset[str] = frozenset()
    policy: Policy = "error"
    told: set[str] = dataclasses.field(default_factory=set)


def by_table(
    setting: str, table: Mapping[Any, Collection[str]], *, shown: str = ""
) -> Rule:
    """Settings that the rows of a table read, by the value of another setting.

    Args:
        setting: The other one; of a list, the rows of all its items are read.
        table: Value -> names of what it reads. Beside a value that is not there, all
            is read.
        shown: Name of its flag, where `setting` is a property that follows from it.
    """
    governed = frozenset().union(*table.values())

    def read(record: Any) -> Collection[str]:
        value = getattr(record, setting)
        values = value if isinstance(value, tuple) else (value,)
        return frozenset().union(*(table.get(each, governed) for each in values))

    return Rule(
        shown or setting,
        governed,
        read,
        lambda record: _describe(record, setting, shown),
        lambda name: f"with --{shown or setting}={', '.join(readers(table, name))}",
    )


def readers(table: Mapping[Any, Collection[str]], name: str) -> list[str]:
    """Rows of a table that read a setting."""
    return [str(row) for row, reads in table.items() if name in reads]


def where(
    setting: str,
    *governed: str,
    when: Callable[[Any], Any] = bool,
    shown: str = "",
    company: str = "",
) -> Rule:
    """Settings that are read where another is set, or fulfills a condition.

    Args:
        setting: The other one; of a record inside, as "optimizer.ema_decay".
        *governed: Names of the settings.
        when: Value of the other one -> whether they are read.
        shown: Name of its flag, where `setting` is a property that follows from it.
        company: The condition in words; by default that it is set.
    """
    names, name = frozenset(governed), shown or setting.rpartition(".")[2]
    return Rule(
        name,
        names,
        lambda record: names if when(attrgetter(setting)(record)) else (),
        lambda record: _describe(record, setting, shown),
        lambda _: company or f"with --{name}",
    )


def unless(setting: str, *governed: str) -> Rule:
    """Settings that are read where another is not set."""
    name = setting.rpartition(".")[2]
    return where(
        setting,
        *governed,
        when=lambda value: not value,
        company=f"without --{name}",
    )


def _describe(record: Any, setting: str, shown: str) -> str:
    """A setting as what leaves others without effect."""
    name = shown or setting.rpartition(".")[2]
    value = getattr(record, shown, None) if shown else attrgetter(setting)(record)
    if not value:
        return f"without --{name}"
    return f"with --{name}" if value is True else f"with --{name}={text(value)}"


def check(record: Any, given: Given, *, is_trained: bool = False) -> None:
    """Tells of flags that have no effect beside the others.

    Those equal to a default pass. Those of research/deeplab, and those of a flagfile or
    a recipe, are warned of.

    Args:
        record: All settings of a command.
        given: Which of them were given.
        is_trained: They are of a network that does not learn any more.

    Raises:
        FlagError: One given by hand has no effect.
    """
    errors = []
    for cause, names in _without_effect(record, given, is_trained).items():
        strict = [
            name
            for name in names
            if name in given.by_hand
            and name not in OFFICIAL
            and given.policy == "error"
        ]
        if strict:
            errors.append(_line(record, strict, cause))
        mild = [name for name in names if name in given.by_hand and name not in strict]
        others = [name for name in names if name not in given.by_hand]
        for some, origin in ((mild, ""), (others, "of the recipe or flagfile")):
            line = _line(record, some, cause, origin) if some else ""
            if line and line not in given.told:
                logging.warning("%s", line)
            given.told.add(line)
    if errors:
        raise FlagError("; ".join(errors))


def _without_effect(
    record: Any, given: Given, is_trained: bool
) -> dict[str, list[str]]:
    """What leaves flags without effect -> their names."""
    causes: dict[str, list[str]] = {}
    settings, names = _settings(record), given.by_hand | given.from_files
    without = unread(record)
    if is_trained:
        of_training = getattr(type(record), "of_training", ())
        without |= dict.fromkeys(of_training, "after training")
    for name, cause in without.items():
        if name in settings and name in names:
            causes.setdefault(cause, []).append(name)
    return causes


def company(record: type) -> dict[str, list[str]]:
    """What the settings of a record, and of those inside it, need to have effect."""
    needed: dict[str, list[str]] = {}
    kinds = [record]
    for field in dataclasses.fields(record):
        if dataclasses.is_dataclass(field.default):
            kinds.append(type(getattr(field.default, "defaults", field.default)))
    for kind in kinds:
        for rule in getattr(kind, "rules", ()):
            for name in rule.governed:
                needed.setdefault(name, []).append(rule.company(name))
    return needed


def unread(record: Any) -> dict[str, str]:
    """Settings that have no effect, and what leaves each without."""
    causes: dict[str, str] = {}
    for part in parts(record):
        for rule in getattr(type(part), "rules", ()):
            if rule.setting not in causes:
                names = rule.governed - frozenset(rule.read(part))
                causes = {name: rule.beside(part) for name in sorted(names)} | causes
    return causes


def _settings(record: Any) -> dict[str, Any]:
    """Those that are not the default ones, by name."""
    return {
        field.name: value
        for part in parts(record)
        for field in dataclasses.fields(part)
        if "help" in field.metadata
        and (value := getattr(part, field.name)) != field.default
        and value != field.metadata["shown"]
    }


def parts(record: Any) -> Iterator[Any]:
    """The record and the plain ones inside it."""
    yield record
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value) and not hasattr(value, "defaults"):
            yield value


def _line(record: Any, names: list[str], cause: str, origin: str = "") -> str:
    """What has no effect; of what a file says, that is nobody's to leave out."""
    values, is_one = _settings(record), len(names) == 1
    flags = " ".join(f"--{name}={text(values[name])}" for name in names)
    if origin:
        return f"{flags} ({origin}) {'has' if is_one else 'have'} no effect {cause}"
    if is_one:
        return f"{flags} has no effect {cause}; leave it out"
    return f"{flags} have no effect {cause}; leave them out"
