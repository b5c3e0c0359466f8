"""HTML: the report as one file that needs nothing else."""

from collections.abc import Sequence
from typing import Any

from deeplab_tf.dataset_report.report import DatasetReport, Issue, SplitReport
from deeplab_tf.html_pages import page

_PICTURED, _LISTED = 60, 1000  # Issues with a picture, and issues in all.


def render(report: DatasetReport) -> str:
    """Renders the page."""
    values = {
        "report": report,
        "spec": report.spec,
        "faults": _issues(report.faults),
        "doubts": _issues(report.doubts),
        "splits": [_split(split) for split in report.splits.values()],
        "classes": _classes(report),
    }
    return page.render(__package__, "page.html", values)


def _issues(issues: Sequence[Issue]) -> dict[str, Any]:
    """Those with pictures, those without, and how many are left out."""
    pictured = [issue for issue in issues if issue.picture][:_PICTURED]
    shown = set(map(id, pictured))
    plain = [issue for issue in issues if id(issue) not in shown]
    return {
        "count": len(issues),
        "pictured": [(issue, page.data_url(issue.picture)) for issue in pictured],
        "plain": plain[:_LISTED],
        "more": max(0, len(plain) - _LISTED),
    }


def _split(split: SplitReport) -> dict[str, Any]:
    sizes = sorted(split.sizes, key=lambda size: size[0] * size[1])
    return {
        "name": split.name,
        "records": split.records,
        "shards": split.shards,
        "bytes": _bytes(split.size),
        "masks": split.tally.masks,
        "smallest": page.size(sizes[0]) if sizes else "",
        "largest": page.size(sizes[-1]) if sizes else "",
        "common": [
            (page.size(size), count / split.sizes.total())
            for size, count in split.sizes.most_common(3)
        ],
        "kinds": len(sizes),
        "shown": [(entry, page.data_url(picture)) for entry, picture in split.shown],
    }


def _classes(report: DatasetReport) -> list[dict[str, Any]]:
    """Of each class, and of the ignore label: share of pixels and number of images."""
    spec = report.spec
    rows = [(i, name, spec.palette[i]) for i, name in enumerate(spec.classes)]
    if spec.ignore_label >= spec.num_classes:
        rows.append((spec.ignore_label, "ignored", (224, 224, 192)))
    splits = [split for split in report.splits.values() if split.tally.masks]
    return [
        {
            "id": i,
            "name": name,
            "color": page.hex_color(color),
            "ignored": i == spec.ignore_label,
            "splits": [_share(split, i) for split in splits],
        }
        for i, name, color in rows
    ]


def _share(split: SplitReport, label: int) -> dict[str, Any]:
    tally = split.tally
    total = sum(tally.pixels.values())
    share = tally.pixels.get(label, 0) / total if total else 0.0
    return {
        "split": split.name,
        "share": share,
        "images": tally.images.get(label, 0),
    }


def _bytes(count: int) -> str:
    number = float(count)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"
