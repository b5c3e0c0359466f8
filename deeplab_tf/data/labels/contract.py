"""The label contract: every id in a mask is a class or the ignore label.

Wrong labels are the first cause of lost weeks, and a network trains on them without a
word. So masks are checked when records are built, and sampled when training starts.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from deeplab_tf.data import tfrecord_writer
from deeplab_tf.data.labels.statistics import (
    Histogram,
    LabelStatistics,
    MaskGroup,
    allowed_ids,
)
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.errors import InputError, LabelError, LabelErrorKind

# The share of masks that may look interpolated before that is taken for sure; of 588 of
# VOC and CamVid none does.
_STRAY = 0.1


def id_table(pairs: Mapping[int, int], *, others: int | None = None) -> np.ndarray:
    """A table of 65536 ids for `mapped`: `pairs`, and all other ids as they are.

    Args:
        pairs: Id in the files -> id in the records.
        others: What ids that are not in `pairs` become, if not themselves.
    """
    table = np.arange(65536) if others is None else np.full(65536, others)
    table[list(pairs.keys())] = list(pairs.values())
    return table.astype(np.uint16)


def check_size(label: Path, mask: np.ndarray, size: tuple[int, int]) -> None:
    """Raises a LabelError where a mask has not its image's (height, width)."""
    if mask.shape == size:
        return
    remedy = "; save the mask at the image's size, resized without interpolation"
    if ".json" in (label.suffix, label.parent.suffix):  # Of an annotation tool.
        remedy = "; it was drawn on another photograph, or at another size"
    if mask.shape == size[::-1]:
        remedy = (
            "; one of them is turned by 90 degrees, as the EXIF data of a photograph "
            "may do: draw the mask on the image as it is shown"
        )
    raise LabelError(
        f"{label}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image "
        f"{size[1]}x{size[0]} (width x height){remedy}",
        kind="size",
        file=label,
    )


def check_statistics(
    statistics: LabelStatistics, spec: DatasetSpec, *, complete: bool = True
) -> None:
    """Checks what masks hold against the classes; warns of what is only suspicious.

    Args:
        statistics: Of the masks.
        spec: Classes and ignore label.
        complete: These are all masks: together they must show an object.

    Raises:
        LabelError: Names the first bad file, its ids and their share.
    """
    if not statistics.masks:
        return
    if statistics.wrong.count:
        raise _ids_error(statistics, spec)
    _check_borders(statistics)
    if complete:
        check_meaning(set(statistics.pixels), spec)
        for line in suspicions(statistics, spec):
            logging.warning("%s", line)


def check_label_png(path: str, png: bytes) -> None:
    """Raises a LabelError where a record's mask is not a gray PNG of 8 bits."""
    if not png.startswith(tfrecord_writer.PNG):
        what = ", but a JPEG" if png.startswith(b"\xff\xd8\xff") else ""
        raise LabelError(
            f"{path}: its label is no PNG{what}", kind="not_png", file=path
        )
    if len(png) < 26:
        raise InputError(f"{path}: its label is damaged")
    if png[24:26] != tfrecord_writer.LABEL_MODE:
        bits, color_type = png[24:26]
        what = _COLOR_TYPES.get(color_type, f"{bits} bit{'s' if bits > 1 else ''}")
        raise LabelError(
            f"{path}: its label PNG has {what}, which TensorFlow does not read as "
            "class ids",
            kind="png_mode",
            file=path,
        )


_COLOR_TYPES = {2: "colors", 3: "a palette", 4: "an alpha channel", 6: "colors"}


def suspicions(statistics: LabelStatistics, spec: DatasetSpec) -> Iterator[str]:
    """Yields what may be meant, and may not be: a line each."""
    groups = {
        "look interpolated": statistics.interpolated,
        f"hold only the ignore label {spec.ignore_label}": statistics.ignored,
        "hold only one class": statistics.uniform,
    }
    for what, group in groups.items():
        if group.count:
            yield (
                f"{group.count} of {statistics.masks} masks {what}, first "
                f"{group.origin}"
            )
    absent = [
        f'{i} "{name}"'
        for i, name in enumerate(spec.classes)
        if i not in statistics.pixels and i != spec.ignore_label
    ]
    if absent:
        yield f"classes in no mask: {list_first(absent)}"


