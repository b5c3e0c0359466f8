"""The best checkpoint of a run, as a run's folder of its own: `best/`."""

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deeplab_tf.checkpoints import listing, reader, run_folder
from deeplab_tf.data import spec as specs
from deeplab_tf.files import flush, write_whole

FOLDER, METRICS = "best", "metrics.json"
_ABOUT = (run_folder.CONFIG, specs.FILE_NAME, "environment.txt", "class_weights.txt")


def keep(folder: Path, prefix: str, reached: Mapping[str, Any]) -> bool:
    """Keeps a checkpoint in `best/` if its mIoU is above that of the one there.

    Its files are links to those of the run, or copies where the disk has no links.
    Whenever the process is killed, `best/` is the old one or the new one, whole.

    Args:
        folder: Of the run.
        prefix: Of the checkpoint, on the disk.
        reached: "miou", which None or NaN make no candidate, and any others.

    Returns:
        Whether it is the best now.

    Raises:
        OSError: It could not be written; the old one stays.
    """
    miou, best = reached.get("miou"), scores(folder).get("miou")
    if miou is None or math.isnan(miou) or (best is not None and miou <= best):
        return False
    place, name = folder / FOLDER, Path(prefix).name
    place.mkdir(exist_ok=True)
    for left in place.glob(".*.new"):  # Of a process that was killed.
        left.unlink()
    for about in _ABOUT:
        if (folder / about).exists():
            write_whole(place / about, (folder / about).read_bytes())
    if not (_listed(place) == [name] and reader.is_file(str(place / name))):
        listing.remove(place, name)  # Of a process that was killed on the way here.
        for path in reversed(listing.files(folder, name)):
            _link(path, place / path.name)
    flush(place)
    found = {"step": reader.step_of(prefix), **reached}
    write_whole(place / METRICS, json.dumps(found, indent=1) + "\n")
    flush(place)
    _finish(place, name)
    return True


def scores(folder: Path) -> dict[str, Any]:
    """What `metrics.json` of a run's `best/` says: step, miou and the others.

    Empty where there is no best checkpoint.
    """
    place = folder / FOLDER
    try:
        found = json.loads((place / METRICS).read_text())
        name = f"{listing.NAME}-{found['step']}"
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if not reader.is_file(str(place / name)):
        return {}
    _finish(place, name)
    return found


def _finish(place: Path, name: str) -> None:
    """Makes a checkpoint the only one; it is whole, as are its scores."""
    if _listed(place) != [name]:
        listing.write(place, [name])
    for other in {Path(prefix).name for prefix in reader.prefixes(str(place))}:
        if other != name:
            listing.remove(place, other)


def _listed(place: Path) -> list[str]:
    return [Path(prefix).name for prefix in reader.listed(str(place))]


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # Not all disks have links.
        unfinished = target.with_name(f".{target.name}.new")
        shutil.copyfile(path, unfinished)
        flush(unfinished)
        unfinished.replace(target)
