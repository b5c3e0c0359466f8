"""Record -> absl flags -> record; the only importer of `absl.flags`."""

import dataclasses
import functools
import math
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from absl import flags, logging

from deeplab_tf import flag_help, flag_slips, flagfile
from deeplab_tf.config import effects
from deeplab_tf.config.effects import Given
from deeplab_tf.config.fields import check_ranges, text, with_settings
from deeplab_tf.errors import FlagError, one_of

Record = TypeVar("Record")
Retired = Mapping[str, tuple[type, str]]


def parse(
    record: type[Record], argv: Sequence[str], *, retired: Retired | None = None
) -> Record:
    """The record that a command line describes.

    Every field with help is a flag of its name; records inside the record are flat. A
    later flag wins over an earlier one and over what a `--flagfile` or a `--recipe`
    before it holds. Lists are written `6,12,18` or by repetition; of both, the later
    wins.

    Args:
        record: A dataclass made with `fields.flag`.
        argv: The command line, program first.
        retired: Flags that do nothing, by name: their type, and what replaces them.

    Raises:
        FlagError: Unknown, malformed or contradicting flags, or leftover arguments.
    """
    values = _define(record, retired or {})
    for word in argv[1:]:
        if re.fullmatch("--?(h|help|helpshort|helpfull)", word):
            is_full = word.endswith("full")
            sys.stdout.write(flag_help.page(record, retired or {}, is_full=is_full))
            sys.exit(0)
    given = _parse_layers(values, argv, set(values) - set(retired or {}))
    flags.FLAGS.mark_as_parsed()  # Or absl's logging complains.
    for name, (_, reason) in (retired or {}).items():
        if not values[name].using_default_value:
            logging.warning("--%s does nothing here: %s.", name, reason)
    _refuse_empty(record, values, given)
    config = record(**_settings(record, values, given))
    for part in effects.parts(config):
        check_ranges(part)
    effects.check(config, given)
    return config


def names(record: type) -> list[str]:
    """Names of a record's flags, and of those of the records inside it."""
    return [
        field.name
        for group, _ in flag_help.groups(record)
        for field in dataclasses.fields(group)
        if "help" in field.metadata
    ]


def _define(record: type, retired: Retired) -> flags.FlagValues:
    """Flags of the record, of absl's own logging, and the retired ones."""
    values = flags.FlagValues()
    for flag in flags.FLAGS.flags_by_module_dict()[logging.__name__]:
        values[flag.name] = flag
    for group, default in flag_help.groups(record):
        hints = typing.get_type_hints(group)
        for field in dataclasses.fields(group):
            if "help" in field.metadata:
                shown = flag_help.shown_default(default, field)
                flags.DEFINE_flag(_flag(field.name, hints[field.name], shown), values)
    policy = _flag("validate_flags", effects.Policy, "error")
    flags.DEFINE_flag(policy, values)
    for name, (kind, _) in retired.items():
        flags.DEFINE_flag(_flag(name, kind, None), values)
    values.set_gnu_getopt()  # What stands behind a stray word is read, too.
    return values


def _refuse_empty(record: type, values: flags.FlagValues, given: Given) -> None:
    """Raises where a flag was given without a value, and its default is another."""
    names = given.by_hand | given.from_files
    for part, _ in flag_help.groups(record):
        for field in dataclasses.fields(part):
            if field.name in names:
                value = values[field.name].value
                if value in ("", ()) and value != field.default:
                    raise FlagError(
                        f"--{field.name}=: a value is needed after =; or leave the "
                        "flag out"
                    )


def _settings(record: type, values: flags.FlagValues, how: Given) -> dict[str, Any]:
    """Arguments of the record: flags given by hand, and the records inside it."""
    settings = _given_settings(record, values)
    for field in dataclasses.fields(record):
        if not dataclasses.is_dataclass(field.default):
            continue
        default: Any = field.default
        if hasattr(default, "defaults"):  # Overrides: keep what was given apart.
            given = _given_settings(type(default.defaults), values)
            check = functools.partial(effects.check, given=how, is_trained=True)
            settings[field.name] = dataclasses.replace(
                default, given=given, check=check
            )
        else:
            given = _given_settings(type(default), values)
            settings[field.name] = with_settings(default, given)
    return settings


def _given_settings(record: type, values: flags.FlagValues) -> dict[str, Any]:
    """Settings of one record whose flags were given, by name."""
    names = [field.name for field in dataclasses.fields(record)]
    flags_of_record = {name: values[name] for name in names if name in values}
    return {
        name: flag.pair() if isinstance(flag, _PairFlag) else flag.value
        for name, flag in flags_of_record.items()
        if not flag.using_default_value
    }


