"""Class ids of labels that an annotation tool knows by name alone."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from absl import logging

from deeplab_tf.data import class_names
from deeplab_tf.data.labels.contract import list_first
from deeplab_tf.errors import FlagError, InputError

BACKGROUND = "background"
BACKGROUNDS = (BACKGROUND, "_background_", "__background__")
_IGNORED = ("__ignore__", "ignore")  # As labelme has it, and as color tables here.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassIds:
    """What labels mean.

    Attributes:
        names: Of the classes; the first is what no shape covers.
        ids: Label -> id, or the ignore label.
    """

    names: tuple[str, ...]
    ids: Mapping[str, int]


def assign(
    labels: Mapping[str, object],
    *,
    wanted: Sequence[str] = (),
    listed: Sequence[str] = (),
    file: object = "",
    ignore_label: int = 255,
) -> ClassIds:
    """Gives each label of an export its id.

    Args:
        labels: Label -> the first file that has it.
        wanted: Names that the user gives, from id 0; they win.
        listed: Names as a file of the tool lists them; without both, sorted.
        file: That file, or the export.
        ignore_label: Id of labels called `__ignore__` or `ignore`.

    Raises:
        InputError: A label is not among the names.
        FlagError: The first name that the user gives is a label, not the background.
    """
    names = tuple(
        name for name in wanted or listed or sorted(labels) if name not in _IGNORED
    )
    first = next((name for name in names if name in BACKGROUNDS), None)
    if wanted:
        _check_first(wanted, names, labels)
    else:
        own = first or BACKGROUND
        names = (own, *(name for name in names if name not in BACKGROUNDS))
        names = class_names.check(names, file)
    ids = {name: i for i, name in enumerate(names)}
    ids |= dict.fromkeys(BACKGROUNDS, 0) | dict.fromkeys(_IGNORED, ignore_label)
    if unknown := [label for label in labels if label not in ids]:
        where = f"--class_names={','.join(wanted)}" if wanted else file
        others = list_first(unknown[1:])
        raise InputError(
            f"{labels[unknown[0]]}: label {unknown[0]} is not in {where}"
            f"{others and f'; nor are {others}'}; add what is missing, or rename it"
        )
    return ClassIds(names=names, ids=ids)


def first_places(labels: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Each label, and the first file that has it."""
    places: dict[str, Path] = {}
    for label, path in labels:
        places.setdefault(label, path)
    return places


def tell_order(classes: ClassIds, wanted: Collection[str], file: object) -> None:
    """Tells how ids were chosen where nobody said so."""
    if not wanted:
        logging.info(
            "%s: no list of classes, so ids are by name; --class_names=%s gives "
            "another order",
            file,
            ",".join(classes.names),
        )


def _check_first(
    wanted: Sequence[str], names: Sequence[str], labels: Collection[str]
) -> None:
    if not names:
        return
    others = [name for name in names[1:] if name in BACKGROUNDS]
    is_label = names[0] in labels and names[0] not in BACKGROUNDS
    if others or is_label:
        rest = ",".join(name for name in names if name not in BACKGROUNDS)
        raise FlagError(
            f"--class_names={','.join(wanted)}: the first name is what no shape "
            f"covers, and {names[0]} is a label of the export; as {BACKGROUND},{rest}"
        )
