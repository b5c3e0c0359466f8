"""What a record of settings is made of: flags, overrides and their checks."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from deeplab_tf.errors import FlagError

T = TypeVar("T")


def flag(help: str, default: Any, *, official: Any = None) -> Any:
    """A setting of a record.

    Args:
        help: What it does, in one line.
        default: Its value unless given.
        official: The default that `--help` shows where `default` cannot be named, as
            None for "what was published".
    """
    metadata = {"help": help, "shown": default if official is None else official}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Overrides(Generic[T]):
    """What a flag changes of a saved record.

    Attributes:
        defaults: The record where none was saved.
        given: Settings by name that win over saved and default ones.
    """

    defaults: T
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def onto(self, saved: T | None) -> T:
        """The saved record, or the default one, with what was given."""
        return with_settings(saved or self.defaults, self.given)


def with_settings(record: Any, given: Mapping[str, Any]) -> Any:
    """A record with other settings; what followed from one of them follows anew.

    Args:
        record: Its `follows`, if it has some, tells from which setting another gets its
            value where none is given.
        given: Settings by name.
    """
    plain, follows = type(record), getattr(record, "follows", {})
    anew = {
        name: _default(plain, name)
        for name, source in follows.items()
        if source in given and getattr(record, name) == getattr(plain(), name)
    }
    return dataclasses.replace(record, **(anew | dict(given)))


def _default(record: type, name: str) -> Any:
    (field,) = (field for field in dataclasses.fields(record) if field.name == name)
    return field.default


def require_positive(record: Any, *names: str) -> None:
    """Raises where a setting, or an item of it, is zero or less."""
    for name in names:
        value = getattr(record, name)
        items = value if isinstance(value, tuple) else (value,)
        if any(item is not None and item <= 0 for item in items):
            raise FlagError(f"--{name}={text(value)}: more than 0 is needed")


def require_not_negative(record: Any, *names: str) -> None:
    """Raises where a setting is below zero."""
    for name in names:
        value = getattr(record, name)
        if value is not None and value < 0:
            raise FlagError(f"--{name}={value}: 0 or more is needed")


def require_given(record: Any, *names: str) -> None:
    """Raises where a setting is empty."""
    for field in dataclasses.fields(record):
        if field.name in names and not getattr(record, field.name):
            help = field.metadata["help"]
            raise FlagError(f"--{field.name} is missing: {help}")


def text(value: Any) -> str:
    """A setting as its flag is written."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
