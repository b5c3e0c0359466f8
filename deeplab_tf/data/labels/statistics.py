"""Label statistics: pixels and masks of each id, added up mask by mask."""

import dataclasses
from typing import Any

import numpy as np

from deeplab_tf.data.labels import heuristics
from deeplab_tf.data.spec import DatasetSpec

Histogram = dict[int, int]  # Id -> pixels.


@dataclasses.dataclass(kw_only=True)
class MaskGroup:
    """Masks of one kind.

    Attributes:
        count: How many.
        origin: The first of them: its file, or its record.
        ids: What it holds.
    """

    count: int = 0
    origin: str = ""
    ids: Histogram = dataclasses.field(default_factory=dict)

    def add(self, other: "MaskGroup") -> None:
        """Adds those that come after."""
        if not self.count:
            self.origin, self.ids = other.origin, dict(other.ids)
        self.count += other.count


@dataclasses.dataclass(kw_only=True)
class LabelStatistics:
    """What the masks of a data set, or of a part of it, hold.

    Attributes:
        masks: How many.
        pixels: Id -> pixels, of all masks.
        images: Id -> masks in which it occurs.
        wrong: Masks with ids that are neither classes nor the ignore label.
        interpolated: Masks with ids that interpolation put along borders; their ids.
        ignored: Masks of nothing but the ignore label.
        uniform: Masks of nothing but one class.
        largest: Height, width of the mask with the longest side.
    """

    masks: int = 0
    pixels: Histogram = dataclasses.field(default_factory=dict)
    images: Histogram = dataclasses.field(default_factory=dict)
    wrong: MaskGroup = dataclasses.field(default_factory=MaskGroup)
    interpolated: MaskGroup = dataclasses.field(default_factory=MaskGroup)
    ignored: MaskGroup = dataclasses.field(default_factory=MaskGroup)
    uniform: MaskGroup = dataclasses.field(default_factory=MaskGroup)
    largest: tuple[int, int] = (0, 0)

    @classmethod
    def of_mask(
        cls, origin: str, mask: np.ndarray, spec: DatasetSpec
    ) -> "LabelStatistics":
        """Of one mask, ids `[H, W]` as records have them; errors name its origin."""
        ids, between = heuristics.histogram(mask), heuristics.interpolated_ids(mask)
        one = MaskGroup(count=1, origin=origin, ids=ids)
        statistics = cls(
            masks=1,
            pixels=ids,
            images=dict.fromkeys(ids, 1),
            largest=(mask.shape[0], mask.shape[1]),
        )
        if ids.keys() - allowed_ids(spec):
            statistics.wrong = one
        elif len(ids) == 1:
            is_ignored = spec.ignore_label in ids
            setattr(statistics, "ignored" if is_ignored else "uniform", one)
        if between:
            statistics.interpolated = MaskGroup(count=1, origin=origin, ids=between)
        return statistics

    def add(self, other: "LabelStatistics") -> None:
        """Adds masks that come after these."""
        self.masks += other.masks
        for mine, more in ((self.pixels, other.pixels), (self.images, other.images)):
            for label, count in more.items():
                mine[label] = mine.get(label, 0) + count
        for name in _GROUPS:
            getattr(self, name).add(getattr(other, name))
        self.largest = max(self.largest, other.largest, key=max)

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it; `from_json` is the way back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "LabelStatistics":
        """What `to_json` gave, out of JSON, where keys are texts."""
        statistics = cls(
            masks=saved["masks"],
            pixels=_numbers(saved["pixels"]),
            images=_numbers(saved["images"]),
            largest=tuple(saved.get("largest", (0, 0))),
        )
        for name in _GROUPS:
            ids = _numbers(saved[name]["ids"])
            setattr(statistics, name, MaskGroup(**{**saved[name], "ids": ids}))
        return statistics


_GROUPS = ("wrong", "interpolated", "ignored", "uniform")


def allowed_ids(spec: DatasetSpec) -> set[int]:
    """Ids that a mask may hold."""
    return {*range(spec.num_classes), spec.ignore_label}


def _numbers(texts: dict[Any, int]) -> Histogram:
    return {int(key): value for key, value in texts.items()}
