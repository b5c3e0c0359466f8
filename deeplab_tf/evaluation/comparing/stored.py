"""Evaluations that `eval.py` stored, with the settings of the run behind each."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from deeplab_tf.checkpoints import run_settings
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import image_counts
from deeplab_tf.evaluation.image_counts import StoredCounts

_SHOWN = 4  # Evaluations that an error lists.


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StoredEvaluation:
    """An evaluation, as its folder has it.

    Attributes:
        name: As it was given.
        folder: That has its `per_image_counts.npz`.
        stored: Counts of each image, and of what they are.
        run: Settings of the training, by the names of the flags; none where there is
            no `config.json`.
    """

    name: str
    folder: Path
    stored: StoredCounts
    run: Mapping[str, Any]


def open_evaluation(given: str) -> StoredEvaluation:
    """Opens an evaluation, or the only one that lies in a training folder.

    Args:
        given: `--eval_logdir` of the evaluation, or a folder around it.

    Raises:
        InputError: There is none, there are several, or it cannot be read.
    """
    folder = _find(given)
    stored = image_counts.load(folder / image_counts.FILE)
    if not stored.counts:
        raise InputError(f"{folder / image_counts.FILE}: it has no images")
    return StoredEvaluation(
        name=given, folder=folder, stored=stored, run=_run_settings(folder, stored)
    )


def _find(given: str) -> Path:
    folder = Path(given)
    if not folder.is_dir():
        raise InputError(f"{given}: no such folder")
    if (folder / image_counts.FILE).exists():
        return folder
    inside = sorted(path.parent for path in folder.rglob(image_counts.FILE))
    if not inside:
        raise InputError(
            f"{given}: no {image_counts.FILE} in it, nor below; eval.py writes one "
            "into its --eval_logdir"
        )
    if len(inside) > 1:
        names = ", ".join(map(str, inside[:_SHOWN]))
        more = ", ..." if len(inside) > _SHOWN else ""
        raise InputError(
            f"{given}: {len(inside)} evaluations below it ({names}{more}); give one of "
            "them"
        )
    return inside[0]


def _run_settings(folder: Path, stored: StoredCounts) -> dict[str, Any]:
    """Those beside the checkpoint, or in a folder around the evaluation."""
    for place in (Path(stored.checkpoint).parent, folder, *list(folder.parents)[:2]):
        if (place / run_settings.CONFIG).is_file():
            try:
                return run_settings.read(place)
            except InputError as error:
                logging.warning("%s; settings are not compared", error)
                return {}
    return {}
