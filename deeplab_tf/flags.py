"""Record -> absl flags -> record; the only importer of `absl.flags`."""

import dataclasses
import inspect
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from absl import flags, logging

from deeplab_tf.config.fields import text, with_settings
from deeplab_tf.errors import FlagError
from deeplab_tf.files import RECIPES, find_recipe_file
from deeplab_tf.text_files import read_lines

Record = TypeVar("Record")
Retired = Mapping[str, tuple[type, str]]


def parse(
    record: type[Record], argv: Sequence[str], *, retired: Retired | None = None
) -> Record:
    """The record that a command line describes.

    Every field with help is a flag of its name; records inside the record are flat. A
    later flag wins over an earlier one and over what a `--flagfile` or a `--recipe`
    before it holds. Lists are written `6,12,18` or by repetition; a value with a comma
    starts the list anew.

    Args:
        record: A dataclass made with `fields.flag`.
        argv: The command line, program first.
        retired: Flags that do nothing, by name: their type, and what replaces them.

    Raises:
        FlagError: Unknown, malformed or contradicting flags, or leftover arguments.
    """
    values = _define(record, retired or {})
    if any(re.fullmatch("--?(h|help|helpfull|helpshort)", arg) for arg in argv[1:]):
        sys.stdout.write(f"{inspect.getdoc(record)}\n{values.get_help()}\n")
        sys.exit(0)
    _parse_layers(values, argv)
    flags.FLAGS.mark_as_parsed()  # Or absl's logging complains.
    for name, (_, reason) in (retired or {}).items():
        if not values[name].using_default_value:
            logging.warning("--%s does nothing here: %s.", name, reason)
    return record(**_settings(record, values))


def names(record: type) -> list[str]:
    """Names of a record's flags, and of those of the records inside it."""
    return [
        field.name
        for group, _ in _groups(record)
        for field in dataclasses.fields(group)
        if "help" in field.metadata
    ]


def _define(record: type, retired: Retired) -> flags.FlagValues:
    """Flags of the record, of absl's own logging, and the retired ones."""
    values = flags.FlagValues()
    for flag in flags.FLAGS.flags_by_module_dict()[logging.__name__]:
        values[flag.name] = flag
    for group, default in _groups(record):
        hints = typing.get_type_hints(group)
        for field in dataclasses.fields(group):
            if "help" in field.metadata:
                shown = field.metadata["shown"]
                if shown is field.default:
                    shown = getattr(default, field.name)
                flag = _flag(
                    field.name, hints[field.name], shown, field.metadata["help"]
                )
                flags.DEFINE_flag(flag, values, module_name=group.__name__)
    flags.DEFINE_string(
        "recipe",
        None,
        "A packaged flagfile: short for --flagfile=recipes/NAME.flags.",
        values,
        module_name="Recipes",
    )
    for name, (kind, reason) in retired.items():
        flag = _flag(name, kind, None, f"Does nothing here: {reason}.")
        flags.DEFINE_flag(flag, values, module_name="Retired")
    return values


def _groups(record: type) -> Iterator[tuple[type, Any]]:
    """Yields the record and those inside it, each with the instance of its defaults."""
    yield record, record
    for field in dataclasses.fields(record):
        if dataclasses.is_dataclass(field.default):
            default = getattr(field.default, "defaults", field.default)
            yield type(default), default


def _settings(record: type, values: flags.FlagValues) -> dict[str, Any]:
    """Arguments of the record: flags given by hand, and the records inside it."""
    settings = _given_settings(record, values)
    for field in dataclasses.fields(record):
        if not dataclasses.is_dataclass(field.default):
            continue
        default: Any = field.default
        if hasattr(default, "defaults"):  # Overrides: keep what was given apart.
            given = _given_settings(type(default.defaults), values)
            settings[field.name] = dataclasses.replace(default, given=given)
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


def _parse_layers(values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Sets the values from a command line, flagfile by flagfile."""
    leftover: list[str] = []
    for layer in _layers(argv[1:]):
        for name in values:
            values[name].present = 0  # What a flagfile listed, a later list replaces.
        try:
            leftover += values([argv[0], *layer])[1:]
        except flags.UnrecognizedFlagError as error:
            raise FlagError(str(error).replace(" ?", "?")) from None
        except (flags.Error, ValueError) as error:
            raise FlagError(re.sub("^(ERROR::? *|flag )", "", str(error))) from None
    if leftover:
        hint = "; remove the spaces around =" if "=" in leftover[0] else ""
        raise FlagError(f"arguments that belong to no flag: {' '.join(leftover)}{hint}")


def _layers(args: Sequence[str], opened: tuple[Path, ...] = ()) -> Iterator[list[str]]:
    """Splits a command line into what stands before, in and after each flagfile.

    Args:
        args: Of a command line or a flagfile.
        opened: The flagfiles that these stand in, outermost first.
    """
    layer: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if match := re.fullmatch("--?(flagfile|recipe)(=.*)?", arg):
            name, value = match[1], match[2]
            given = value[1:] if value else rest.pop(0) if rest else ""
            path = _find_recipe(given) if name == "recipe" else find_recipe_file(given)
            yield layer
            if path in opened:
                raise FlagError(f"--{name}={given}: the file reads itself")
            yield from _layers(
                _read_flagfile(path, f"--{name}={given}"), (*opened, path)
            )
            layer = []
        else:
            layer.append(arg)
    yield layer


def _find_recipe(name: str) -> Path:
    """The flagfile of a packaged recipe."""
    names = sorted(path.stem for path in RECIPES.glob("*.flags"))
    if name not in names:
        raise FlagError(f"--recipe={name}: one of {', '.join(names)} is needed")
    return RECIPES / f"{name}.flags"


def _read_flagfile(path: Path, given: str) -> list[str]:
    """The lines of a flagfile, but for comments."""
    if not path.is_file():
        raise FlagError(f"{given}: no such file")
    lines = read_lines(path)
    return [line for line in lines if line and not line.startswith(("#", "//"))]


def _flag(name: str, hint: Any, default: Any, help: str) -> flags.Flag:
    if types.NoneType in typing.get_args(hint):
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    if hint is bool:
        return flags.Flag(_YesNo(), None, name, default, help, boolean=True)
    if typing.get_origin(hint) is tuple:
        items = typing.get_args(hint)
        parser = _Parser(_item(items[0]), many=True)
        make = _PairFlag if len(items) == 2 and items[1] is items[0] else _ListFlag
        return make(parser, _Serializer(), name, default, help)
    return flags.Flag(_Parser(_item(hint)), _Serializer(), name, default, help)


def _item(hint: Any) -> Callable[[str], Any]:
    """Text -> value of a type; raises ValueError with what would do."""
    choices = typing.get_args(hint)
    kind = type(choices[0]) if choices else hint

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise ValueError(f"{wanted} is needed") from None
        if kind is float and not math.isfinite(value):
            raise ValueError("a number is needed")
        if choices and value not in choices:
            raise ValueError(f"one of {', '.join(map(str, choices))} is needed")
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
    """A list, `6,12,18`, or one item a flag."""

    value: Any

    def parse(self, argument: str) -> None:
        items = self._parse(argument)
        goes_on = self.present and "," not in argument
        self.value = (*self.value, *items) if goes_on else items
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
