"""The one error that a user's mistake raises; a command prints it as one line."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
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
    "not_png",
    "nothing_to_learn",
    "object_ignored",
    "photograph",
    "png_mode",
    "size",
    "wide_ids",
]
Remedies = Mapping[LabelErrorKind, str]


class InputError(ValueError):
    """What was given, in which file or flag, and what would do."""

    exit_code = 1


class FlagError(InputError):
    """A command line that cannot be meant."""

    exit_code = 2


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
