"""What is wrong between records: duplicates, masks that are missing."""

from collections.abc import Hashable, Iterable, Iterator

from deeplab_tf.dataset_report.reading import Entry

Said = tuple[Entry, str]
_ROLES = ("train", "val", "test")


class Duplicates:
    """Finds images that are there twice.

    Splits that share images on purpose, as trainval does with train, are not compared:
    only those for different things, to train on, to validate on and to test on.
    """

    def __init__(self) -> None:
        self._images: dict[Hashable, list[Entry]] = {}
        self._names: dict[Hashable, list[Entry]] = {}

    def faults_and_doubts(self, entry: Entry) -> tuple[list[Said], list[Said]]:
        """Compares a record with those before it."""
        image = _before(self._images, entry.digest, entry)
        name = _before(self._names, entry.name, entry)
        faults: list[Said] = []
        doubts: list[Said] = []
        if image:
            said = entry, f"the same image as {image.where}"
            (doubts if image.split == entry.split else faults).append(said)
        if name and name.split == entry.split:
            faults.append((entry, f"the same name as {name.where}"))
        elif name and name != image:
            doubts.append((entry, f"another image of the same name is {name.where}"))
        return faults, doubts


def without_masks(entries: Iterable[Entry]) -> Iterator[Said]:
    """Yields records without a mask, of splits where others have one."""
    entries = list(entries)
    labelled = {entry.split for entry in entries if entry.has_label}
    for entry in entries:
        if not entry.has_label and entry.split in labelled:
            yield entry, "it has no mask, and others of its split have"


def _before(
    seen: dict[Hashable, list[Entry]], key: Hashable, entry: Entry
) -> Entry | None:
    """The first record with this key, of the same split or of one to be kept apart."""
    if not key:
        return None
    others = seen.setdefault(key, [])
    found = next((other for other in others if _apart(other.split, entry.split)), None)
    others.append(entry)
    return found


def _apart(one: str, other: str) -> bool:
    roles = _roles(one), _roles(other)
    return one == other or (all(roles) and roles[0].isdisjoint(roles[1]))


def _roles(split: str) -> set[str]:
    """What a split is for, by its name: trainval is for more than one thing."""
    return {role for role in _ROLES if role in split}
