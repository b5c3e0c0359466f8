"""The lineage on CamVid, and what its parts are worth: tables of results.md."""

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
    changes = _changes(measured)
    rows = [
        [
            what,
            *(percent(measured["networks"][name]["miou"]) for name in pair),
            changes[pair],
            _steps(measured["networks"][name] for name in pair),
        ]
        if pair in changes
        else [what, NOT_MEASURED, "", "", ""]
        for pair, what in PARTS.items()
    ]
    head = ("", "without", "with", "change (95 % interval)", "steps")
    return table(head, rows)


def repeated() -> str:
    """What another training of the same network scores."""
    measured, others = read("ablations/camvid"), read("ablations/camvid_repeated")
    if not measured or not others:
        return NOT_MEASURED
    rows = [
        [what, *_short(other), *_short(measured["networks"][name])]
        for name, what in {**LINEAGE, "resnet_18": "DeepLab v3, ResNet-18"}.items()
        if (other := others.get(name))
    ]
    return table(("", "steps", "mIoU", "steps, again", "mIoU, again"), rows)


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
