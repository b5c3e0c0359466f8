"""Whether ids mean to records what they mean to a network."""

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError


def check(
    trained: DatasetSpec,
    found: DatasetSpec,
    *,
    subject: str,
    way_out: str = "",
    renamed: bool = False,
) -> None:
    """Raises where an id would mean another thing than it was learned to mean.

    An ignore label that is no class may differ: it is of the records alone.

    Args:
        trained: What a network was trained on.
        found: What it is to be used with.
        subject: Begins the error: "run was trained on", or "run: holds a run on".
        way_out: What else would do.
        renamed: Other names are known to mean the same.

    Raises:
        InputError: Says which class, and what would do.
    """
    how = difference(trained, found)
    if how is None or (renamed and _only_names(trained, found)):
        return
    raise InputError(
        f"{subject} {trained.name} ({trained.num_classes} classes), not on "
        f"{found.name} ({found.num_classes} classes): {how}{way_out}"
    )


def difference(trained: DatasetSpec, found: DatasetSpec) -> str | None:
    """In what the meaning of ids differs, and what would do; None where it does not."""
    if trained.num_classes != found.num_classes:
        return "their numbers differ"
    pairs = list(zip(trained.classes, found.classes, strict=True))
    other = [i for i, (before, now) in enumerate(pairs) if before != now]
    if other:
        before, now = pairs[other[0]]
        what = f'class {other[0]} is "{before}" there, "{now}" here, '
        if sorted(trained.classes) == sorted(found.classes):
            return f"{what}in another order; build the records in that one"
        return f"{what}and so {len(other)}; if all mean the same, --classes_renamed"
    if _ignored(trained) == _ignored(found):
        return None
    return (
        f"{_ignored(trained)} is ignored there, {_ignored(found)} here; build the "
        f"records with --ignore_label={trained.ignore_label}"
    )


def _only_names(trained: DatasetSpec, found: DatasetSpec) -> bool:
    same_number = trained.num_classes == found.num_classes
    return same_number and _ignored(trained) == _ignored(found)


def _ignored(spec: DatasetSpec) -> str:
    """The class that counts nowhere, by its number."""
    label = spec.ignore_label
    return f"class {label}" if label < spec.num_classes else "no class"
