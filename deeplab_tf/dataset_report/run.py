"""Check of a folder of records: a line for each fault, and a page."""

from pathlib import Path
from typing import Any

from absl import logging

from deeplab_tf import console
from deeplab_tf.dataset_report import html
from deeplab_tf.dataset_report.gather import gather
from deeplab_tf.dataset_report.report import DatasetReport
from deeplab_tf.errors import InputError
from deeplab_tf.files import check_writable, write_whole

# A first training, as README.md has it.
_FIRST: dict[str, Any] = {
    "recipe": "mobilenet_v2_finetune",
    "train_logdir": "run",
    "min_resize_value": 360,
    "max_resize_value": 640,
    "tf_initial_checkpoint": "zoo:mobilenetv2_coco_voc_trainaug",
}


def check(
    folder: str,
    *,
    dataset: str | None = None,
    path: str | None = None,
    images: int = 24,
) -> DatasetReport:
    """Checks records, logs what is wrong, and writes a page of it.

    Args:
        folder: Of the shards.
        dataset: What their ids mean, where there is no dataset.json.
        path: Of the page; by default check.html in the folder.
        images: How many of each split the page shows.

    Returns:
        What the records hold, and doubts about them.

    Raises:
        InputError: There are no records, or something is wrong with them.
    """
    target = Path(path or Path(folder) / "check.html")
    check_writable("page", str(target.parent))
    report = gather(folder, dataset, images)
    for issue in report.faults:
        logging.error("%s", issue)
    for issue in report.doubts:
        logging.warning("%s", issue)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, html.render(report))
    for split in report.splits.values():
        logging.info("%s: %s", split.name, _count(split.records, "record"))
    if report.faults:
        faults = _count(len(report.faults), "error")
        raise InputError(f"{folder}: {faults}; {target} shows them")
    doubts = _count(len(report.doubts), "warning")
    logging.info("%s: no errors, %s; %s", folder, doubts, target)
    if "train" in report.splits:
        command = console.command_line("train", dataset_dir=folder, **_FIRST)
        logging.info("Next: %s", command)
    return report


def _count(number: int, what: str) -> str:
    """`1 error`, `2 errors`, `no errors`."""
    shown = f"{number:,}" if number else "no"
    return f"{shown} {what}{'' if number == 1 else 's'}"
