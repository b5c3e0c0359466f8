"""Google's weights on 60 photographs of VOC: tables of results.md."""

from result_tables.markdown import (
    NOT_MEASURED,
    change,
    percent,
    read,
    table,
    with_interval,
)

WIDTHS = {"1": "width1", "0.5": "width05"}
_VOC = {
    "stride16": "one look, output stride 16",
    "stride8": "output stride 8",
    "flips": "flips",
    "scales_flips": "scales 0.5, 1, 1.5, and flips",
    "stride8_scales_flips": "output stride 8, scales 0.5 to 1.75, and flips",
    "crf": "CRF, `voc_v2_resnet101`",
    "tiles": "tiles of 321, overlap 96",
}


def voc(width: str) -> str:
    """Google's network on 60 photographs, in each setting, beside the plain one."""
    changes = _changes(f"voc/{WIDTHS[width]}_compare")
    rows = []
    for name, what in _VOC.items():
        scores = read(f"voc/{WIDTHS[width]}_{name}")
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


def _changes(name: str) -> dict[str, str]:
    """By setting, how the mIoU differs from that of the first, image by image."""
    rows = [row for row in read(name) or () if row["kind"] == "mean"]
    return {
        row["second"].partition("_")[2].rstrip("/"): change(
            row["difference"], (row["low"], row["high"])
        )
        for row in rows
    }


def voc_classes() -> str:
    """IoU of each class for both widths, one look."""
    both = [read(f"voc/{name}_stride16") for name in WIDTHS.values()]
    if None in both:
        return NOT_MEASURED
    rows = [
        [
            name,
            *(
                with_interval(each["iou"][name], each["iou_intervals"][name])
                for each in both
            ),
            percent(both[0]["share"][name], 1),
        ]
        for name in both[0]["iou"]
    ]
    return table(("class", *(f"IoU, width {w}" for w in WIDTHS), "% of pixels"), rows)


TABLES = {
    "voc_width1": lambda: voc("1"),
    "voc_width05": lambda: voc("0.5"),
    "voc_classes": voc_classes,
}
