"""What each format for deployment costs and loses: the table of deploy.md."""

from collections.abc import Mapping
from typing import Any

from deeplab_tf.config.export import FORMATS, precision_title
from result_tables.markdown import NOT_MEASURED, percent, read, table


def formats() -> str:
    """Size, time, memory, agreement and mIoU of each format in each precision."""
    reports = read("formats/voc_width1")
    if not reports:
        return NOT_MEASURED
    network = percent(reports[0]["miou"]["network"])
    head = (
        "",
        "precision",
        "MB",
        "ms",
        "memory, MB",
        "equal pixels: mean, worst",
        "largest difference of a probability",
        f"mIoU (network: {network})",
    )
    return table(head, map(_row, reports))


def _row(report: Mapping[str, Any]) -> list[str]:
    memory, equal = report["peak_memory_bytes"], report["equal_pixels"]
    gap = report["probabilities"]["largest_difference"]
    return [
        FORMATS[report["format"]].title,
        precision_title(report["quantize"]),
        f"{report['file_bytes'] / 1e6:.2f}",
        f"{report['latency']['p50_ms']:.0f}",
        f"{memory / 1e6:.0f}" if memory else "-",
        f"{percent(equal['mean'])}, {percent(equal['worst'])}",
        f"{gap:.2g}",
        percent(report["miou"]["export"]),
    ]


TABLES = {"formats": formats}