def _parse_layers(
    values: flags.FlagValues, argv: Sequence[str], names: Collection[str]
) -> Given:
    """Sets the values from a command line, flagfile by flagfile; says who gave them.

    Errors suggest flags of these names.
    """
    by_hand: dict[str, bool] = {}
    for layer in flagfile.layers(argv[1:]):
        for name in values:
            values[name].present = 0  # What a flagfile listed, a later list replaces.
        flag_slips.check_words(layer.words)
        try:
            leftover = values([argv[0], *layer.words])[1:]
        except flags.UnrecognizedFlagError as error:
            raise FlagError(_unknown(error.flagname, names)) from None
        except (flags.Error, ValueError) as error:
            raise FlagError(re.sub("^(ERROR::? *|flag )", "", str(error))) from None
        lists = {name for name in names if isinstance(values[name], _ListFlag)}
        flag_slips.check_leftover(leftover, layer.words, names, lists)
        by_hand |= {name: layer.by_hand for name in values if values[name].present}
    return Given(
        by_hand=frozenset(name for name, hand in by_hand.items() if hand),
        from_files=frozenset(name for name, hand in by_hand.items() if not hand),
        policy=values["validate_flags"].value,
    )


def _unknown(name: str, names: Collection[str]) -> str:
    """The line on a flag that there is not, with the one that may be meant."""
    near, remark = flag_slips.suggest(name, names)
    hint = f". Did you mean: {near}?" if near else ""
    why = f"{' (' if near else ': '}{remark}{')' if near else ''}" if remark else ""
    return f"Unknown command line flag '{name}'{hint}{why}"


def _flag(name: str, hint: Any, default: Any) -> flags.Flag:
    if types.NoneType in typing.get_args(hint):
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    if hint is bool:
        return flags.Flag(_YesNo(), None, name, default, "", boolean=True)
    if typing.get_origin(hint) is tuple:
        items = typing.get_args(hint)
        parser = _Parser(_item(items[0]), many=True)
        make = _PairFlag if len(items) == 2 and items[1] is items[0] else _ListFlag
        return make(parser, _Serializer(), name, default, "")
    return flags.Flag(_Parser(_item(hint)), _Serializer(), name, default, "")


def _item(hint: Any) -> Callable[[str], Any]:
    """Text -> value of a type; raises ValueError with what would do."""
    choices = typing.get_args(hint)
    kind = type(choices[0]) if choices else hint

    def convert(text: str) -> Any:
        if kind is str and text.startswith("~/"):  # A shell leaves it behind a `=`.
            text = os.path.expanduser(text)
        try:
            value = kind(text)
        except ValueError:
            if re.fullmatch(r"\d+ *[x\u00d7*] *\d+", text):
                raise ValueError("as 321, or height,width as 321,321") from None
            wanted = "a whole number" if kind is int else "a number"
            raise ValueError(f"{wanted} is needed") from None
        if kind is float and not math.isfinite(value):
            raise ValueError("a number is needed")
        if choices and value not in choices:
            raise ValueError(one_of(text, choices))
        if isinstance(value, str) and value.startswith("="):
            raise ValueError("remove the spaces around =")
        return value

    return convert


class _Parser(flags.ArgumentParser):
    """Parses text by a function, items of a list one by one."""

    def __init__(self, convert: Callable[[str], Any], *, many: bool = False) -> None:
        self._convert = convert
        self._many = many

    def parse(self, argument: Any) -> Any:
        if not isinstance(argument, str):  # A default.
            return argument
        if not self._many:
            return self._convert(argument)
        items = [item.strip() for item in argument.split(",")]
        if not all(items) and len(items) > 1:
            raise ValueError("nothing stands before, between or after the commas")
        return tuple(self._convert(item) for item in items if item)


class _Serializer(flags.ArgumentSerializer):
    """Writes a value as its flag is written."""

    def serialize(self, value: Any) -> str:
        return text(value)


class _YesNo(flags.BooleanParser):
    """Parses `--name`, `--noname` and `--name=true`."""

    def parse(self, argument: Any) -> bool:
        try:
            return super().parse(argument)
        except (ValueError, TypeError):
            raise ValueError("true or false is needed") from None


class _ListFlag(flags.Flag):
    """A list, `6,12,18`, or one item a flag; the later of both forms wins."""

    value: Any
    _is_repeated = False

    def parse(self, argument: str) -> None:
        items, is_item = self._parse(argument), "," not in argument
        goes_on = self.present and is_item and self._is_repeated
        self.value = (*self.value, *items) if goes_on else items
        self._is_repeated = is_item
        self.present += 1


class _PairFlag(_ListFlag):
    """Height and width: `513,513`, `513`, or one a flag."""

    def pair(self) -> tuple[Any, Any]:
        if len(self.value) == 1:
            return (*self.value, *self.value)
        if len(self.value) == 2:
            return self.value
        raise FlagError(
            f"--{self.name}={text(self.value)}: one size, or height,width, is needed"
        )
