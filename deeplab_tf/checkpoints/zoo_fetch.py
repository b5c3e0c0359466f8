"""Fetching a network of the zoo: download, pin, unpack, verify; once."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import keras
from absl import logging
from filelock import FileLock, Timeout

from deeplab_tf import download
from deeplab_tf.checkpoints import infer_config, reader, restore, run_folder, zoo
from deeplab_tf.checkpoints.reader import CheckpointReader
from deeplab_tf.checkpoints.zoo import CACHE, NOTE, Entry
from deeplab_tf.config.fields import text
from deeplab_tf.download import Archive
from deeplab_tf.errors import InputError
from deeplab_tf.files import file_digest, hold_folder, write_whole
from deeplab_tf.models.build import build
from deeplab_tf.text_files import read_json

_UNPACKED, _UNFINISHED = "unpacked", ".unpacking"
_PATIENCE = 0.3  # Seconds, before a wait for another process is told.


def locate(path: str) -> str:
    """A checkpoint's path; of `zoo:NAME`, that in the cache, fetched if need be.

    Archives that were put there by hand are unpacked, and so are those that somebody
    has unpacked taken as they are; each is verified before it is used first.

    Raises:
        InputError: It cannot be fetched, or what came is not this network; says what
            would do.
    """
    if not zoo.is_name(path):
        return path
    entry = zoo.find(path)
    if prefix := _verified(entry):
        return prefix
    with _lock(entry):
        return _verified(entry) or _obtain(entry)


def read_run(path: str) -> run_folder.Run:
    """What is known of a checkpoint's training, of its folder or of the zoo.

    Raises:
        InputError: There is no checkpoint, or nothing but an image classifier.
    """
    if not zoo.is_name(path):
        return run_folder.read(Path(reader.find_checkpoint(path)).parent)
    entry = zoo.find(path)
    if entry.spec is None:
        raise InputError(
            f"{path}: an image classifier, to start training from: "
            f"--tf_initial_checkpoint={path} --model_variant="
            f"{entry.model.model_variant}"
        )
    return run_folder.Run(
        model=entry.model,
        spec=entry.spec,
        crop_size=entry.crop_size,
        largest_image=entry.largest_image,
    )


def _verified(entry: Entry) -> str | None:
    """The prefix of what was verified before, if it is still there."""
    name = _read_note(entry).get("checkpoint")
    prefix = str(entry.folder / str(name))
    return prefix if name and reader.is_checkpoint(prefix) else None


def _obtain(entry: Entry) -> str:
    """Fetches and unpacks what is not there; verifies it, and notes that."""
    folder = entry.folder
    if prefix := _find_checkpoint(folder):
        _verify(entry, prefix, str(folder), "remove what is there")
        return _take_note(entry, prefix, _read_note(entry).get("sha256", ""))
    archive = folder / entry.archive
    if archive.exists():  # Put there by hand.
        return _unpack(
            entry, archive, str(archive), "remove it, and it is fetched again"
        )
    source = _fetch(entry, archive)
    try:
        return _unpack(entry, archive, source, "what came is removed")
    finally:
        archive.unlink()


def _unpack(entry: Entry, archive: Path, source: str, way_out: str) -> str:
    """Unpacks an archive, whole and verified or not at all; returns the prefix."""
    digest = _pin(entry, archive, source)
    unfinished, unpacked = entry.folder / _UNFINISHED, entry.folder / _UNPACKED
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        try:
            download.extract(archive, unfinished)
            prefix = _find_checkpoint(unfinished)
        except InputError as error:
            reason = _reason(error, archive, unfinished)
            raise InputError(f"{source}: {reason}; {way_out}") from None
        if not prefix:
            raise InputError(f"{source}: it holds no checkpoint; {way_out}")
        _verify(entry, prefix, source, way_out)
        unfinished.rename(unpacked)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    inside = Path(prefix).relative_to(unfinished)
    return _take_note(entry, str(unpacked / inside), digest)


def _fetch(entry: Entry, archive: Path) -> str:
    """Brings the archive; returns where it is from."""
    size = int(entry.megabytes * 1e6)
    try:
        return download.fetch_file(Archive(urls=entry.urls, size=size), archive)
    except download.Unreachable as error:
        reasons = "; ".join(dict.fromkeys(error.reasons.values()))
        raise InputError(
            f"{zoo.PREFIX}{entry.name}: not fetched ({reasons}); put "
            f"{entry.urls[0]} into {entry.folder}, and go on with the same command; or "
            "train without it: see docs/own_data.md"
        ) from None


def _pin(entry: Entry, archive: Path, source: str) -> str:
    """The archive's SHA-256, which is that of the first time, if there was one."""
    digest, pinned = file_digest(archive), _read_note(entry).get("sha256")
    if pinned and digest != pinned:
        raise InputError(
            f"{source}: its SHA-256 is {digest}, and was {pinned} at first; if that is "
            f"to be so, remove {entry.folder / NOTE}"
        )
    logging.info("%s: SHA-256 %s", source, digest)
    return digest


