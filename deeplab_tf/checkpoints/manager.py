"""Checkpoint manager: saving a run, resuming it, and its best checkpoint.

A checkpoint holds weights, slots, step and random state by name. The best one is kept
in `best/`, which is a run's folder of its own.
"""

import contextlib
import glob
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints import best_metric, run_folder
from deeplab_tf.checkpoints.reader import (
    DAMAGE,
    is_checkpoint,
    keys_by_kind,
    listed_prefixes,
    newest,
    prefixes,
    step_of,
)
from deeplab_tf.data import spec as specs
from deeplab_tf.errors import InputError
from deeplab_tf.files import flush, remove, write_whole
from deeplab_tf.text_files import explain, fits, read_json

State = Mapping[str, Mapping[str, Any]]

NAME = "model.ckpt"  # Before the step.
BEST = "best"  # Folder, in that of the run, of its best checkpoint.
DAMAGED = "damaged"  # Folder, in that of the run, of checkpoints that cannot be read.
_METRICS = "metrics.json"
_DESCRIPTION = (
    run_folder.CONFIG,
    specs.FILE_NAME,
    "environment.txt",
    "class_weights.txt",
)


class CheckpointManager:
    """Checkpoint manager of a training folder: `model.ckpt-<step>`, the newest few.

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
        name = f"{NAME}-{step}"
        prefix = str(self._folder / name)
        if not self.writes or (name == self._saved and is_checkpoint(prefix)):
            return prefix
        names = [each for each in _listed_names(self._folder) if each != name]
        names.append(name)
        with self._explain_failure(name):
            place = self._write(name)
            # Listed first: so, nothing is ever there that no save would remove.
            _write_listing(self._folder, names)
            self._move(place, name)
        whole = [each for each in names if is_checkpoint(str(self._folder / each))]
        for each in set(names) - set(whole[-self._keep :]):
            _remove(self._folder, each)
        _write_listing(self._folder, whole[-self._keep :])
        self._saved = name
        return prefix

    def _write(self, name: str) -> Path:
        """Puts the files on the disk, in a hidden folder of their own."""
        for left in self._folder.glob(f".{NAME}-*.new"):
            remove(left)  # Of a run that was killed.
        place = self._folder / f".{name}.new"
        place.mkdir(parents=True)
        self._checkpoint.write(str(place / name))
        for path in place.iterdir():
            flush(path)
        return place

    def _move(self, place: Path, name: str) -> None:
        _remove(self._folder, name)  # One that an earlier run left.
        for path in reversed(_files(place, name)):
            path.replace(self._folder / path.name)  # With the index, it is there.
        place.rmdir()
        flush(self._folder)

    @contextlib.contextmanager
    def _explain_failure(self, name: str) -> Iterator[None]:
        """Removes what was half written, and says how things stand."""
        try:
            yield
        except DAMAGE as error:
            shutil.rmtree(self._folder / f".{name}.new", ignore_errors=True)
            if not is_checkpoint(str(self._folder / name)):
                _remove(self._folder, name)
            last = newest(str(self._folder))
            free = shutil.disk_usage(self._folder).free / 1e6
            then = "there is no earlier checkpoint to go on from"
            if last:
                then = (
                    f"the last good checkpoint is {Path(last).name}, from which the "
                    "same command goes on when there is space"
                )
            raise InputError(
                f"{self._folder}: {name} could not be saved ({_reason(error)}), and "
                f"{free:.0f} MB are free there; {then}"
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
        there = prefixes(str(self._folder))
        for prefix in reversed(there):
            try:
                self._restore(prefix, keys_by_kind(prefix))
            except DAMAGE as error:
                logging.warning(
                    "%s is damaged (%s); trying the one before", prefix, _reason(error)
                )
                damaged.append(prefix)
                continue
            if damaged and self.writes:
                self._set_aside(damaged)
            return prefix
        if there:
            raise InputError(f"{self._folder}: none of its checkpoints can be read")
        return None

    def _restore(self, prefix: str, given: Mapping[str, Mapping[str, str]]) -> None:
        """Assigns all variables; `given` are the keys by kind and name."""
        keys = _reconcile_keys(prefix, given, self._state)
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
                raise _mismatch(prefix, f"has another shape of {name}")
        for _, variable, key in pairs:
            variable.assign(reader.get_tensor(key))
        if keys == given:
            self._saved = Path(prefix).name

    def _set_aside(self, damaged: list[str]) -> None:
        place, broken = (
            self._folder / DAMAGED,
            {Path(prefix).name for prefix in damaged},
        )
        names = [name for name in _listed_names(self._folder) if name not in broken]
        place.mkdir(exist_ok=True)
        for path in [each for name in broken for each in _files(self._folder, name)]:
            path.replace(place / path.name)
        _write_listing(self._folder, names)
        logging.warning("What is damaged is in %s now", place)


def _reconcile_keys(
    prefix: str, keys: Mapping[str, Mapping[str, str]], state: State
) -> dict[str, Mapping[str, str]]:
    """Where the values of each kind are; without kinds that keep their own.

    Averages that a run has not kept so far begin as its weights, as they do at the
    first step. The scale of float16 losses begins anew: it adapts in some 100 steps.

    Raises:
        InputError: The checkpoint is of other settings.
    """
    reconciled = dict(keys)
    if state.get("averages") and not keys.get("averages"):
        logging.warning(
            "%s has no moving averages; they begin as its weights (--ema_decay)", prefix
        )
        reconciled["averages"] = keys.get("weights", {})
    if keys.get("averages") and not state.get("averages"):
        raise InputError(
            f"{prefix} has moving averages; give --ema_decay as in that run, or choose "
            "another --train_logdir and this one as --tf_initial_checkpoint"
        )
    if not (keys.get("scaling") and state.get("scaling")):
        reconciled.pop("scaling", None)
    for kind in {*state, *reconciled} - {"scaling"}:
        wanted, saved = set(state.get(kind, ())), set(reconciled.get(kind, ()))
        if kind == "averages":
            saved &= wanted
        if wanted != saved:
            raise _mismatch(prefix, _difference(kind, wanted, saved))
    return reconciled


def _difference(kind: str, wanted: set[str], saved: set[str]) -> str:
    parts = [
        f"{what} {len(names)} {kind} as {min(names)}"
        for what, names in (("lacks", wanted - saved), ("has too", saved - wanted))
        if names
    ]
    return " and ".join(parts)


def _mismatch(prefix: str, how: str) -> InputError:
    return InputError(
        f"{prefix} is of another network or optimizer: it {how}; choose another "
        "--train_logdir, or give the flags of that run"
    )


def _reason(error: Exception) -> str:
    """What TensorFlow says, without the names of its functions and temporary files."""
    first = str(error).strip().splitlines()[0]
    without = re.sub(r"\{\{.*?\}\} *| *\[Op:\w+\]$", "", first)
    return without.rpartition("; ")[2] if ".new/" in without else without


def keep_best(
    folder: Path,
    prefix: str,
    scores: Mapping[str, Any],
    metric: str = best_metric.MIOU,
) -> bool:
    """Keeps a checkpoint in `best/` if it scores above the one there.

    Its files are links to those of the run, or copies where the disk has no links.
    Whenever the process is killed, `best/` is the old one or the new one, whole.

    Args:
        folder: Of the run.
        prefix: Of the checkpoint, on the disk.
        scores: "miou" and any others.
        metric: The score that decides; None or NaN make no candidate. Where the one
            there has none, as it was chosen by another metric, any is above.

    Returns:
        Whether it is the best now.

    Raises:
        OSError: It could not be written; the old one stays.
    """
    score = best_metric.value(scores, metric)
    best = best_metric.value(best_scores(folder), metric)
    if score is None or (best is not None and score <= best):
        return False
    place, name = folder / BEST, Path(prefix).name
    place.mkdir(exist_ok=True)
    for left in place.glob(".*.new"):  # Of a process that was killed.
        left.unlink()
    for file in _DESCRIPTION:
        if (folder / file).exists():
            write_whole(place / file, (folder / file).read_bytes())
    if not (_best_names(place) == [name] and is_checkpoint(str(place / name))):
        _remove(place, name)  # Of a process that was killed on the way here.
        for path in reversed(_files(folder, name)):
            _link(path, place / path.name)
    flush(place)
    said = {"step": step_of(prefix), **scores}
    if metric != best_metric.MIOU:
        said["best_metric"] = metric
    write_whole(place / _METRICS, json.dumps(said, indent=1) + "\n")
    flush(place)
    _keep_only(place, name)
    return True


def best_scores(folder: Path) -> dict[str, Any]:
    """What `metrics.json` of a run's `best/` says: step, miou and the others.

    Empty where there is no best checkpoint.

    Raises:
        InputError: The file is of another shape: nobody knows how good the best is.
    """
    place = folder / BEST
    if not ((place / _METRICS).exists() and any(place.glob("*.index"))):
        return {}
    try:
        scores = _read_scores(place / _METRICS)
    except InputError as error:
        raise InputError(
            f"{error}; move {place} away, and the best is chosen anew"
        ) from None
    name = f"{NAME}-{scores['step']}"
    if not is_checkpoint(str(place / name)):
        return {}
    _keep_only(place, name)
    return scores


def _read_scores(path: Path) -> dict[str, Any]:
    what = "the scores of a checkpoint"
    scores = read_json(path, what)
    with explain(path, what):
        for name, kind in (("step", int), ("miou", float | None)):
            if not fits(scores[name], kind):
                raise ValueError(f'"{name}" is {scores[name]!r}')
    return scores


def _keep_only(place: Path, name: str) -> None:
    """Makes a checkpoint the only one; it is whole, as are its scores."""
    if _best_names(place) != [name]:
        _write_listing(place, [name])
    for other in {Path(prefix).name for prefix in prefixes(str(place))}:
        if other != name:
            _remove(place, other)


def _best_names(place: Path) -> list[str]:
    return [Path(prefix).name for prefix in listed_prefixes(str(place))]


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # Not all disks have links.
        unfinished = target.with_name(f".{target.name}.new")
        remove(unfinished)  # A link would be followed.
        shutil.copyfile(path, unfinished)
        flush(unfinished)
        unfinished.replace(target)


def _listed_names(folder: Path) -> list[str]:
    """Checkpoints that a folder lists, there or not; else those that are there."""
    listed = listed_prefixes(str(folder)) or prefixes(str(folder))
    return [Path(prefix).name for prefix in listed]


def _write_listing(folder: Path, names: Sequence[str]) -> None:
    """Writes the file `checkpoint` as TensorFlow has it, the newest last."""
    every = "".join(f'all_model_checkpoint_paths: "{name}"\n' for name in names)
    newest = f'model_checkpoint_path: "{names[-1]}"\n'
    write_whole(folder / "checkpoint", newest + every)
    flush(folder)


def _files(folder: Path, name: str) -> list[Path]:
    """Index and data of a checkpoint, as far as they are there."""
    index = folder / f"{name}.index"
    return [
        *([index] if index.exists() else []),
        *folder.glob(f"{glob.escape(name)}.data-*"),
    ]


def _remove(folder: Path, name: str) -> None:
    """Removes a checkpoint, of which anything may be missing."""
    for path in _files(folder, name):  # The index first: then, there is none.
        path.unlink()
