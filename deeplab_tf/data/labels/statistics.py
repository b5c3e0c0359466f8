"""What masks hold, added up mask by mask: of one size, however many there are."""

import dataclasses
from typing import Any

import numpy as np

from deeplab_tf.data.labels import heuristics
from deeplab_tf.data.spec import DatasetSpec

Histogram = dict[int, int]  # Id -> pixels.


@dataclasses.dataclass(kw_only=True)
class Kind:
    """Masks of one kind.

    Attributes:
        count: How many.
        origin: The first of them: its file, or its record.
        ids: What it holds.
    """

    count: int = 0
    origin: str = ""
    ids: Histogram = dataclasses.field(default_factory=dict)

    def add(self, other: "Kind") -> None:
        """Adds those that come after."""
        if not self.count:
            self.origin, self.ids = other.origin, dict(other.ids)
        self.count += other.count


@dataclasses.dataclass(kw_only=True)
class Tally:
    """What the masks of a data set, or of a part of it, hold.

    Attributes:
        masks: How many.
        pixels: Id -> pixels, of all masks.
        images: Id -> masks in which it occurs.
        wrong: Masks with ids that are neither classes nor the ignore label.
        interpolated: Masks with ids that interpolation put along borders; their ids.
        ignored: Masks of nothing but the ignore label.
        uniform: Masks of nothing but one class.
    """

    masks: int = 0
    pixels: Histogram = dataclasses.field(default_factory=dict)
    images: Histogram = dataclasses.field(default_factory=dict)
    wrong: Kind = dataclasses.field(default_factory=Kind)
    interpolated: Kind = dataclasses.field(default_factory=Kind)
    ignored: Kind = dataclasses.field(default_factory=Kind)
    uniform: Kind = dataclasses.field(default_factory=Kind)

    @classmethod
    def of(cls, origin: str, mask: np.ndarray, spec: DatasetSpec) -> "Tally":
        """Of one mask, ids `[H, W]` as records have them; errors name its origin."""
        ids, between = heuristics.histogram(mask), heuristics.interpolated(mask)
        one = Kind(count=1, origin=origin, ids=ids)
        tally = cls(masks=1, pixels=ids, images=dict.fromkeys(ids, 1))
        if ids.keys() - allowed(spec):
            tally.wrong = one
        elif len(ids) == 1:
            is_ignored = spec.ignore_label in ids
            setattr(tally, "ignored" if is_ignored else "uniform", one)
        if between:
            tally.interpolated = Kind(count=1, origin=origin, ids=between)
        return tally

    def add(self, other: "Tally") -> None:
        """Adds masks that come after these."""
        self.masks += other.masks
        for mine, more in ((self.pixels, other.pixels), (self.images, other.images)):
            for label, count in more.items():
                mine[label] = mine.get(label, 0) + count
        for name in _KINDS:
            getattr(self, name).add(getattr(other, name))

    def saved(self) -> dict[str, Any]:
        """As JSON holds it; `loaded` is the way back."""
        return dataclasses.asdict(self)

    @classmethod
    def loaded(cls, saved: dict[str, Any]) -> "Tally":
        """What `saved` gave, out of JSON, where keys are texts."""
        tally = cls(
            masks=saved["masks"],
            pixels=_numbers(saved["pixels"]),
            images=_numbers(saved["images"]),
        )
        for name in _KINDS:
            ids = _numbers(saved[name]["ids"])
            setattr(tally, name, Kind(**{**saved[name], "ids": ids}))
        return tally


_KINDS = ("wrong", "interpolated", "ignored", "uniform")


def allowed(spec: DatasetSpec) -> set[int]:
    """Ids that a mask may hold."""
    return {*range(spec.num_classes), spec.ignore_label}


def _numbers(texts: dict[Any, int]) -> Histogram:
    return {int(key): value for key, value in texts.items()}
