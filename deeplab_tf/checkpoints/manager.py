"""Saving a run and going on with it: weights, slots, step and random state by name."""

import contextlib
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints import listing
from deeplab_tf.checkpoints.reader import (
    DAMAGE,
    is_file,
    keys_by_kind,
    newest,
    prefixes,
)
from deeplab_tf.errors import InputError
from deeplab_tf.files import flush

State = Mapping[str, Mapping[str, Any]]

DAMAGED = "damaged"  # Folder, in that of the run, of checkpoints that cannot be read.


class Keeper:
    """The checkpoints of a training folder, `model.ckpt-<step>`.

    Args:
        folder: Of the run.
        state: Keras variables by kind and official name; "weights" among the kinds.
        keep: How many checkpoints; older ones are removed.
        writes: Whether this process writes; of several hosts, one does.
    """

    def __init__(
        self, folder: Path, state: State, *, keep: int, writes: bool = True
    ) -> None:
        self._folder, self._keep, self.writes = folder, keep, writes
        self._state = state
        self._saved: str | None = None  # What holds the present state.
        plain = {
            kind: {name: variable.value for name, variable in named.items()}
            for kind, named in state.items()
        }
        self._checkpoint = tf.train.Checkpoint(**plain)

    def save(self, step: int) -> str:
        """Writes a checkpoint, and then removes the oldest; returns its prefix.

        Whenever the machine fails, the folder lists whole checkpoints. A step that was
        saved or resumed is not written twice.

        Raises:
            InputError: It could not be written; nothing of it is left.
        """
        name = f"{listing.NAME}-{step}"
        prefix = str(self._folder / name)
        if not self.writes or (name == self._saved and is_file(prefix)):
            return prefix
        names = [each for each in listing.names(self._folder) if each != name]
        names.append(name)
        with self._told_of_failure(name):
            place = self._write(name)
            # Listed first: so, nothing is ever there that no save would remove.
            listing.write(self._folder, names)
            self._move(place, name)
        whole = [each for each in names if is_file(str(self._folder / each))]
        for each in set(names) - set(whole[-self._keep :]):
            listing.remove(self._folder, each)
        listing.write(self._folder, whole[-self._keep :])
        self._saved = name
        return prefix

    def _write(self, name: str) -> Path:
        """Puts the files on the disk, in a hidden folder of their own."""
        for left in self._folder.glob(f".{listing.NAME}-*.new"):
            shutil.rmtree(left)  # Of a run that was killed.
        place = self._folder / f".{name}.new"
        place.mkdir(parents=True)
        self._checkpoint.write(str(place / name))
        for path in place.iterdir():
            flush(path)
        return place

    def _move(self, place: Path, name: str) -> None:
        listing.remove(self._folder, name)  # One that an earlier run left.
        for path in reversed(listing.files(place, name)):
            path.replace(self._folder / path.name)  # With the index, it is there.
        place.rmdir()
        flush(self._folder)

    @contextlib.contextmanager
    def _told_of_failure(self, name: str) -> Iterator[None]:
        """Removes what was half written, and says how things stand."""
        try:
            yield
        except DAMAGE as error:
            shutil.rmtree(self._folder / f".{name}.new", ignore_errors=True)
            if not is_file(str(self._folder / name)):
                listing.remove(self._folder, name)
            last = newest(str(self._folder))
            free = shutil.disk_usage(self._folder).free / 1e6
            raise InputError(
                f"{self._folder}: {name} could not be saved ({_reason(error)}), and "
                f"{free:.0f} MB are free there; the last good checkpoint is "
                f"{Path(last).name if last else 'none'}, from which the same command "
                "goes on when there is space"
            ) from None

    def resume(self) -> str | None:
        """Takes the state of the newest checkpoint that can be read.

        Newer ones, which cannot, go to the folder `damaged`. Nothing is taken of them:
        all of a checkpoint is compared with its checksums first.

        Returns:
            Its prefix; None where there is no checkpoint.

        Raises:
            InputError: There are checkpoints, and none is of this network.
        """
        damaged: list[str] = []
        found = prefixes(str(self._folder))
        for prefix in reversed(found):
            try:
                self._take(prefix, keys_by_kind(prefix))
            except DAMAGE as error:
                logging.warning(
                    "%s is damaged (%s); trying the one before", prefix, _reason(error)
                )
                damaged.append(prefix)
                continue
            if damaged and self.writes:
                self._set_aside(damaged)
            return prefix
        if found:
            raise InputError(f"{self._folder}: none of its checkpoints can be read")
        return None

    def _take(self, prefix: str, given: Mapping[str, Mapping[str, str]]) -> None:
        """Assigns all variables; `given` are the keys by kind and name."""
        keys = _agreed(prefix, given, self._state)
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
        pairs = [
            (name, variable, keys[kind][name])
            for kind, named in self._state.items()
            if kind in keys
            for name, variable in named.items()
        ]
        for name, variable, key in pairs:
            if tuple(shapes[key]) != tuple(variable.shape):
                raise _of_another(prefix, f"has another shape of {name}")
        for _, variable, key in pairs:
            variable.assign(reader.get_tensor(key))
        if keys == given:
            self._saved = Path(prefix).name

    def _set_aside(self, damaged: list[str]) -> None:
        place, broken = (
            self._folder / DAMAGED,
            {Path(prefix).name for prefix in damaged},
        )
        names = [name for name in listing.names(self._folder) if name not in broken]
        place.mkdir(exist_ok=True)
        for path in [
            each for name in broken for each in listing.files(self._folder, name)
        ]:
            path.replace(place / path.name)
        listing.write(self._folder, names)
        logging.warning("What is damaged is in %s now", place)


