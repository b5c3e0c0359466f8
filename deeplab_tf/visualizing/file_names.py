"""Names of pictures, from names of records: within their folder, each once."""

from absl import logging

from deeplab_tf.files import safe_name

_SHOWN = 5


class FileNames:
    """Names for the pictures of records, in the order of the records.

    A record keeps its name where that is a safe one that no record before it has.
    """

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._changed: list[tuple[str, str]] = []

    def choose(self, name: str) -> str:
        """A name for the next record."""
        safe = chosen = safe_name(name)
        number = 2
        while chosen in self._given:
            chosen, number = f"{safe}_{number}", number + 1
        self._given.add(chosen)
        if chosen != name:
            self._changed.append((name, chosen))
        return chosen

    def warn(self) -> None:
        """Warns of records whose pictures have another name, if there are any."""
        if not self._changed:
            return
        shown = [f'"{name}" as {chosen}' for name, chosen in self._changed[:_SHOWN]]
        logging.warning(
            "Pictures of %d records have another name, as theirs is unsafe for a file, "
            "or that of an earlier record: %s%s",
            len(self._changed),
            ", ".join(shown),
            ", ..." if len(self._changed) > _SHOWN else "",
        )
