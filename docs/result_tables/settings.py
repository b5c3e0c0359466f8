"""Evaluations side by side: by setting, and by class."""

from collections.abc import Mapping
from pathlib import Path

from result_tables.markdown import (
    NOT_MEASURED,
    change,
    percent,
    read,
    table,
    with_interval,
)


def by_setting(network: str, whats: Mapping[str, str]) -> str:
    """The scores of a network, in each setting, beside the first.

    Args:
        network: Folder and begin of the names in results/: of the evaluations, and of
            what compares them, NETWORK_compare.
        whats: Setting -> what it is.
    """
    changes = _changes(f"{network}_compare")
    rows = []
    for name, what in whats.items():
        scores = read(f"{network}_{name}")
        if scores is None:
            rows.append([what, NOT_MEASURED, "", ""])
            continue
        rows.append(
            [
                what,
                with_interval(scores["miou"], scores["miou_interval"]),
                changes.get(name, ""),
                percent(scores["pixel_accuracy"]),
            ]
        )
    head = ("", "mIoU (95 % interval)", "change (95 % interval)", "pixel accuracy")
    return table(head, rows)


def by_class(evaluations: Mapping[str, str]) -> str:
    """The IoU of each class.

    Args:
        evaluations: Heading of a column -> folder and name in results/.
    """
    scores = [read(name) for name in evaluations.values()]
    if None in scores:
        return NOT_MEASURED
    rows = [
        [
            name,
            *(
                with_interval(each["iou"][name], each["iou_intervals"][name])
                for each in scores
            ),
            percent(scores[0]["share"][name], 1),
        ]
        for name in scores[0]["iou"]
    ]
    return table(("class", *evaluations, "% of pixels"), rows)


def _changes(name: str) -> dict[str, str]:
    """By setting, how the mIoU differs from that of the first, image by image."""
    network = name.rpartition("/")[2].removesuffix("compare")
    rows = [row for row in read(name) or () if row["kind"] == "mean"]
    return {
        Path(row["second"]).name.removeprefix(network): change(
            row["difference"], (row["low"], row["high"])
        )
        for row in rows
    }
