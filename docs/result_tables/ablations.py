"""The lineage on CamVid, and what its parts are worth: tables of results.md."""

import math
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from result_tables.markdown import (
    NOT_MEASURED,
    change,
    percent,
    read,
    table,
    with_interval,
)

LINEAGE = {
    "fcn8s": "FCN-8s, VGG of a quarter",
    "segnet_basic": "SegNet-Basic",
    "deeplab_v1_largefov": "DeepLab v1 LargeFOV, VGG of a quarter",
    "deeplab_v2_aspp": "DeepLab v2 ASPP, VGG of a quarter",
    "unet": "U-Net, a quarter as wide",
    "pspnet": "PSPNet, MobileNetV2",
    "deeplab_v3": "DeepLab v3, MobileNetV2",
    "deeplab_v3plus": "DeepLab v3+, MobileNetV2",
}
# What each network starts from.
STARTS = {
    "from random weights": {
        **LINEAGE,
        "resnet_18": "DeepLab v3, ResNet-18",
        "multi_grid": "the same, multi-grid 1, 2",
    },
    "from Google's weights": {
        "stride32": "DeepLab v3, MobileNetV2, output stride 32",
        "plain": "the same, output stride 16",
        "no_pooling": "without image pooling",
        "one_rate": "without image pooling; rate 12",
        "three_rates": "without image pooling; rates 6, 12, 18",
        "decoder": "output stride 16, and the decoder",
    },
}
PARTS = {
    ("stride32", "plain"): "atrous convolution: stride 32 to 16",
    ("no_pooling", "plain"): "image pooling",
    ("one_rate", "three_rates"): "ASPP: rate 12 to rates 6, 12, 18",
    ("plain", "decoder"): "the decoder",
    ("resnet_18", "multi_grid"): "multi-grid 1, 2; ResNet-18",
    ("decoder", "decoder_stride8"): "evaluated at output stride 8",
    ("decoder", "decoder_scales"): "scales 0.75, 1, 1.5",
    ("decoder", "decoder_scales_flips"): "the same scales, and flips",
    ("decoder", "decoder_crf"): "CRF, `voc_v2_resnet101`",
}


def lineage() -> str:
    """Scores of the networks that were trained for the same time."""
    measured = read("ablations/camvid")
    if not measured:
        return NOT_MEASURED
    changes = _changes(measured)
    first = next(iter(LINEAGE))
    rows = [
        [what, *_row(measured["networks"][name], changes.get((first, name), ""))]
        for name, what in LINEAGE.items()
        if name in measured["networks"]
    ]
    head = (
        "",
        "steps",
        "s a step",
        "minutes",
        "mIoU (95 % interval)",
        "from the first (95 % interval)",
        "pixel accuracy",
    )
    return table(head, rows)


def _row(network: Mapping[str, Any], difference: str) -> list[str]:
    return [
        str(network["steps"]),
        f"{network['seconds_a_step']:.2f}",
        f"{network['minutes_taken']:.0f}",
        with_interval(network["miou"], network["miou_interval"]),
        difference,
        percent(network["pixel_accuracy"]),
    ]


def parts() -> str:
    """What each part changes, by pairs of networks that differ in it alone."""
    measured = read("ablations/camvid")
    if not measured:
        return NOT_MEASURED
    changes, others = _changes(measured), _changes(_again())
    rows = [
        [
            what,
            *(percent(measured["networks"][name]["miou"]) for name in pair),
            changes[pair],
            _steps(measured["networks"][name] for name in pair),
            others.get(pair, ""),
        ]
        if pair in changes
        else [what, NOT_MEASURED, "", "", "", ""]
        for pair, what in PARTS.items()
    ]
    head = (
        "",
        "without",
        "with",
        "change (95 % interval)",
        "steps",
        "change, trained again",
    )
    return table(head, rows)


def repeated() -> str:
    """What another training of the same network scores.

    95 % of the changes: those of a normal distribution around 0 with the mean square of
    the ones measured.
    """
    measured = read("ablations/camvid")
    others = [read("ablations/camvid_repeated") or {}, _again()["networks"]]
    if not measured or not any(others):
        return NOT_MEASURED
    rows = []
    for start, names in STARTS.items():
        pairs = [
            (what, measured["networks"][name], other[name])
            for name, what in names.items()
            for other in others
            if name in other
        ]
        moved = [other["miou"] - first["miou"] for _, first, other in pairs]
        rows += [
            [what, *_short(first), *_short(other), change(by, None)]
            for (what, first, other), by in zip(pairs, moved, strict=True)
        ]
        if moved:
            spread = 1.96 * math.sqrt(statistics.fmean(each**2 for each in moved))
            rows.append([f"{start}: 95 %", "", "", "", "", f"±{percent(spread, 1)}"])
    head = ("", "steps", "mIoU", "steps, another", "mIoU, another", "change")
    return table(head, rows)


def _again() -> Mapping[str, Any]:
    """What the trainings left that were given again; empty where none was."""
    return read("ablations/camvid_again") or {"networks": {}, "compared": ()}


def _short(network: Mapping[str, Any]) -> list[str]:
    return [str(network["steps"]), percent(network["miou"])]


def _steps(networks: Iterable[Mapping[str, Any]]) -> str:
    """Of the trainings of a pair; an evaluation in another way has none."""
    return ", ".join(str(each["steps"]) for each in networks if "steps" in each)


def _changes(measured: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Names of two networks -> how the mIoU changes from the first to the second."""
    return {
        (row["first"], row["second"]): change(
            row["difference"], (row["low"], row["high"])
        )
        for row in measured["compared"]
    }


TABLES = {"lineage": lineage, "parts": parts, "repeated": repeated}