def _find_checkpoint(folder: Path) -> str | None:
    """The one checkpoint in a folder or below it.

    Raises:
        InputError: There are several.
    """
    places = sorted(
        {
            path.parent.relative_to(folder)
            for path in folder.rglob("[!.]*.index")
            if _UNFINISHED not in path.relative_to(folder).parts
        }
    )
    if len(places) > 1:
        names = ", ".join(map(str, places))
        raise InputError(f"{folder}: checkpoints in {names}; one is needed")
    return reader.newest(str(folder / places[0])) if places else None


def _verify(entry: Entry, prefix: str, source: str, way_out: str) -> None:
    """Whether a checkpoint is of this network, with all weights, and undamaged."""
    try:
        stored = reader.open_checkpoint(prefix)
        _check_facts(entry, stored)
        with keras.StatelessScope(initialize_variables=False):
            network = build(entry.model, entry.num_classes)
        if entry.spec:
            restore.check(network, stored)
        else:
            restore.check_backbone(network, stored)
        stored.values(stored.keys)  # Raises where one is damaged.
    except InputError as error:
        reason = _reason(error, Path(prefix))
        raise InputError(f"{source}: not {entry.name}: {reason}; {way_out}") from None


def _check_facts(entry: Entry, stored: CheckpointReader) -> None:
    """What names and shapes tell, in few words where they are of another network."""
    inferred = infer_config.infer_model_config(stored)
    for name in ("model_variant", "depth_multiplier"):
        wanted, has = getattr(entry.model, name), getattr(inferred, name)
        if wanted != has:
            raise InputError(f"its {name} is {text(has)}, not {text(wanted)}")
    classes = infer_config.infer_num_classes(stored)
    if entry.spec and classes != entry.num_classes:
        raise InputError(f"it has {classes} classes, not {entry.num_classes}")


def _reason(error: InputError, *paths: Path) -> str:
    """Without the name of a file that does not stay."""
    reason = str(error)
    for path in paths:
        reason = reason.removeprefix(f"{path}: ")
    return reason


def _read_note(entry: Entry) -> dict[str, str]:
    try:
        return read_json(entry.folder / NOTE, "a note of the zoo")
    except (InputError, OSError):
        return {}


def _take_note(entry: Entry, prefix: str, digest: str) -> str:
    """Writes what was verified, and its checksum; returns the prefix."""
    name = Path(prefix).relative_to(entry.folder).as_posix()
    note = {"archive": entry.archive, "sha256": digest, "checkpoint": name}
    write_whole(entry.folder / NOTE, json.dumps(note, indent=1) + "\n")
    logging.info("%s%s is in %s", zoo.PREFIX, entry.name, entry.folder)
    return prefix


@contextlib.contextmanager
def _lock(entry: Entry) -> Iterator[None]:
    """Holds the folder of a network, which is made; a second process waits."""

    def acquire(path: Path) -> FileLock:
        lock = FileLock(path)
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout:
            logging.info("another process fetches %s; waiting for it", entry.name)
            lock.acquire()
        return lock

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_folder(entry.folder, acquire))
        except OSError as error:
            raise InputError(
                f"{entry.folder}: {error.strerror or error}; {CACHE}=FOLDER keeps the "
                "zoo elsewhere"
            ) from None
        yield