def _agreed(
    prefix: str, keys: Mapping[str, Mapping[str, str]], state: State
) -> dict[str, Mapping[str, str]]:
    """Where the values of each kind are; without kinds that keep their own.

    Averages that a run has not kept so far begin as its weights, as they do at the
    first step. The scale of float16 losses begins anew: it adapts in some 100 steps.

    Raises:
        InputError: The checkpoint is of other settings.
    """
    agreed = dict(keys)
    if state.get("averages") and not keys.get("averages"):
        logging.warning(
            "%s has no moving averages; they begin as its weights (--ema_decay)", prefix
        )
        agreed["averages"] = keys.get("weights", {})
    if keys.get("averages") and not state.get("averages"):
        raise InputError(
            f"{prefix} has moving averages; give --ema_decay as in that run, or choose "
            "another --train_logdir and this one as --tf_initial_checkpoint"
        )
    if not (keys.get("scaling") and state.get("scaling")):
        agreed.pop("scaling", None)
    for kind in {*state, *agreed} - {"scaling"}:
        wanted, found = set(state.get(kind, ())), set(agreed.get(kind, ()))
        if kind == "averages":
            found &= wanted
        if wanted != found:
            raise _of_another(prefix, _difference(kind, wanted, found))
    return agreed


def _difference(kind: str, wanted: set[str], found: set[str]) -> str:
    parts = [
        f"{what} {len(names)} {kind} as {min(names)}"
        for what, names in (("lacks", wanted - found), ("has too", found - wanted))
        if names
    ]
    return " and ".join(parts)


def _of_another(prefix: str, how: str) -> InputError:
    return InputError(
        f"{prefix} is of another network or optimizer: it {how}; choose another "
        "--train_logdir, or give the flags of that run"
    )


def _reason(error: Exception) -> str:
    """What TensorFlow says, without the names of its functions and temporary files."""
    first = str(error).strip().splitlines()[0]
    without = re.sub(r"\{\{.*?\}\} *| *\[Op:\w+\]$", "", first)
    return without.rpartition("; ")[2] if ".new/" in without else without