def _ids_error(statistics: LabelStatistics, spec: DatasetSpec) -> LabelError:
    masks, ids = statistics.wrong, statistics.wrong.ids
    wrong = sorted(ids.keys() - allowed_ids(spec))
    share = sum(ids[i] for i in wrong) / sum(ids.values())
    kind, diagnosis = _diagnose(statistics, spec)
    return LabelError(
        f"{masks.origin}: ids {list_first(wrong)} are neither classes (0 to "
        f"{spec.num_classes - 1}) nor the ignore label {spec.ignore_label}, "
        f"{share:.1%} of its pixels; so in {masks.count} of {statistics.masks} masks. "
        f"All ids: {_shares(statistics.pixels)}.{diagnosis and ' '}{diagnosis}",
        kind=kind,
        file=masks.origin,
        ids=sorted(statistics.pixels.keys() - allowed_ids(spec)),
    )


def _check_borders(statistics: LabelStatistics) -> None:
    """Raises where masks hold ids that are classes, but nothing that anybody drew."""
    masks = statistics.interpolated
    if masks.count > _STRAY * statistics.masks:
        raise LabelError(
            f"{masks.origin}: {describe_interpolation(masks)}; so in {masks.count} of "
            f"{statistics.masks} masks. {_SHARP}",
            kind="interpolated",
            file=masks.origin,
            ids=sorted(masks.ids),
        )


def describe_interpolation(masks: MaskGroup) -> str:
    """What is wrong with an interpolated mask."""
    return (
        f"ids {list_first(sorted(masks.ids))} lie along borders between other ids, as "
        "smoothing, resizing or JPEG compression put them there"
    )


_SHARP = "Save masks as PNG, drawn without smoothing and resized without interpolation"


def check_meaning(ids: set[int], spec: DatasetSpec) -> None:
    """Raises where allowed ids cannot mean what was meant."""
    classes = ids - {spec.ignore_label}
    if classes == {0} and spec.ignore_label in ids:
        raise LabelError(
            f"all masks hold only 0 and {spec.ignore_label}, and {spec.ignore_label} "
            "is the ignore label: the object would not be learned; make it class 1",
            kind="object_ignored",
            ids=[spec.ignore_label],
        )
    if not classes:
        raise LabelError(
            f"all pixels of all masks are the ignore label {spec.ignore_label}: there "
            "is nothing to learn",
            kind="nothing_to_learn",
        )


def _diagnose(
    statistics: LabelStatistics, spec: DatasetSpec
) -> tuple[LabelErrorKind, str]:
    """What ids, some of them wrong, look like, and a sentence on it."""
    ids = set(statistics.pixels) - {spec.ignore_label}
    if 0 not in ids and max(ids) == spec.num_classes:
        return "counts_from_1", "They seem to count from 1"
    if ids <= {0, spec.num_classes, *range(spec.num_classes)}:
        return "class_count", (
            f"The number of classes is the largest id plus one, {max(ids) + 1} here; "
            "the ignore label is not counted"
        )
    if len(ids) > 2 and ids <= _palette_brightness():
        return "gray_palette", (
            "These are brightnesses of the VOC palette: the masks were turned to gray; "
            "take the palette PNGs as they were"
        )
    if statistics.interpolated.count:
        how = describe_interpolation(statistics.interpolated)
        return "interpolated", f"Some {how}. {_SHARP}"
    if len(ids) > 2 * spec.num_classes:
        return "interpolated", (
            "So many ids come from JPEG compression, smoothing or resizing; save masks "
            "as PNG and resize them without interpolation"
        )
    return "ids_beyond_classes", ""


def _palette_brightness() -> set[int]:
    """What TensorFlow reads where a VOC palette PNG has an id."""
    weights = np.array([0.299, 0.587, 0.114])
    colors = np.array(distinct_colors(21), float) @ weights
    near = np.concatenate([np.floor(colors), np.ceil(colors), np.round(colors)])
    return set(near.astype(int).tolist()) | {220}  # 220: the border's.


def _shares(total: Histogram) -> str:
    pixels = sum(total.values())
    largest = sorted(total, key=lambda i: -total[i])[:8]
    shares = ", ".join(f"{i}: {total[i] / pixels:.1%}" for i in sorted(largest))
    return shares + (", ..." if len(total) > 8 else "")


def list_first(items: Sequence[object]) -> str:
    """The first six, and whether there are more."""
    return ", ".join(map(str, items[:6])) + (", ..." if len(items) > 6 else "")
