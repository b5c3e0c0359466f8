"""Class compatibility: whether ids mean in records what a network has learned."""

from typing import NamedTuple

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError


class Difference(NamedTuple):
    """In what the meaning of ids differs.

    Attributes:
        what: Which class, there and here.
        remedy: What would do; "" where nothing is known.
        of_names: The ids may mean the same under other names.
    """

    what: str
    remedy: str = ""
    of_names: bool = False


def check_same_classes(
    trained: DatasetSpec,
    used: DatasetSpec,
    *,
    subject: str,
    remedy: str = "",
    way_out: str = "",
    folder: str = "",
    renamed: bool = False,
) -> None:
    """Raises where an id would mean another thing than it was learned to mean.

    An ignore label that is no class may differ: it is of the records alone.

    Args:
        trained: What a network was trained on.
        used: What it is to be used with.
        subject: Begins the error: "run was trained on", or "run: holds a run on".
        remedy: What would do, instead of what `difference` says.
        way_out: What else would do.
        folder: Of the records that it is to be used with, where there is one.
        renamed: Other names are known to mean the same.

    Raises:
        InputError: Says which class, and what would do.
    """
    how = difference(trained, used)
    if how is None or (renamed and how.of_names):
        return
    ways = ", or ".join(filter(None, [remedy or how.remedy, way_out]))
    line = "; ".join(filter(None, [how.what, ways]))
    raise InputError(f"{subject} {_describe(trained, used, folder)}: {line}")


def _describe(trained: DatasetSpec, used: DatasetSpec, folder: str) -> str:
    """Both data sets; of one name, by what they do not share."""
    before, now = trained.num_classes, used.num_classes
    where = folder or "the records"
    if trained.name == used.name and before == now:
        return f"other classes of {used.name} than those in {where}"
    other = used.name if trained.name != used.name else f"that in {where}"
    return f"{trained.name} ({before} classes), not on {other} ({now} classes)"


def difference(trained: DatasetSpec, used: DatasetSpec) -> Difference | None:
    """In what the meaning of ids differs; None where it does not.

    What no other names excuse comes first.
    """
    if trained.num_classes != used.num_classes:
        remedy = "take the records of the training, or train anew"
        return Difference("their numbers differ", remedy)
    if _ignored_class(trained) != _ignored_class(used):
        return Difference(
            f"{_ignored_class(trained)} is ignored there, {_ignored_class(used)} here",
            f"build the records with --ignore_label={trained.ignore_label}",
        )
    pairs = enumerate(zip(trained.classes, used.classes, strict=True))
    other = [(label, *names) for label, names in pairs if len({*names}) > 1]
    for label, before, now in other:
        if before in used.classes or now in trained.classes:
            what = f"{_both(label, before, now)}, in another order"
            return Difference(what, "build the records in that one")
    if not other:
        return None
    what = f"{_both(*other[0])}, and so {len(other)}"
    return Difference(what, "if all mean the same, --classes_renamed", of_names=True)


def _both(label: int, before: str, now: str) -> str:
    return f'class {label} is "{before}" there, "{now}" here'


def _ignored_class(spec: DatasetSpec) -> str:
    """The class that counts nowhere, by its number."""
    label = spec.ignore_label
    return f"class {label}" if label < spec.num_classes else "no class"
