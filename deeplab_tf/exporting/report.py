"""What an export costs and loses: `export_report.json`, and a table."""

import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.config.export import FORMATS, precision_title
from deeplab_tf.exporting.agreement import Agreement

FILE_NAME = "export_report.json"  # In the folder of a SavedModel.


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """How an export was found when it was read again.

    Attributes:
        format: A key of `FORMATS`.
        quantize: Precision.
        agreement: With the network.
        pictures: On which they were compared.
        file_bytes: Size of all its files.
        load_seconds: How long opening it takes.
        latencies: Seconds of each of some runs, on one picture of `image_size`.
        image_size: Height, width.
        threads: Of the runtime.
        memory: Peak in bytes of a process that does nothing else, if that is known.
        is_fresh: Whether it was read in a fresh process,
        has_tensorflow: and whether TensorFlow was loaded there.
    """

    format: str
    quantize: str
    agreement: Agreement
    pictures: str
    file_bytes: int
    load_seconds: float
    latencies: Sequence[float]
    image_size: tuple[int, int]
    threads: int
    memory: int | None
    is_fresh: bool
    has_tensorflow: bool

    def describe(self) -> dict[str, Any]:
        """What `export_report.json` holds."""
        return {
            "format": self.format,
            "quantize": self.quantize,
            "pictures": self.pictures,
            "num_pictures": len(self.agreement.equal),
            **self.agreement.describe(),
            "file_bytes": self.file_bytes,
            "load_seconds": self.load_seconds,
            "latency": {
                "p50_ms": self.milliseconds(50),
                "p95_ms": self.milliseconds(95),
                "runs": len(self.latencies),
                "image_size": list(self.image_size),
            },
            "threads": self.threads,
            "peak_memory_bytes": self.memory,
            "runtime": _runtime(self.format),
            "fresh_process": self.is_fresh,
            "tensorflow_loaded": self.has_tensorflow,
            "machine": f"{platform.system()} {platform.machine()}",
        }

    def milliseconds(self, percent: float) -> float:
        """A percentile of the latencies."""
        return 1000 * float(np.percentile(self.latencies, percent))


def beside(path: Path) -> Path:
    """Where the report lies: in a folder, or beside a file."""
    if path.is_dir():
        return path / FILE_NAME
    return path.with_name(f"{path.name}.report.json")


def write(path: Path, report: Report) -> None:
    """Writes the report of an export."""
    text = json.dumps(report.describe(), indent=1) + "\n"
    beside(path).write_text(text, "utf-8")


def table(reports: Sequence[Report]) -> str:
    """The reports as a table, under what they have in common."""
    first = reports[0]
    head = (
        f"Compared on {first.pictures}; latency with {first.threads} threads at "
        f"{first.image_size[0]}x{first.image_size[1]} (height x width)"
    )
    titles = (
        *("format", "precision", "MB", "load s", "p50 ms", "p95 ms", "memory MB"),
        *("equal %", "worst %", "probabilities", "mIoU %"),
    )
    return "\n".join([head, *_align([titles, *map(_row, reports)])])


def _row(report: Report) -> tuple[str, ...]:
    facts = report.agreement.describe()
    equal, gaps, mious = (
        facts[name] for name in ("equal_pixels", "probabilities", "miou")
    )
    return (
        FORMATS[report.format].title,
        precision_title(report.quantize),
        f"{report.file_bytes / 1e6:.2f}",
        f"{report.load_seconds:.2f}",
        f"{report.milliseconds(50):.1f}",
        f"{report.milliseconds(95):.1f}",
        f"{report.memory / 1e6:.0f}" if report.memory else "-",
        f"{100 * equal['mean']:.2f}",
        f"{100 * equal['worst']:.2f}",
        f"{gaps['largest_difference']:.1e}" if gaps else "-",
        f"{100 * mious['export']:.2f} of {100 * mious['network']:.2f}"
        if mious
        else "-",
    )


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _runtime(format: str) -> str:
    module = FORMATS[format].module
    if not module:
        return f"tensorflow {tf.__version__}"
    return f"{module} {importlib.metadata.version(module)}"
