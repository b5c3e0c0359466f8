"""What a record of settings is made of: flags, ranges, overrides and their checks."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from deeplab_tf.errors import FlagError

T = TypeVar("T")

_INT32 = 2**31 - 1  # What TensorFlow counts with.
_FLOAT32 = 3.4e38


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers that a setting may be; of a list, each.

    Attributes:
        minimum: The least of them.
        above: What all of them are above.
        maximum: The greatest of them.
        below: What all of them are below.
        words: What an error says, where the limits do not say it best.
    """

    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None
    words: str = ""

    def __contains__(self, number: float) -> bool:
        return (
            (self.minimum is None or number >= self.minimum)
            and (self.above is None or number > self.above)
            and (self.maximum is None or number <= self.maximum)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        words = []
        if self.minimum is not None:
            words.append(
                f"{self.minimum:g} or more"
                if self.below is None
                else f"at least {self.minimum:g}"
            )
        if self.above is not None:
            words.append(f"more than {self.above:g}")
        if self.maximum is not None:
            words.append(f"at most {self.maximum:g}")
        if self.below is not None:
            words.append(f"less than {self.below:g}")
        return ", ".join(words)


POSITIVE = Range(above=0)
NOT_NEGATIVE = Range(minimum=0)


def flag(
    help: str,
    default: Any,
    *,
    official: Any = None,
    within: Range | None = None,
    common: bool = False,
    required: bool = False,
) -> Any:
    """A setting of a record.

    Args:
        help: What it does, in one line.
        default: Its value unless given.
        official: The default that `--help` shows where `default` cannot be named, as
            None for "what was published".
        within: Numbers that it may be; see `check_ranges`.
        common: Most people use it: `--help` shows it, not `--helpfull` alone.
        required: It must be given; see `require_given`.
    """
    metadata = {
        "help": help,
        "shown": default if official is None else official,
        "within": within,
        "common": common or required,
        "required": required,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Overrides(Generic[T]):
    """What a flag changes of a saved record.

    Attributes:
        defaults: The record where none was saved.
        given: Settings by name that win over saved and default ones.
        check: Raises, or warns, where some of them have no effect in the record.
    """

    defaults: T
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    check: Callable[[T], None] | None = dataclasses.field(default=None, compare=False)

    def onto(self, saved: T | None) -> T:
        """The saved record, or the default one, with what was given."""
        record = with_settings(saved or self.defaults, self.given)
        if self.check:
            self.check(record)
        return record


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


def check_ranges(record: Any) -> None:
    """Raises where a number, or one of a list, is not in its range.

    Whole numbers are int32, others finite float32, whatever their range.
    """
    for field in dataclasses.fields(record):
        if "help" not in field.metadata:
            continue
        value = getattr(record, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, int | float) and not isinstance(item, bool):
                needed = _why_not(item, field.metadata["within"])
                if needed:
                    raise FlagError(f"--{field.name}={text(value)}: {needed}")


def _why_not(number: float, within: Range | None) -> str:
    """What is needed instead; nothing where the number is in the range."""
    if not math.isfinite(number):
        return "a number is needed"
    if within is not None and number not in within:
        return within.words or f"{within} is needed"
    greatest = _INT32 if isinstance(number, int) else _FLOAT32
    return "" if abs(number) <= greatest else f"at most {greatest} is needed"


def require_positive(record: Any, *names: str) -> None:
    """Raises where a setting, or an item of it, is zero or less."""
    for name in names:
        value = getattr(record, name)
        items = value if isinstance(value, tuple) else (value,)
        if any(item is not None and item <= 0 for item in items):
            raise FlagError(f"--{name}={text(value)}: more than 0 is needed")


def require_given(record: Any, *names: str) -> None:
    """Raises where one of these settings, or of those that are required, is empty."""
    for field in dataclasses.fields(record):
        needed = field.name in names if names else field.metadata.get("required")
        if needed and not getattr(record, field.name):
            help = field.metadata["help"]
            raise FlagError(f"--{field.name} is missing: {help}")


def text(value: Any) -> str:
    """A setting as its flag is written."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
