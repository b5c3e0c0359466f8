"""Best metric: by which score a run chooses its best checkpoint (`--best_metric`)."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError

MIOU = "miou"
BOUNDARY = "boundary_iou"
CLASS = "class:"  # Before the name of a class, whose IoU it is.
_KEYS = {MIOU: "miou", BOUNDARY: "boundary_miou"}  # In `metrics.json`.
_SHOWN = 8  # Classes that an error lists.


def is_known(metric: object) -> bool:
    """Whether this names a metric, as a `config.json` of any version may."""
    return isinstance(metric, str) and (metric in _KEYS or metric.startswith(CLASS))


def value(scores: Mapping[str, Any], metric: str) -> float | None:
    """The score, 0...1, by which a checkpoint is judged; None where it has none.

    Args:
        scores: As `metrics.json` and a line of `metrics.jsonl` have them.
        metric: As `--best_metric` names it.
    """
    if metric.startswith(CLASS):
        of_classes = scores.get("iou")
        known = of_classes if isinstance(of_classes, Mapping) else {}
        score = known.get(metric.removeprefix(CLASS))
    else:
        score = scores.get(_KEYS[metric])
    if isinstance(score, int | float) and math.isfinite(score):
        return float(score)
    return None


def title(metric: str) -> str:
    """The metric in words: "mIoU", "IoU of dog"."""
    if metric.startswith(CLASS):
        return f"IoU of {metric.removeprefix(CLASS)}"
    return {MIOU: "mIoU", BOUNDARY: "boundary IoU"}[metric]


def check(metric: str, spec: DatasetSpec) -> None:
    """Raises where a class is none of the data set, or counts nowhere.

    Raises:
        FlagError: Says which classes there are.
    """
    if not metric.startswith(CLASS):
        return
    given, name = f"--best_metric={metric}", metric.removeprefix(CLASS)
    if name not in spec.classes:
        near = difflib.get_close_matches(name, spec.classes, 1)
        listed = ", ".join(spec.classes[:_SHOWN])
        if spec.num_classes > _SHOWN:
            listed += f", ... ({spec.num_classes} classes)"
        which = f"did you mean {CLASS}{near[0]}?" if near else f"it has {listed}"
        raise FlagError(f"{given}: no class of {spec.name}; {which}")
    if spec.classes.index(name) == spec.ignore_label:
        raise FlagError(
            f"{given}: its id {spec.ignore_label} is the ignore label, which has no IoU"
        )
